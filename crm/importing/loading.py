"""Brings staged rows into the tables, chunk by chunk; a preview is the same code, rolled back."""

# ruff: noqa: S608 - statements are put together from declarations; what a person gave is always bound

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, IntegrityError

from crm.core.entity import Face
from crm.core.statistics import refresh_outgrown
from crm.importing import linking
from crm.importing.checking import explain, out_of_reach, put_first, refuse_broken, refuse_checked
from crm.importing.decisions import LEAVE_OUT, named_records
from crm.importing.linking import Link, links_of
from crm.importing.plan import Plan
from crm.importing.rights import Rights
from crm.importing.staging import CHUNK
from crm.importing.statements import OPEN, Statements
from crm.importing.targets import DOT, brought_face
from crm.importing.unfit import not_found
from crm.models.imports import Duplicates, Outcome

# A key repeated more often within one chunk ends the chunk: each repetition costs a round of statements.
MOST_ROUNDS = 50
_WORTH_COUNTING = 500  # rows: fewer are quick even by a bad plan
OUTCOMES = tuple(str(member.value) for member in Outcome)


class _OutOfReach(Exception):
    """New records at these lines would lie outside of what the person may reach."""

    def __init__(self, lines: list[int]) -> None:
        super().__init__(lines)
        self.lines = lines


@dataclass(frozen=True)
class _Part:
    """The statements of one kind of record, with what its rows link to and bring along, by reference."""

    sql: Statements
    plan: Plan
    links: list[Link]
    brought: dict[str, _Part]

    @property
    def all(self) -> list[_Part]:
        return [self, *(part for other in self.brought.values() for part in other.all)]

    @property
    def tables(self) -> list[str]:
        return [*self.sql.tables, *(link.table for link in self.links)]


class Loader:
    """Loads the staged rows of one import. `connect` answers the connection that counts now, `ask` the rights."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        import_id: int,
        face: Face,
        plan: Plan,
        ask: Callable[[], Rights],
        *,
        watch: int = 0,
        alone: bool = True,
    ) -> None:
        self._connect = connect
        self._plan = plan
        self._face = face
        self._ask = ask
        self._alone = alone
        self._values: dict[str, Any] = {
            "import": import_id,
            "after": 0,
            "upto": 0,
            "watch": watch,
            "system": plan.system,
            "lines": [],
            "advice": ": match by this number to update it",
        }
        self._heed(ask())
        self._lock_keys = sorted(f"import into {part.sql.table}" for part in self._main.all)
        for part in self._main.all:
            self._values |= {f"default_{part.sql.face.name}_{name}": v for name, v in part.sql.face.defaults.items()}

    def _heed(self, rights: Rights) -> None:
        self._rights = rights
        self._values |= {"actor": rights.actor}
        self._main = self._part(self._face, self._plan, "")

    def _part(self, face: Face, plan: Plan, step: str) -> _Part:
        rights = self._rights
        sql = Statements(face, plan, reached=rights.reached(face), sets_owner=rights.sets_owner(face), step=step)
        brought = {reference: self._part(brought_face(face, reference), other, f"{step}{DOT}{reference}" if step else reference)
                   for reference, other in plan.brought().items()}  # fmt: skip
        return _Part(sql, plan, links_of(face, plan), brought)

    def compare_keys(self) -> None:
        """Before the first chunk: find the rows that mean the same record, and bring the keys of what they bring along into
        the form in which the tables have them."""
        with self._once_through():
            for part in self._main.all:
                self._run(part.sql.normalise_keys())
            if self._plan.match and self._plan.duplicates is Duplicates.SKIP:
                self._run(self._main.sql.ladder.mark_repeated())

    @contextmanager
    def _once_through(self) -> Iterator[None]:
        """Read what is joined once. The rows were written a moment ago, and what is known of their targets may be old: planned
        by belief, a chunk was joined with itself row by row. What is to be looked up for each row says so itself, in a
        sub-select that is closed with OFFSET 0. A rollback to a savepoint ends this too."""
        self._run("SET LOCAL enable_nestloop = off")
        yield
        self._run("SET LOCAL enable_nestloop = on")

    def not_found(self) -> Iterator[tuple[str, str, int]]:
        """What the rows call others that aren't there, or are there more than once: (target, name, how often)."""
        for part in self._main.all:
            step = part.sql.step
            for landing in (link.landing for link in part.links):
                name = f"{step}{DOT}{landing.name}" if step else landing.name
                found = not_found(self._connect(), self._values["import"], step, landing.key, landing.field.attribute)
                yield from ((name, value, number) for value, number in found)

    def chunks(self, after: int = 0) -> Iterator[tuple[int, Counter[str]]]:
        """Load what lies below line `after`; yields (last line, outcomes) per chunk; the caller commits."""
        while (upto := self._next_end(after)) is not None:
            for key in self._lock_keys if self._alone else ():
                # Two imports at once would each create what the other is creating.
                self._run("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))", lock=key)
            self._heed(self._ask())
            if upto - after >= _WORTH_COUNTING:
                refresh_outgrown(self._connect(), [*dict.fromkeys(t for part in self._main.all for t in part.tables)])
            self._load_range(after, upto)
            yield upto, self._outcomes(after, upto)
            after = upto

    def _run(self, statement: str | None, **more: Any) -> Any:
        if statement is None:
            return None
        return self._connect().execute(text(statement), {**self._values, **more})

    def _next_end(self, after: int) -> int | None:
        wanted = {"import": self._values["import"], "after": after, "chunk": CHUNK}
        end = (
            self._connect()
            .execute(
                text(
                    "SELECT max(line) FROM (SELECT line FROM import_row "
                    "WHERE import_id = :import AND step = '' AND line > :after "
                    "ORDER BY line LIMIT :chunk) chunk"
                ),
                wanted,
            )
            .scalar()
        )
        if end is None or self._plan.duplicates is not Duplicates.UPDATE:
            return None if end is None else int(end)
        # Where one key stands too often, the range ends before it.
        places = self._places(f"{self._main.sql.rows} AND r.line > :after AND r.line <= :upto", after=after, upto=end)
        crowded = min((line for line, place in places.items() if place > MOST_ROUNDS), default=None)
        return int(end if crowded is None else crowded - 1)

    def _places(self, scope: str, **more: Any) -> dict[int, int]:
        """Of rows that share a key with an earlier one of the scope: how many have to go before them."""
        if not self._plan.match:
            return {}
        last: dict[str, int] = {}
        places: dict[int, int] = {}
        for line, keys in self._run(self._main.sql.ladder.shared(scope), **more):
            place = 1 + max(last.get(key, 0) for key in keys)
            last |= dict.fromkeys(keys, place)
            if place > 1:
                places[line] = place
        return places

    def _load_range(self, after: int, upto: int) -> None:
        """Load one range. When a rule of the database refuses it, look for the row to blame, by halves."""
        try:
            with self._connect().begin_nested(), self._once_through():
                self._load(after, upto)
        except _OutOfReach as fault:
            self._refuse(after, upto, None, "is outside of what you may reach", lines=fault.lines)
            self._load_range(after, upto)
        except (IntegrityError, DataError) as fault:
            if getattr(fault.orig, "sqlstate", None) == "40P01":
                raise
            lines = self._lines(after, upto)
            if len(lines) <= 1:
                self._refuse(after, upto, *explain(self._face, fault))
                return
            middle = lines[len(lines) // 2 - 1]
            self._load_range(after, middle)
            self._load_range(middle, upto)

    def _lines(self, after: int, upto: int) -> list[int]:
        rows = self._run(
            f"SELECT r.line FROM import_row r WHERE {self._main.sql.chunk} AND r.outcome IS NULL ORDER BY r.line",
            after=after,
            upto=upto,
        )
        return list(rows.scalars())

    def _refuse(self, after: int, upto: int, field: str | None, reason: str, *, lines: list[int] | None = None) -> None:
        only = "" if lines is None else "AND r.line = ANY (CAST(:lines AS integer[]))"
        self._run(
            f"UPDATE import_row r SET outcome = 'refused', field = :field, reason = :reason "
            f"WHERE {self._main.sql.chunk} AND {OPEN} {only}",
            after=after,
            upto=upto,
            field=field,
            reason=reason,
            lines=lines or [],
        )

    def _load(self, after: int, upto: int) -> None:
        self._values |= {"after": after, "upto": upto}
        main, rows = self._main, "r.line > :after AND r.line <= :upto"
        scope = f"{main.sql.rows} AND {rows}"
        if self._plan.duplicates is Duplicates.UPDATE:
            self._in_turn(rows)
            return
        if self._plan.duplicates is Duplicates.SKIP:
            self._name_records(scope, skip=True)
        if self._plan.duplicates is Duplicates.SKIP and self._plan.match:
            self._run(main.sql.ladder.match(scope), skip=True)
            self._run(main.sql.ladder.skip_repeated(scope))
        self._settle_unique(main, scope, self._plan.duplicates)
        self._link(main, rows)
        self._create(main, rows)

    def _in_turn(self, rows: str) -> None:
        """Rows that mean the same record one after the other, so that each finds what the one before has left."""
        places = self._places(f"{self._main.sql.rows} AND {rows}")
        turns = [[line for line, place in places.items() if place == turn] for turn in sorted(set(places.values()))]
        chosen, lines = f"{rows} AND r.line <> ALL (CAST(:lines AS integer[]))", [*places]
        while True:
            self._values["lines"] = lines
            waiting = self._update_or_create(self._main, chosen)
            turns = [waiting, *turns] if waiting else turns
            if not turns:
                return
            chosen, lines, *turns = f"{rows} AND r.line = ANY (CAST(:lines AS integer[]))", *turns

    def _update_or_create(self, part: _Part, rows: str) -> list[int]:
        """Answers the lines of rows that found the record of another one of these, and are still to come."""
        sql, scope = part.sql, f"{part.sql.rows} AND {rows}"
        waiting = self._found(part, scope)
        self._run(sql.known_only(scope))
        self._run(sql.keep_values(scope))
        self._settle_unique(part, scope, part.plan.duplicates)
        self._run(sql.refuse_updates(scope))
        self._link(part, rows)
        self._run(sql.compare(scope))
        self._run(sql.update(scope))
        for embedded in sql.parts:
            self._run(sql.update_part(embedded, scope))
        self._create(part, rows)
        if waiting:
            self._run(sql.ladder.let_go(), waiting=waiting)
        return waiting

    def _found(self, part: _Part, scope: str) -> list[int]:
        """Find the known records of the rows and lock them. Where one was merged away before it was locked, all are let go
        and looked for again: what waited for a merge with others locked would be waited for."""
        sql = part.sql
        while True:
            with self._connect().begin_nested() as tried:
                waiting: list[int] = []
                self._name_records(scope, skip=False)
                if part.plan.match:
                    self._run(sql.ladder.match(scope), skip=False)
                if len(part.plan.match) > 1 or sql.ladder.leads_on:
                    waiting = list(self._run(sql.ladder.let_wait(scope)).scalars())
                self._run(sql.lock(scope))
                if not (sql.ladder.leads_on and self._run(sql.ladder.left_meanwhile(scope)).scalar()):
                    return waiting
                tried.rollback()

    def _name_records(self, scope: str, *, skip: bool) -> None:
        """The records that a person named for single rows."""
        named = {line: given for line, given in self._plan.rows.items() if given != LEAVE_OUT}
        if named:
            self._run(named_records(self._face, scope), skip=skip, named_lines=[*named], named=[*named.values()])

    def _link(self, part: _Part, rows: str) -> None:
        """Find what the rows name, bring what they bring along, and refuse those that cannot be records then."""
        sql, scope = part.sql, f"{part.sql.rows} AND {rows}"
        for link in part.links:
            self._run(link.find(scope, self._rights, system=part.plan.system), header=link.landing.name)
        if part.brought:
            self._run(refuse_broken(sql, scope, but={*part.brought, *sql.rules.filled}))
        for reference, other in part.brought.items():
            self._bring(part, reference, other, rows)
        self._run(sql.fill(scope))
        self._run(refuse_broken(sql, scope))
        refuse_checked(self._connect(), sql, part.plan, scope, self._values)

    def _bring(self, above: _Part, reference: str, part: _Part, rows: str) -> None:
        """Make the records that rows bring along, once each, or find them, and tell the rows their numbers."""
        sql, scope, field = part.sql, f"{part.sql.rows} AND {rows}", above.sql.face.fields[reference]
        self._run(linking.leave_with_their_rows(above.sql.step, sql.step, rows))
        if part.plan.match:
            self._run(sql.ladder.match(scope), skip=False)
            self._run(sql.refuse_updates(scope))
            self._run(linking.keep_known(scope))
            self._run(linking.gather(scope))
        self._settle_unique(part, scope, Duplicates.UPDATE)
        self._link(part, rows)
        self._create(part, rows)
        self._run(linking.share(sql.step, rows))
        if self._plan.duplicates is Duplicates.SKIP and linking.is_part_of(above.sql.face, reference):
            known = linking.skip_parts_of_known(above.sql.step, sql.step, rows, field.label, sql.face)
            self._run(known)
        self._run(linking.take(above.sql.step, sql.step, rows, field.attribute, field.label))

    def _settle_unique(self, part: _Part, scope: str, policy: Duplicates) -> None:
        for landing in part.sql.unique:
            self._run(part.sql.ladder.leave_to_merged(scope, landing.key))
            # What rows are matched by cannot belong to another record than the one it was matched with.
            if part.plan.match != (landing.name,) or policy is Duplicates.CREATE:
                self._run(part.sql.settle_taken(scope, landing.key, policy))

    def _create(self, part: _Part, rows: str) -> None:
        sql, scope = part.sql, f"{part.sql.rows} AND {rows}"
        numbered = self._run(sql.number_new(scope)).rowcount
        if numbered:
            if self._run(sql.insert(scope)).rowcount < numbered:
                self._run(sql.refuse_lost(scope))
            for statement in put_first(sql.face, scope):
                self._run(statement)
            if self._rights.person is not None:
                lines = self._run(out_of_reach(sql, scope, self._rights.reached(sql.face))).scalars().all()
                if lines:
                    raise _OutOfReach(list(lines))
        for embedded in sql.parts:
            self._run(sql.insert_part(embedded, scope))
        self._run(sql.keep_external(scope))

    def _outcomes(self, after: int, upto: int) -> Counter[str]:
        rows = self._run(
            f"SELECT r.outcome, count(*) FROM import_row r WHERE {self._main.sql.chunk} GROUP BY 1",
            after=after,
            upto=upto,
        )
        return Counter({str(outcome): int(number) for outcome, number in rows})


def totals(counts: Counter[str]) -> dict[str, int]:
    """The counts of an import in their fixed order; `rows` is their sum."""
    known = {name: counts.get(name, 0) for name in OUTCOMES}
    return {"rows": sum(known.values()), **known}
