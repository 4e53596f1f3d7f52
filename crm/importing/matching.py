"""By what a row finds its known record: a ladder of steps, the first of which that finds anything decides.

In every statement `r` is the staged row. Names come from declarations only; whatever a person gave travels as a bound value.
"""

# ruff: noqa: S608 - see above: no text of a person's gets into a statement

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import inspect

from crm.core.entity import Face
from crm.core.permissions import Actor, accesses
from crm.importing.aside import without_one
from crm.importing.keys import EXTERNAL, NUMBER, fence, keys_of, usable
from crm.importing.rules import rules_of
from crm.importing.targets import Landing, embedded_entity, own_landings
from crm.models.external_ids import ExternalId

OPEN = "r.outcome IS NULL"
WITH = "+"  # between two fields that tell only together
_SHOWN = 5


@dataclass(frozen=True)
class Step:
    """One way to find known records: those `found` by the key that is `given`, SQL in which `{}` is the row's alias or the
    key, with the `fence` of what it is found by. `needs` are the fields it is made of; `sure` where no two records should have
    it in common."""

    name: str
    label: str
    needs: tuple[str, ...]
    given: str
    found: str
    sure: bool = False
    fence: str = "OFFSET 0"

    def of(self, alias: str) -> str:
        return self.given.replace("{}", alias)


def matchable(face: Face, actor: Actor | None = None) -> dict[str, Step]:
    """The steps that known records can be found by, in the order of the ladder: the number that another system gives, code,
    numbers, e-mail, phone, name with postal code, name. A person gets none whose values are hidden from that person."""
    known = {landing.name: landing for landing in own_landings(face, actor)}
    table = face.entity.__tablename__
    steps = [_external(table)]
    if NUMBER in known:
        given, found = f"{{}}.data->>'{NUMBER}'", f"FROM {table} WHERE {table}.id = CAST({{}} AS bigint)"
        steps.append(Step(NUMBER, known[NUMBER].field.label, (NUMBER,), given, found, sure=True))
    last: list[Step] = []
    for key in usable(face, actor):
        if key.name not in known:
            continue
        unique = key.unique or face.fields[key.name].kind == "email"
        given = _key_text(key.sql(_staged(known[key.name])))
        step = Step(key.name, key.label, (key.name,), given, f"FROM {table} WHERE {table}.{key.column} = {{}}", unique,
                    fence(face, key.column))  # fmt: skip
        (last if key.name == face.about.title and not key.unique else steps).append(step)
    return {step.name: step for step in [*steps, *_phone(face, known, actor), *_with_postal_code(face, known), *last]}


def _external(table: str) -> Step:
    found = (
        f"FROM {table} WHERE {table}.id = (SELECT e.record FROM {ExternalId.__tablename__} e "
        f"WHERE e.system = :system AND e.entity = '{table}' AND e.external_id = {{}})"
    )
    return Step(EXTERNAL, "Number in the source system", (EXTERNAL,), f"{{}}.data->>'{EXTERNAL}'", found, sure=True)


def _phone(face: Face, known: dict[str, Landing], actor: Actor | None) -> list[Step]:
    table, may = face.entity.__tablename__, None if actor is None else accesses(actor, face)
    for name, field in face.fields.items():
        if field.kind == "phone" and name in known and (may is None or may[name].shows):
            found = f"FROM {table} WHERE {table}.{field.attribute} = {{}}"
            return [Step(name, field.label, (name,), _staged(known[name]), found, fence=fence(face, field.attribute))]
    return []


def _with_postal_code(face: Face, known: dict[str, Landing]) -> list[Step]:
    """Of those who have an address: two of one name seldom live at one place."""
    title = next((key for key in keys_of(face) if key.name == face.about.title), None)
    place = next((one for one in known.values() if one.embed and not one.embed.prefix and one.field.attribute == "postal_code"),
                 None)  # fmt: skip
    if title is None or title.name not in known or place is None or place.embed is None:
        return []
    table, address = face.entity.__tablename__, embedded_entity(face, place.embed).__tablename__
    (link,) = inspect(face.entity).relationships[place.embed.relation].remote_side
    given = f"({_key_text(title.sql(_staged(known[title.name])))} || chr(31) || {_plain_code(_staged(place))})"
    found = (
        f"FROM {table} WHERE {table}.{title.column} = split_part({{}}, chr(31), 1) AND EXISTS (SELECT FROM {address} x "
        f"WHERE x.{link.name} = {table}.id AND {_plain_code('x.postal_code')} = split_part({{}}, chr(31), 2) OFFSET 0)"
    )
    label = f"{title.label} and {place.field.label}"
    return [
        Step(
            f"{title.name}{WITH}{place.name}",
            label,
            (title.name, place.name),
            given,
            found,
            fence=fence(face, title.column),
        )
    ]


def _staged(landing: Landing) -> str:
    return f"({{}}.data->>'{landing.key}')"


def _key_text(given: str) -> str:
    """Nothing but signs is no key."""
    return f"nullif({given}, '')"


def _plain_code(given: str) -> str:
    return f"nullif(upper(regexp_replace({given}, '[^[:alnum:]]', '', 'g')), '')"


def given_by(face: Face, names: Iterable[str]) -> frozenset[str]:
    """The fields that these columns give a value, themselves or together (first and last name make up a name)."""
    probe: dict[str, object] = dict.fromkeys(names, "x")
    face.entity.complete(probe)
    return frozenset(name for name, value in probe.items() if value)


def offered(face: Face, names: Iterable[str], actor: Actor | None = None) -> dict[str, Step]:
    """The steps that a file with these columns can take."""
    given = given_by(face, names)
    return {name: step for name, step in matchable(face, actor).items() if given.issuperset(step.needs)}


def best_match(face: Face, names: Iterable[str], *, brought: bool = False) -> tuple[str, ...]:
    """The one step that tells best, of those a file with these columns can take, and that several seldom have in common:
    who sends a file of people means them by their e-mail. What rows bring along, and tell by nothing surer, is meant by
    what it is called."""
    steps = offered(face, names)
    sure = [name for name, step in steps.items() if step.sure]
    sure.sort(key=lambda name: name not in (EXTERNAL, NUMBER) and face.fields[name].kind != "email")
    return tuple(sure[:1]) or ((face.about.title,) if brought and face.about.title in steps else ())


def as_ladder(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """The names of steps in their order, from text with commas or one by one."""
    names = given.split(",") if isinstance(given, str) else given or ()
    return tuple(dict.fromkeys(name for name in (one.strip() for one in names) if name))


def may_be_meant(face: Face) -> str:
    """SQL: the records of a face that a row may be matched with."""
    return " AND ".join(f"({condition})" for condition in (*map(str, face.where()), rules_of(face).matched_with))


class Ladder:
    """The SQL that finds the known records of one kind of row of an import, and rows that mean the same one."""

    def __init__(self, face: Face, names: Sequence[str], *, rows: str, title: str, brought: bool) -> None:
        known = matchable(face)
        self.names = tuple(names)
        self.steps = [known[name] for name in names]
        self._rows, self._title, self._brought = rows, title, brought
        self._table = face.entity.__tablename__
        self._condition = may_be_meant(face)
        self._meant, self._left = rules_of(face).meant or f"{self._table}.id", rules_of(face).left

    def _of(self, step: Step, alias: str) -> str:
        """The key of a row; what rows bring along has it ready."""
        return f"{alias}.match_key" if self._brought else step.of(alias)

    def _each(self, alias: str) -> str:
        """The keys of a row, one below the other."""
        pairs = ", ".join(f"({rank}, {self._of(step, alias)})" for rank, step in enumerate(self.steps))
        return f"CROSS JOIN LATERAL (VALUES {pairs}) k(rank, key)"

    def _label(self, rank: str) -> str:
        labels = ", ".join(_quoted(f"this {step.label.lower()}") for step in self.steps)
        return f"(ARRAY[{labels}])[{rank} + 1]"

    def match(self, scope: str) -> str:
        """Find the known record of each row: the first step that finds one says which. Several at that step are ambiguous,
        and so is a later step that finds only others."""
        keys = ", ".join(f"{self._of(step, 'r')} AS k{rank}" for rank, step in enumerate(self.steps))
        looked_up = " UNION ALL ".join(
            f"SELECT given.row_, {rank} AS rank, {self._meant} AS id, {self._title} AS title FROM given CROSS JOIN LATERAL ("
            f"SELECT {self._table}.* {step.found.replace('{}', f'given.k{rank}')} {step.fence}) {self._table} "
            f"WHERE given.k{rank} IS NOT NULL AND {self._condition}"
            for rank, step in enumerate(self.steps)
        )
        return f"""
            WITH given AS MATERIALIZED (SELECT r.id AS row_, {keys} FROM import_row r
                                       WHERE {scope} AND {OPEN} AND r.record_id IS NULL),
            found AS ({looked_up}),
            steps AS (SELECT row_, rank, count(DISTINCT id) AS number, min(id) AS id, array_agg(DISTINCT id) AS ids,
                             array_to_string((array_agg(DISTINCT title))[1:{_SHOWN}], ', ') AS who
                      FROM found GROUP BY row_, rank),
            beside AS (SELECT *, first_value(id) OVER w AS first, first_value(number) OVER w AS among
                       FROM steps WINDOW w AS (PARTITION BY row_ ORDER BY rank)),
            told AS (SELECT *, among = 1 AND first <> ALL (ids) AS contradicts FROM beside),
            m AS (SELECT row_, min(first) AS id, min(among) AS number, min(rank) AS rank, (array_agg(who ORDER BY rank))[1] AS who,
                         min(rank) FILTER (WHERE contradicts) AS other,
                         (array_agg(who ORDER BY rank) FILTER (WHERE contradicts))[1] AS others
                  FROM told GROUP BY row_)
            UPDATE import_row r SET
                record_id = CASE WHEN m.number = 1 AND m.other IS NULL THEN m.id END,
                outcome = CASE WHEN m.number > 1 OR m.other IS NOT NULL THEN 'ambiguous' WHEN :skip THEN 'skipped' END,
                reason = CASE WHEN m.number > 1 THEN m.number || ' records have ' || {self._label("m.rank")} || ': ' || m.who
                              WHEN m.other IS NOT NULL THEN m.who || ' has ' || {self._label("m.rank")} || ', '
                                || m.others || ' has ' || {self._label("m.other")}
                              WHEN :skip THEN m.who || ' has ' || {self._label("m.rank")} || ' already' END
            FROM m WHERE {scope} AND r.id = m.row_"""

    @property
    def leads_on(self) -> bool:
        """Whether another record may stand for the one that is found."""
        return self._meant != f"{self._table}.id"

    def left_meanwhile(self, scope: str) -> str:
        """Whether one of the records was merged away after it was found; one that is locked by now can't be any more."""
        return f"""
            SELECT EXISTS (SELECT FROM import_row r CROSS JOIN LATERAL (
                SELECT * FROM {self._table} WHERE {self._table}.id = r.record_id OFFSET 0) {self._table}
            WHERE {scope} AND {OPEN} AND {self._left})"""

    def leave_to_merged(self, scope: str, column: str) -> str | None:
        """A number of a record that was merged away names the one that stands for it, and isn't handed over to that."""
        if not self.leads_on:
            return None
        return f"""
            UPDATE import_row r SET data = {without_one(column)}
            FROM (SELECT r.id FROM import_row r CROSS JOIN LATERAL (
                      SELECT * FROM {self._table} WHERE {self._table}.{column} = r.data->>'{column}' OFFSET 0) {self._table}
                  WHERE {scope} AND {OPEN} AND r.record_id <> {self._table}.id AND r.record_id = {self._meant}) m
            WHERE {scope} AND r.id = m.id"""

    def mark_repeated(self) -> str:
        """Tell each row that repeats a key of an earlier one, which row and which key that is."""
        return f"""
            UPDATE import_row r SET same_as = f.first, reason = 'row ' || f.first || ' has ' || {self._label("f.rank")} || ' too'
            FROM (SELECT id, min(first) AS first, (array_agg(rank ORDER BY first, rank))[1] AS rank FROM (
                      SELECT r.id, r.line, k.rank, min(r.line) OVER (PARTITION BY k.rank, k.key) AS first
                      FROM import_row r {self._each("r")} WHERE {self._rows} AND {OPEN} AND k.key IS NOT NULL) keyed
                  WHERE first < line GROUP BY id) f
            WHERE {self._rows} AND r.id = f.id"""

    def skip_repeated(self, scope: str) -> str:
        """Leave out the rows that repeat a key."""
        return f"UPDATE import_row r SET outcome = 'skipped' WHERE {scope} AND {OPEN} AND r.same_as IS NOT NULL"

    def shared(self, scope: str) -> str:
        """The keys that several rows of the scope have, by row: (line, keys)."""
        return f"""
            SELECT line, array_agg(rank || ' ' || key) FROM (
                SELECT r.line, k.rank, k.key, count(*) OVER (PARTITION BY k.rank, k.key) AS number
                FROM import_row r {self._each("r")} WHERE {scope} AND {OPEN} AND k.key IS NOT NULL) keyed
            WHERE number > 1 GROUP BY line ORDER BY line"""

    def let_wait(self, scope: str) -> str:
        """Of rows that found one record by different steps the first goes on; answers the lines of the others."""
        return f"""
            UPDATE import_row r SET record_id = NULL, outcome = 'skipped'
            FROM (SELECT r.id, row_number() OVER (PARTITION BY r.record_id ORDER BY r.line) AS place
                  FROM import_row r WHERE {scope} AND {OPEN} AND r.record_id IS NOT NULL) f
            WHERE {scope} AND r.id = f.id AND f.place > 1 RETURNING r.line"""

    def let_go(self) -> str:
        return f"""
            UPDATE import_row r SET outcome = NULL
            WHERE {self._rows} AND r.line = ANY (CAST(:waiting AS integer[]))"""


def _quoted(words: str) -> str:
    """Words of a declaration as SQL text; a colon would begin a bound value."""
    return "'" + words.replace("'", "''").replace(":", "\\:") + "'"
