"""Verbs, declared once: `@command` makes the row action, the batch action, the permission and the API action.

`perform()` gives each row its own savepoint: a `Refused` skips that row and says why, the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import BigInteger, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from crm.core.entity import Entity, Face, db
from crm.core.fields import Field

NOT_THERE = "there is no such record for you"


class Refused(Exception):
    """A command said no; the message completes the sentence “Not done: …” for a person."""

    def __str__(self) -> str:
        return super().__str__().rstrip(".")


class WrongInput(ValueError):
    """Values that can't be taken: public field name → sentence."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name} {sentence}" for name, sentence in errors.items()))
        self.errors = dict(errors)


@dataclass(frozen=True, eq=False)
class Command:
    """A verb of an entity: what it is called, what it asks for, and what it does to one record."""

    entity: type[Entity]
    verb: str
    label: str
    run: Callable[..., None]
    asks: dict[str, Field] = field(default_factory=dict)
    confirm: str = ""
    tone: str = "neutral"
    icon: str = "zap"
    faces: tuple[str, ...] = ()
    applies: Callable[[Any], bool] | None = None
    set_form: Callable[..., dict[int, str]] | None = None
    suggests: Callable[[Any, Any], dict[str, Any]] | None = None
    trial: Callable[..., dict[str, Any]] | None = None
    seldom: bool = False

    def tries(self, run: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """Declare the dry run, for a command that asks for `dry_run`: takes what the command takes, tells what it would do."""
        object.__setattr__(self, "trial", run)
        return run

    def many(self, run: Callable[..., dict[int, str]]) -> Callable[..., dict[int, str]]:
        """Declare the set form (`@block.many`): takes the numbers of locked records, `by` and the asked values, does
        them in one statement, and answers the refused ones with their reasons. Its outcome is that of the single form.
        """
        object.__setattr__(self, "set_form", run)
        return run

    @property
    def help(self) -> str:
        return (self.run.__doc__ or "").strip().split("\n\n")[0]

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values it asks for, read from text or JSON. Raises WrongInput with every fault at once."""
        values: dict[str, Any] = {}
        errors = {name: "is not asked for here" for name in given if name not in self.asks}
        for name, asked in self.asks.items():
            try:
                values[name] = asked.parse(given.get(name))
                if asked.required and values[name] is None:
                    errors[name] = "is required"
            except ValueError as fault:
                errors[name] = str(fault)
        if errors:
            raise WrongInput(errors)
        return values


@dataclass(frozen=True)
class Outcome:
    """What became of one record: `reason` is empty when it was done."""

    id: int
    title: str
    reason: str = ""

    @property
    def done(self) -> bool:
        return not self.reason


_commands: dict[tuple[type[Entity], str], Command] = {}


def command(entity: type[Entity], label: str, *, asks: Mapping[str, Field] | None = None, confirm: str = "",
            tone: str = "neutral", icon: str = "zap", faces: tuple[str, ...] = (),
            applies: Callable[[Any], bool] | None = None,
            suggests: Callable[[Any, Any], dict[str, Any]] | None = None, seldom: bool = False) -> Callable[[Callable[..., None]], Command]:  # fmt: skip
    """Declare a verb: the function takes the record, `by` (who does it) and the asked values by keyword.

    `applies` hides the command on a record where it makes no sense; it is a courtesy, the function still refuses.
    `suggests` answers, for a record and who asks, values that its form begins with. What is `seldom` wanted stands last.
    """

    def declare(run: Callable[..., None]) -> Command:
        verb = run.__name__.rstrip("_")
        asked = {name: _named(declared, name) for name, declared in (asks or {}).items()}
        made = Command(
            entity, verb, label, run, asked, confirm, tone, icon, faces, applies, suggests=suggests, seldom=seldom
        )
        _commands[entity, verb] = made
        return made

    return declare


def _named(declared: Field, name: str) -> Field:
    return replace(declared, name=name, attribute=name, label=declared.label or name.replace("_", " ").capitalize())


def commands_of(face: Face) -> list[Command]:
    """The commands a face offers, in order of declaration; what is seldom wanted comes last."""
    found = [
        made
        for made in _commands.values()
        if made.entity is face.entity and (not made.faces or face.name in made.faces)
    ]
    return sorted(found, key=lambda made: made.seldom)


def command_named(face: Face, verb: str) -> Command | None:
    return next((made for made in commands_of(face) if made.verb == verb), None)


def lock_in_order(entity: type[Entity], ids: Iterable[int], *conditions: Any, alone: bool = False) -> list[Any]:
    """The rows, locked in the order of their ids: the one order everybody uses, so that nobody deadlocks. Others may go on
    entering rows that name them, as a transfer to an account that has a command of its own; `alone`: they wait as well."""
    statement = select(entity).where(among(entity.id, sorted(set(ids))), *conditions).order_by(entity.id)
    locked = statement.with_for_update(of=entity, key_share=not alone)
    return list(db.session.scalars(locked.execution_options(populate_existing=True)))


def among(column: Any, ids: Iterable[int]) -> Any:
    """The column is one of these numbers, sent as one array: a thousand single values take longer to read than to do."""
    return column == func.any(bindparam(None, list(ids), ARRAY(BigInteger)))


def perform(made: Command, ids: Iterable[int], *, by: Any, values: Mapping[str, Any],
            where: Iterable[Any] = (), name: Callable[[Any], str] = str) -> list[Outcome]:  # fmt: skip
    """Do a command to each record, each in its own savepoint, and say what became of each.

    `where` is the row scope: a record outside it counts as not there. `name` is what `by` may call a record. Flushes;
    the edge commits.
    """
    wanted = list(dict.fromkeys(ids))
    found = {row.id: row for row in lock_in_order(made.entity, wanted, *where)}
    outcomes = []
    for record_id in wanted:
        record = found.get(record_id)
        if record is None:
            outcomes.append(Outcome(record_id, f"{made.entity.noun()} {record_id}", NOT_THERE))
            continue
        title = name(record)
        try:
            with db.session.begin_nested():
                made.run(record, by=by, **values)
        except Refused as refusal:
            outcomes.append(Outcome(record_id, title, str(refusal)))
        else:
            outcomes.append(Outcome(record_id, title))
    return outcomes


def perform_set(made: Command, ids: Iterable[int], *, by: Any, values: Mapping[str, Any],
                where: Iterable[Any] = ()) -> dict[int, str]:  # fmt: skip
    """Do a command to many records, by its set form where it has one. Answers the refused ones with their reasons.

    `where` is the row scope. Flushes; the edge commits. What the session has loaded of these records is read anew.
    """
    wanted = list(dict.fromkeys(ids))
    if made.set_form is None:
        outcomes = perform(made, wanted, by=by, values=values, where=where)
        return {outcome.id: outcome.reason for outcome in outcomes if not outcome.done}
    db.session.flush()
    statement = select(made.entity.id).where(among(made.entity.id, wanted), *where).order_by(made.entity.id)
    found = list(db.session.scalars(statement.with_for_update(of=made.entity, key_share=True)))
    refused = dict.fromkeys(set(wanted) - set(found), NOT_THERE)
    if found:
        refused |= made.set_form(found, by=by, **values)
    db.session.expire_all()
    return refused
