"""Brings staged rows into the tables, chunk by chunk; a preview is the same code, rolled back."""

# ruff: noqa: S608 - statements are put together from declarations; what a person gave is always bound

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, IntegrityError

from crm.core.command import Refused
from crm.core.entity import Face
from crm.core.permissions import Scope, allowed
from crm.core.statistics import refresh_statistics
from crm.importing.plan import Plan
from crm.importing.staging import CHUNK
from crm.importing.statements import CHUNK_SCOPE, OPEN, Statements
from crm.importing.targets import landings
from crm.models.access import User
from crm.models.imports import Duplicates, Outcome
from crm.queries.scope import row_scope

# A key repeated more often within one chunk ends the chunk: each repetition costs a round of statements.
MOST_ROUNDS = 50
_WORTH_COUNTING = 500  # rows: fewer are quick even by a bad plan
OUTCOMES = tuple(str(member.value) for member in Outcome)


@dataclass(frozen=True)
class Rights:
    """On whose behalf rows are loaded; as SQL, which known records may be changed; and whether new ones become the
    person's own."""

    actor: int | None
    reached: str
    sets_owner: bool

    @classmethod
    def of_operator(cls) -> Rights:
        """Of whoever stands at the command line, who may everything."""
        return cls(None, reached="true", sets_owner=False)

    @classmethod
    def of(cls, face: Face, actor: User | None, columns: Iterable[str] = ()) -> Rights:
        """Of the user who asked. Raises Refused when that user is gone, locked, or may it no longer, or may not set one
        of the columns any more."""
        importing = allowed(actor, f"{face.name}.import")
        reading = allowed(actor, f"{face.name}.read")
        if actor is None or not actor.active or importing is None or reading is None:
            raise Refused("the person who asked may no longer import")
        settable = {landing.name for landing in landings(face, actor)}
        lost = next((name for name in columns if name not in settable), None)
        if lost is not None:
            raise Refused(f"the person who asked may no longer set “{lost}”")
        reached = and_(*row_scope(face, actor, "import"), *row_scope(face, actor))
        # Nothing in it but names of columns and the number of the user.
        sql = reached.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
        return cls(actor.id, str(sql), sets_owner={importing, reading} != {Scope.ALL})


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
        self._lock_key = f"import into {face.entity.__tablename__}"
        self._values: dict[str, Any] = {
            "import": import_id,
            "after": 0,
            "upto": 0,
            "watch": watch,
            "skip": plan.duplicates is Duplicates.SKIP,
            "lines": [],
            "advice": ": match by this number to update it",
            **{f"default_{name}": value for name, value in face.defaults.items()},
        }
        self._heed(ask())

    def _heed(self, rights: Rights) -> None:
        self._values |= {"actor": rights.actor}
        self._statements = Statements(self._face, self._plan, reached=rights.reached, sets_owner=rights.sets_owner)

    def chunks(self, after: int = 0) -> Iterator[tuple[int, Counter[str]]]:
        """Load what lies below line `after`; yields (last line, outcomes) per chunk; the caller commits."""
        number = 0
        while (upto := self._next_end(after)) is not None:
            if self._alone:
                # Two imports at once would each create what the other is creating.
                self._run("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))", lock=self._lock_key)
            self._heed(self._ask())
            if upto - after >= _WORTH_COUNTING and number & (number - 1) == 0:  # before chunk 0, 1, 2, 4, 8 …
                refresh_statistics(self._connect(), self._statements.tables)
            number += 1
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
                    "WHERE import_id = :import AND line > :after "
                    "ORDER BY line LIMIT :chunk) chunk"
                ),
                wanted,
            )
            .scalar()
        )
        if end is None or self._plan.duplicates is not Duplicates.UPDATE:
            return None if end is None else int(end)
        crowded = (
            self._connect()
            .execute(
                text(
                    "SELECT min(line) FROM (SELECT line, "
                    "row_number() OVER (PARTITION BY match_key ORDER BY line) AS place "
                    "FROM import_row WHERE import_id = :import AND line > :after AND line <= :end "
                    "AND match_key IS NOT NULL AND same_as IS NOT NULL) placed WHERE place > :most"
                ),
                {**wanted, "end": end, "most": MOST_ROUNDS},
            )
            .scalar()
        )
        return int(end if crowded is None else crowded - 1)

    def _load_range(self, after: int, upto: int) -> None:
        """Load one range. When a rule of the database refuses it, look for the row to blame, by halves."""
        try:
            with self._connect().begin_nested():
                self._load(after, upto)
        except (IntegrityError, DataError) as fault:
            if getattr(fault.orig, "sqlstate", None) == "40P01":
                raise
            lines = self._lines(after, upto)
            if len(lines) <= 1:
                self._refuse(after, upto, fault)
                return
            middle = lines[len(lines) // 2 - 1]
            self._load_range(after, middle)
            self._load_range(middle, upto)

    def _lines(self, after: int, upto: int) -> list[int]:
        rows = self._run(
            f"SELECT r.line FROM import_row r WHERE {CHUNK_SCOPE} AND r.outcome IS NULL ORDER BY r.line",
            after=after,
            upto=upto,
        )
        return list(rows.scalars())

    def _refuse(self, after: int, upto: int, fault: IntegrityError | DataError) -> None:
        diagnosis = getattr(fault.orig, "diag", None)
        rule = (getattr(diagnosis, "constraint_name", None) or "a rule of the database").replace("_", " ")
        self._run(
            f"UPDATE import_row r SET outcome = 'refused', reason = :reason WHERE {CHUNK_SCOPE} AND {OPEN}",
            after=after,
            upto=upto,
            reason=f"its values don't fit together ({rule})",
        )

    def _load(self, after: int, upto: int) -> None:
        self._values |= {"after": after, "upto": upto}
        sql = self._statements
        if self._plan.duplicates is Duplicates.CREATE:
            self._settle_unique(CHUNK_SCOPE)
            self._create(CHUNK_SCOPE)
            return
        if self._plan.duplicates is Duplicates.SKIP:
            if self._plan.match:
                self._run(sql.match(CHUNK_SCOPE))
                self._run(sql.skip_repeated(CHUNK_SCOPE))
            self._settle_unique(CHUNK_SCOPE)
            self._create(CHUNK_SCOPE)
            return
        for scope, lines in self._rounds():
            self._values["lines"] = lines
            self._update_or_create(scope)

    def _rounds(self) -> Iterator[tuple[str, list[int]]]:
        """Rows with the same key one after the other, so that each finds what the one before has left."""
        repeated = self._run(
            f"""SELECT line, place FROM (
                    SELECT r.line, row_number() OVER (PARTITION BY r.match_key ORDER BY r.line) AS place
                    FROM import_row r WHERE {CHUNK_SCOPE} AND {OPEN} AND r.match_key IS NOT NULL) placed
                WHERE place > 1"""
        ).all()
        yield f"{CHUNK_SCOPE} AND r.line <> ALL (CAST(:lines AS integer[]))", [line for line, _ in repeated]
        for wanted in sorted({place for _, place in repeated}):
            chosen = [line for line, place in repeated if place == wanted]
            yield f"{CHUNK_SCOPE} AND r.line = ANY (CAST(:lines AS integer[]))", chosen

    def _update_or_create(self, scope: str) -> None:
        sql = self._statements
        if self._plan.match:
            self._run(sql.match(scope))
        self._settle_unique(scope)
        self._run(sql.lock(scope))
        self._run(sql.refuse_updates(scope))
        self._run(sql.compare(scope))
        self._run(sql.update(scope))
        for part in sql.parts:
            self._run(sql.update_part(part, scope))
        self._create(scope)

    def _settle_unique(self, scope: str) -> None:
        for landing in self._statements.unique:
            # What rows are matched by cannot belong to another record than the one it was matched with.
            if landing.key != self._plan.match or self._plan.duplicates is Duplicates.CREATE:
                self._run(self._statements.settle_taken(scope, landing.key))

    def _create(self, scope: str) -> None:
        sql = self._statements
        numbered = self._run(sql.number_new(scope)).rowcount
        if numbered and self._run(sql.insert(scope)).rowcount < numbered:
            self._run(sql.refuse_lost(scope))
        for part in sql.parts:
            self._run(sql.insert_part(part, scope))

    def _outcomes(self, after: int, upto: int) -> Counter[str]:
        rows = self._run(
            f"SELECT r.outcome, count(*) FROM import_row r WHERE {CHUNK_SCOPE} GROUP BY 1",
            after=after,
            upto=upto,
        )
        return Counter({str(outcome): int(number) for outcome, number in rows})


def totals(counts: Counter[str]) -> dict[str, int]:
    """The counts of an import in their fixed order; `rows` is their sum."""
    known = {name: counts.get(name, 0) for name in OUTCOMES}
    return {"rows": sum(known.values()), **known}
