"""The SQL that finds the records a file names: other records by their keys, and what the rows themselves brought along."""

# ruff: noqa: S608 - statements are put together from declarations; what a person gave is always bound

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crm.core.entity import Face, face_named
from crm.importing.keys import EXTERNAL, NUMBER, NUMBER_HERE, Key, fence, name_of_record, owner_of
from crm.importing.plan import Plan
from crm.importing.rights import Rights
from crm.importing.rules import rules_of
from crm.importing.statements import OPEN
from crm.importing.targets import Landing, own_landings
from crm.models.external_ids import ExternalId

_SHOWN = 5


@dataclass(frozen=True)
class Link:
    """A column that names a record of `face`: by one key, or by the first of several that finds anything."""

    landing: Landing
    face: Face
    by: str = ""

    @property
    def table(self) -> str:
        name: str = self.face.entity.__tablename__
        return name

    def find(self, scope: str, rights: Rights, *, system: str | None) -> str:
        """Put the number of the one record that is named into each row; none refuses the row, several are ambiguous."""
        keys = [key for key in rights.keys(self.face) if self.by in ("", key.name)]
        ways = [self._by_external(self.face)] if system and self.by in ("", EXTERNAL) else []
        ways += [self._by_key(key) for key in keys]
        owner = owner_of(self.face) if not self.by else None
        if owner is not None:
            by_owner = self._by_owner(*owner, rights, system=system)
            ways, keys = ways + by_owner[0], keys + by_owner[1]
        ways += [self._by_number("#?" if self.by == NUMBER else "#")] if self.by in ("", NUMBER) else []
        # Who wrote something may have left since.
        matched = "true" if self.landing.field.original else rules_of(self.face).matched_with
        reached = f"({rights.linkable(self.face)}) AND {matched}"
        found = " UNION ALL ".join(
            f"SELECT given.value, CAST(NULL AS bigint[]) AS rows, {rank} AS rank, {self.table}.id, {name_of_record(self.face)} AS who "
            f"FROM given {join} WHERE {reached}"
            for rank, join in enumerate(ways)
        )
        name = self.landing.key
        return f"""
            WITH given AS MATERIALIZED (
                SELECT r.data->>'{name}' AS value, array_agg(r.id) AS rows FROM import_row r
                WHERE {scope} AND {OPEN} AND r.data ? '{name}' GROUP BY 1),
            found AS ({found} UNION ALL SELECT value, rows, NULL, NULL, NULL FROM given),
            best AS (SELECT *, min(rank) OVER (PARTITION BY value) AS first FROM found),
            meant AS (SELECT value, max(rows) AS rows, count(DISTINCT id) AS number, min(id) AS id,
                             array_to_string((array_agg(DISTINCT who) FILTER (WHERE rank = first))[1:{_SHOWN}], ', ') AS who
                      FROM best WHERE rank = first OR rank IS NULL GROUP BY value)
            UPDATE import_row r SET
                data = CASE WHEN m.number = 1 THEN r.data || jsonb_build_object('{self.landing.field.attribute}', m.id)
                            ELSE r.data END,
                outcome = CASE WHEN m.number > 1 THEN 'ambiguous' WHEN m.number = 0 THEN 'refused' END,
                field = CASE WHEN m.number = 1 THEN r.field ELSE :header END,
                reason = CASE WHEN m.number > 1 THEN {self._several()} WHEN m.number = 0 THEN {self._none(keys, system)}
                              ELSE r.reason END
            FROM (SELECT *, unnest(rows) AS row_ FROM meant) m WHERE {scope} AND r.id = m.row_"""

    def _by_owner(
        self, owner: Face, column: str, condition: str, rights: Rights, *, system: str | None
    ) -> tuple[list[str], list[Key]]:
        """Ways to a record by what names the one that it belongs to, and those names."""
        table = owner.entity.__tablename__
        reached = f"(({rights.linkable(owner)}) AND {rules_of(owner).matched_with})"
        mine = f"{_each(self.face, column, f'{table}.id AND {condition}')} ON {reached}"
        keys = rights.keys(owner)
        ways = [self._by_external(owner)] if system else []
        ways += [f"{_each(owner, key.column, key.sql('given.value'))} ON true" for key in keys]
        return [f"{way} {mine}" for way in ways], [
            replace(key, label=f"{owner.label}'s {_small(key.label)}") for key in keys
        ]

    def _by_key(self, key: Key) -> str:
        return f"{_each(self.face, key.column, key.sql('given.value'))} ON true"

    def _by_external(self, face: Face) -> str:
        table = face.entity.__tablename__
        known = f"SELECT e.record FROM {ExternalId.__tablename__} e WHERE e.system = :system AND e.entity = '{table}'"
        return f"{_each(face, 'id', f'({known} AND e.external_id = given.value)')} ON true"

    def _by_number(self, sign: str) -> str:
        # An export writes the name before it.
        number = f"CAST(substring(given.value FROM '(?\\:^|.* ){sign}({NUMBER_HERE})$') AS bigint)"
        return f"{_each(self.face, 'id', number)} ON true"

    def _several(self) -> str:
        noun = self.face.label_plural.lower()
        text = _quoted(f"{self.landing.field.label}: ")
        return f"{text} || '“' || left(m.value, 60) || '” are ' || m.number || {_quoted(f' {noun}: ')} || m.who"

    def _none(self, keys: Sequence[Key], system: str | None) -> str:
        names = [_small(key.label) for key in keys]
        if system and self.by in ("", EXTERNAL):
            names.insert(0, "number there")
        if self.by == NUMBER or not names:
            names.append("number here (#7)")
        by = " or ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
        first = _quoted(f"{self.landing.field.label}: there is no {self.face.label.lower()} with the {by} “")
        last = _quoted("” that can be linked: bring it in first, or mend the value")
        return f"{first} || left(m.value, 60) || {last}"


def _each(face: Face, column: str, value: str) -> str:
    table = face.entity.__tablename__
    return f"JOIN LATERAL (SELECT * FROM {table} WHERE {table}.{column} = {value} {fence(face, column)}) {table}"


def _small(label: str) -> str:
    """A label within a sentence; VIN and SKU stay as they are."""
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def links_of(face: Face, plan: Plan) -> list[Link]:
    """The references of the rows themselves that the file names."""
    known = {landing.name: landing for landing in own_landings(face)}
    styles = {name: plan.styles.get(number, "") for number, name in plan.columns.items()}
    return [
        Link(known[name], face_named(known[name].field.refers_to), styles.get(name, ""))
        for name in plan.own.names
        if known[name].is_link
    ]


# What rows bring along. `r` is what is brought, `m` the row that brings it. Both sides are held to the lines of the chunk, so that
# each is read once.


def _of(alias: str, lines: str) -> str:
    return lines.replace("r.", f"{alias}.")


def leave_with_their_rows(above: str, step: str, lines: str) -> str:
    """What a row brings along stays out with it."""
    return f"""
        UPDATE import_row r SET outcome = 'refused', reason = 'its row is not taken' FROM import_row m
        WHERE r.import_id = :import AND r.step = '{step}' AND {lines} AND {OPEN} AND m.import_id = r.import_id
        AND m.step = '{above}' AND {_of("m", lines)} AND m.line = r.line AND m.outcome IS NOT NULL"""


def gather(scope: str) -> str:
    """Of several rows with the same key the first one speaks."""
    return f"""
        UPDATE import_row r SET outcome = 'skipped', same_as = f.first
        FROM (SELECT r.id, r.line, min(r.line) OVER (PARTITION BY r.match_key) AS first FROM import_row r
              WHERE {scope} AND {OPEN} AND r.record_id IS NULL AND r.match_key IS NOT NULL) f
        WHERE {scope} AND r.id = f.id AND f.first < f.line"""


def keep_known(scope: str) -> str:
    """A known record is taken as it is."""
    return f"UPDATE import_row r SET outcome = 'unchanged' WHERE {scope} AND {OPEN} AND r.record_id IS NOT NULL"


def share(step: str, lines: str) -> str:
    """What became of the first row counts for those that say the same."""
    return f"""
        UPDATE import_row r SET record_id = f.record_id, outcome = CASE WHEN f.record_id IS NULL THEN f.outcome ELSE 'unchanged' END,
            field = f.field, reason = CASE WHEN f.record_id IS NULL THEN 'row ' || f.line || ': ' || f.reason END
        FROM import_row f WHERE r.import_id = :import AND r.step = '{step}' AND {lines} AND r.outcome = 'skipped'
        AND r.record_id IS NULL AND f.import_id = r.import_id AND f.step = r.step AND {_of("f", lines)} AND f.line = r.same_as"""


def take(above: str, step: str, lines: str, attribute: str, label: str) -> str:
    """Hand the numbers of what was brought to the rows that brought it, or the reason why there is none."""
    return f"""
        UPDATE import_row r SET
            data = CASE WHEN b.record_id IS NULL THEN r.data
                        ELSE r.data || jsonb_build_object('{attribute}', b.record_id) END,
            outcome = CASE WHEN b.record_id IS NULL THEN b.outcome ELSE r.outcome END,
            field = CASE WHEN b.record_id IS NULL THEN b.field ELSE r.field END,
            reason = CASE WHEN b.record_id IS NULL THEN {_quoted(f"{label}: ")} || b.reason ELSE r.reason END
        FROM import_row b WHERE r.import_id = :import AND r.step = '{above}' AND {lines} AND {OPEN}
        AND b.import_id = r.import_id AND b.step = '{step}' AND {_of("b", lines)} AND b.line = r.line"""


def is_part_of(face: Face, reference: str) -> bool:
    """Whether a record is a part of what it refers to: it goes with that."""
    column = face.entity.__table__.c[face.fields[reference].attribute]
    return any(key.ondelete == "CASCADE" for key in column.foreign_keys)


def skip_parts_of_known(above: str, step: str, lines: str, label: str, face: Face) -> str:
    """Rows that are parts of something that was there before this import are left out, as it is."""
    table = face.entity.__tablename__
    known = f"b.import_id = :import AND b.step = '{step}' AND {_of('b', lines)} AND b.outcome = 'unchanged'"
    return f"""
        UPDATE import_row r SET outcome = 'skipped', reason = {_quoted(f"{label} ")} || {name_of_record(face)} || ' is there already'
        FROM import_row b CROSS JOIN LATERAL (SELECT * FROM {table} WHERE {table}.id = b.record_id OFFSET 0) {table}
        WHERE r.import_id = :import AND r.step = '{above}' AND {lines} AND {OPEN}
        AND {known} AND b.line = r.line
        AND NOT EXISTS (SELECT FROM import_row c WHERE c.import_id = :import AND c.step = '{step}' AND c.outcome = 'created'
                        AND c.match_key = ANY (ARRAY(SELECT DISTINCT b.match_key FROM import_row b WHERE {known}))
                        AND c.match_key = b.match_key)"""


def _quoted(text: str) -> str:
    """Words of a declaration as SQL text; a colon would begin a bound value."""
    return "'" + text.replace("'", "''").replace(":", "\\:") + "'"
