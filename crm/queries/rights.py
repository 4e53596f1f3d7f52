"""Why somebody can or can't do something, in words: which lines of which roles speak of it, and whom to ask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import undefer

from crm.core.command import command_named
from crm.core.entity import Entity, Face, all_faces, db, face_named
from crm.core.fields import Field, FieldClass
from crm.core.permissions import (
    BULK_PERSONAL,
    CONSENTED,
    PICK,
    Access,
    Actor,
    Scope,
    access_of,
    accesses,
    allowed,
    decide,
    face_verbs,
    field_lines,
    matches,
    names_of,
    reach,
    title_for,
)
from crm.models.access import Origin, Role, RoleGrant, User
from crm.queries.scope import colleagues_of, find, teams_of

_VERBS = {"read": "see", PICK: "choose from a list", "create": "make", "edit": "change", "delete": "delete",
          "export": "take out as a file", BULK_PERSONAL: "take personal values out in files",
          CONSENTED: "take contact values of those who agreed to marketing out in files", "import": "import"}  # fmt: skip
_ROWS = {Scope.OWN: "his or her own", Scope.TEAM: "his or her own and the teams'", Scope.ALL: "all"}
MOST_NAMED = 3


@dataclass(frozen=True)
class Line:
    """A line of a role that speaks of what is asked."""

    role: Role
    grant: RoleGrant
    gives: bool


@dataclass(frozen=True)
class Answer:
    """`can` is the verdict; `reasons` say in sentences how it comes about."""

    can: bool
    question: str
    reasons: list[str]
    lines: list[Line]
    ask: str = ""


def verb_words(face: Face, verb: str) -> str:
    """`block` → “block”, `read` → “see”: what a person calls the verb."""
    made = command_named(face, verb)
    return made.label.lower() if made else _VERBS.get(verb, verb.replace("_", " "))


def why(user: User, face: Face, verb: str, *, given: str = "", name: str = "", teller: Actor) -> Answer:
    """Whether the user may do this, to the record with the number or code `given`, with the field of this name.

    `teller` is who asks: nothing is told of records and people that the teller may not see.
    """
    question = f"{user.name}: {verb_words(face, verb)} {face.label_plural.lower()}"
    if not user.active:
        return Answer(False, question, [f"{user.name} is locked and can do nothing."], [])
    reasons, lines = _right(user, face, verb)
    can = allowed(user, f"{face.name}.{verb}") is not None
    if can and given:
        can, told = _record(user, face, verb, given, teller)
        reasons += told
    if name and name in (*face.fields, *face.embedded_names):
        can, told, more = _field(user, face, verb, face.field(name), can)
        reasons, lines = reasons + told, lines + more
    return Answer(can, question, reasons, lines, "" if can else whom_to_ask(face, verb))


def _held(user: User) -> Iterable[tuple[Role, RoleGrant]]:
    return ((role, line) for role in user.roles for line in role.grants if line.origin is not Origin.OFF)


def _right(user: User, face: Face, verb: str) -> tuple[list[str], list[Line]]:
    if face.through:
        others = [other for other in map(face_named, face.through) if allowed(user, f"{other.name}.{verb}")]
        by = ", ".join(other.label_plural.lower() for other in others)
        told = f"{face.label_plural} is reached by the rights to {by}." if by else (
            f"{face.label_plural} is reached by the right to any of: "
            f"{', '.join(face_named(name).label_plural.lower() for name in face.through)}. There is none.")  # fmt: skip
        return [told], [line for other in others for line in _right(user, other, verb)[1]]
    permission = f"{face.name}.{verb}"
    if verb not in face_verbs(face):
        return [f"Nobody can: {face.label_plural.lower()} don't offer “{verb_words(face, verb)}”."], []
    names = (*names_of(face, verb), *(names_of(face, "read") if verb == PICK else ()))
    lines = [Line(role, line, not line.deny) for role, line in _held(user)
             if line.access is None and matches(line.pattern, names)]  # fmt: skip
    given, denied = reach(user, face, verb)
    rows = f"{_ROWS[given]} {face.label_plural.lower()}" if given else ""
    if given is None and any(not line.gives for line in lines):
        roles = _roles(line for line in lines if not line.gives)
        return [f"{roles} denies {permission} explicitly. That wins over whatever other roles give."], lines
    if given is None:
        held = ", ".join(role.label for role in user.roles) or "none"
        return [f"None of the roles of {user.name} ({held}) gives {permission}."], lines
    if not face.about.within:
        rows = f"all {face.label_plural.lower()}, because they belong to nobody in particular"
    found = [f"{_roles(line for line in lines if line.gives)} gives {permission} for {rows}."]
    if denied is not None:
        found.append(f"Denied explicitly for {_ROWS[denied]}: {_roles(line for line in lines if not line.gives)}.")
    return found, lines


def _roles(lines: Iterable[Line]) -> str:
    found = dict.fromkeys(f"{line.role.label} (by “{line.grant.pattern}”)" for line in lines)
    return ", ".join(found) or "No role"


def _record(user: User, face: Face, verb: str, given: str, teller: Actor) -> tuple[bool, list[str]]:
    record = find(face, teller, given)
    if record is None:
        return False, [f"There is no {face.label.lower()} {given[:40]} that you may see, so nothing is told about it."]
    title = title_for(teller, face, record)
    if face.is_archived(record) and verb in ("edit", "delete"):
        return False, [f"{title} is archived: it can be read, not changed, until somebody restores it."]
    reached = find(face, user, str(record.id), verb) is not None
    if not face.about.within:
        return reached, [f"{title} is {'within' if reached else 'outside of'} what the right reaches."]
    told = [f"{title} lies {'within' if reached else 'outside'} these rows: {_holders(face, record, user, teller)}."]
    return reached, told


def _holders(face: Face, record: Entity, user: User, teller: Actor) -> str:
    """Whose a record is, and how the user stands to them."""
    people, teams = set(db.session.scalars(colleagues_of(user.id))), set(db.session.scalars(teams_of(user.id)))
    said = []
    for path in face.about.paths:
        holder = record
        for step in path[:-1]:
            holder = getattr(holder, step)
        owner = getattr(holder, path[-1])
        whose = "" if holder is record else f"the {type(holder).noun().lower()} it belongs to: "
        if owner is None:
            said.append(f"{whose}nobody owns it")
        elif owner.id == user.id:
            said.append(f"{whose}{user.name} owns it")
        else:
            near = "who is in a team of" if owner.id in people else "who is in no team of"
            said.append(f"{whose}it belongs to {title_for(teller, face_named('user'), owner)}, {near} {user.name}")
        team = getattr(holder, "team", None)
        if team is not None:
            said.append(f"{'one' if team.id in teams else 'not one'} of the person's teams has it: {team.name}")
    return "; ".join(said)


def _field(user: User, face: Face, verb: str, declared: Field, can: bool) -> tuple[bool, list[str], list[Line]]:
    access = access_of(user, face, declared.name)
    lines = [Line(role, line, line.access is not Access.HIDDEN) for role, line in _held(user)
             if line.access is not None and field_lines([line.as_field_grant()], face, declared)]  # fmt: skip
    kind = f"{declared.field_class.label.lower() if declared.field_class else 'open'} field"
    told = [
        f"“{declared.label}” is a field of class {kind.removesuffix(' field')}: {access.label.lower()} for {user.name}."
    ]
    if not lines:
        told.append("No role says anything about it: open fields are then read, all others aren't there.")
    elif access is Access.HIDDEN and any(not line.gives for line in lines):
        told.append(f"{_roles(line for line in lines if not line.gives)} leaves it out explicitly. That wins.")
    else:
        widest = [line for line in lines if line.grant.access is access]
        told.append(f"It is so by {_roles(widest)}." if widest else "Another field that it belongs to decides that.")
    writing = verb in ("create", "edit", "import")
    return can and (access is Access.WRITE if writing else access.shows), told, lines


def whom_to_ask(face: Face, verb: str) -> str:
    """Which roles have the right, and who can give one: the short form that a refusal shows."""
    permission = f"{face.name}.{verb}"
    roles = db.session.scalars(select(Role).options(undefer(Role.rights)).order_by(Role.id))
    faces = [face_named(name) for name in face.through] or [face]
    having = [role.label for role in roles if any(decide(role.gives, *names_of(one, verb)) for one in faces)]
    return f"You need {permission}. {_listed(having)} {_administrators()}"


def _listed(roles: list[str]) -> str:
    if not roles:
        return "No role has it."
    return f"{'The role' if len(roles) == 1 else 'These roles have it:'} {', '.join(roles)}{' has it' if len(roles) == 1 else ''}."


def _administrators() -> str:
    """Who can give roles, by name."""
    statement = select(User).where(User.active).options(undefer(User.rights)).order_by(User.id)
    named = []
    for user in db.session.scalars(statement.where(User.roles.any()).limit(200)):
        if allowed(user, "user.give_role") is Scope.ALL:
            named.append(user.name)
        if len(named) == MOST_NAMED:
            break
    return f"An administrator can give you one: {', '.join(named)}." if named else "Ask an administrator."


@dataclass(frozen=True)
class Cell:
    """What one role has for one verb of one face."""

    scope: Scope | None
    denied: Scope | None


def matrix(roles: list[Role], areas: set[str]) -> list[tuple[Face, list[str], dict[tuple[int, str], Cell]]]:
    """Face by face of these areas: its verbs, and what each role has for each."""
    found, bearers = [], [(role.id, _Bearer(role)) for role in roles]
    for face in all_faces():
        if face.through or not face.about.screen or face.about.area not in areas:
            continue
        cells = {}
        for number, bearer in bearers:
            for verb in face_verbs(face):
                cells[number, verb] = Cell(*reach(bearer, face, verb))
        found.append((face, face_verbs(face), cells))
    return found


class _Bearer:
    """Somebody who holds this one role."""

    id = 0

    def __init__(self, role: Role) -> None:
        counting = [line for line in role.grants if line.origin is not Origin.OFF]
        self.grants = tuple(line.as_grant() for line in counting if line.access is None)
        self.field_grants = tuple(line.as_field_grant() for line in counting if line.access is not None)


def classes(roles: list[Role], face: Face) -> dict[tuple[int, str], list[Access]]:
    """(role, class) → the accesses that its fields of the class have there, from the least; one where all are alike."""
    found: dict[tuple[int, str], list[Access]] = {}
    for role in roles:
        may = accesses(_Bearer(role), face)
        for name, declared in face.fields.items():
            if name != "id":
                found.setdefault((role.id, str(declared.field_class or FieldClass.OPEN)), []).append(may[name])
    return {key: sorted(set(values), key=lambda one: one.rank) for key, values in found.items()}
