"""On whose behalf rows are loaded: what that person may change, link to and bring along, as SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import literal_column, select, true
from sqlalchemy.dialects import postgresql

from crm.core.command import Refused
from crm.core.entity import Face
from crm.core.permissions import PICK, Scope, allowed
from crm.importing.keys import Key, usable
from crm.importing.targets import landings
from crm.models.access import User
from crm.queries.scope import row_scope

OWN_ROWS = 1_000


@dataclass(frozen=True)
class Rights:
    """Of the user who asked; without one, of whoever stands at the command line, who may everything."""

    person: User | None = None

    @classmethod
    def of(cls, face: Face, actor: User | None, columns: Iterable[str] = ()) -> Rights:
        """Of the user who asked. Raises Refused when that user is gone, locked, or may it no longer, or may not set one
        of the columns any more."""
        if actor is None or not actor.active or None in _scopes(face, actor):
            raise Refused("the person who asked may no longer import")
        settable = {landing.name for landing in landings(face, actor)}
        lost = next((name for name in columns if name not in settable), None)
        if lost is not None:
            raise Refused(f"the person who asked may no longer set “{lost}”")
        return cls(actor)

    @property
    def actor(self) -> int | None:
        return None if self.person is None else self.person.id

    def reached(self, face: Face) -> str:
        """SQL: the known records that may be changed."""
        if self.person is None:
            return "true"
        return _sql(face, [*row_scope(face, self.person, "import"), *row_scope(face, self.person)])

    def sets_owner(self, face: Face) -> bool:
        """Whether new records become the person's own."""
        return self.person is not None and set(_scopes(face, self.person)) != {Scope.ALL}

    def refuse_too_many(self, face: Face, rows: int) -> None:
        """Who may bring in records of their own only brings few at once. Raises Refused."""
        if rows > OWN_ROWS and self.person is not None and _scopes(face, self.person)[0] is Scope.OWN:
            raise Refused(f"the file has more than {OWN_ROWS:,} rows, and you may import into your own records only: "
                          "split it, or ask a manager")  # fmt: skip

    def linkable(self, face: Face) -> str:
        """SQL: the records that others may be linked to: those that the person finds in a form as well."""
        return _sql(face, face.where() if self.person is None else row_scope(face, self.person, PICK))

    def keys(self, face: Face) -> list[Key]:
        """What a file may name these by."""
        return usable(face, self.person)


def _scopes(face: Face, actor: User) -> tuple[Scope | None, Scope | None]:
    return allowed(actor, f"{face.name}.import"), allowed(actor, f"{face.name}.read")


def _sql(face: Face, conditions: Sequence[Any]) -> str:
    """The conditions as they stand behind WHERE of a query of the face's table: there, and only there, their subqueries
    mean its row."""
    query: Any = select(literal_column("1")).select_from(face.entity.__table__).where(true(), *conditions)
    # Nothing in it but names of columns and the number of the user.
    compiled = str(query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))
    return compiled.partition("\nWHERE ")[2] or "true"
