"""What can be permitted, derived from faces, fields and commands, and the functions that decide.

A permission is `<face>.<verb>`: `customer.read`, `customer.block`. A grant gives or denies a pattern with a row scope;
a field grant says which classes of fields show, and how: absent, masked, to read, to change. A pattern may name the
face, its area (`Customers.read`) or `business`, which is every area but the system itself; `*` stands for anything.
What several roles give adds up; an explicit deny wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from sqlalchemy import inspect

from crm.core.about import SYSTEM
from crm.core.command import commands_of
from crm.core.entity import Face, all_faces, face_named
from crm.core.fields import Choice, Field, FieldClass

PICK = "pick"  # to find a record by name for a reference, without reading the rest of it; to read includes it
BULK_PERSONAL = "export_personal"  # to take the values that say something about a person away in files
CONSENTED = "export_consented"  # without that right: contact values alone, of those who agreed to marketing
BUSINESS = "business"


class _Ladder(Choice):
    """A choice whose members go from the least to the most."""

    @property
    def rank(self) -> int:
        return list(type(self)).index(self)


class Scope(_Ladder):
    """Which rows a grant reaches: those the person owns, those of the person's teams as well, or all."""

    OWN = "own", "Own", "neutral"
    TEAM = "team", "Own and team", "info"
    ALL = "all", "All", "good"


class Access(_Ladder):
    """What a person may do with the values of a field."""

    HIDDEN = "hidden", "Not there", "bad"
    MASKED = "masked", "Masked", "warning"
    READ = "read", "Read", "info"
    WRITE = "write", "Read and change", "good"

    @property
    def shows(self) -> bool:
        """Whether the value itself is seen; only then it can be searched, filtered and sorted by."""
        return self in (Access.READ, Access.WRITE)


class Grant(NamedTuple):
    """One line of a role: a pattern of permissions and the rows it reaches, or from which an explicit deny keeps."""

    pattern: str
    scope: Scope = Scope.ALL
    deny: bool = False


class FieldGrant(NamedTuple):
    """One line of a role: how fields show. `pattern` is `<face>.<field>`, `field_class` None for every class; access
    `hidden` is an explicit deny."""

    pattern: str
    access: Access
    field_class: FieldClass | None = None


class Actor(Protocol):
    """Whoever asks: a signed-in user, or a key that acts as one within its scopes."""

    @property
    def id(self) -> int: ...

    @property
    def grants(self) -> tuple[Grant, ...]: ...

    @property
    def field_grants(self) -> tuple[FieldGrant, ...]: ...


class Asking(NamedTuple):
    """Whoever asks, with what the roles say read once: a page asks about every face that there is.

    Its like is known again by value, so a question to the database that was put together for it is kept.
    """

    id: int
    grants: tuple[Grant, ...]
    field_grants: tuple[FieldGrant, ...]

    @classmethod
    def of(cls, actor: Actor) -> Asking:
        return actor if isinstance(actor, cls) else cls(actor.id, actor.grants, actor.field_grants)


def face_verbs(face: Face) -> list[str]:
    """The verbs of one face: read and export, what its screen opens, and its commands."""
    about = face.about
    verbs = ["read", PICK, "export"]
    if any(declared.is_personal for declared in face.fields.values()):
        verbs.append(BULK_PERSONAL)
    if any(declared.field_class is FieldClass.CONTACT for declared in face.fields.values()):
        verbs.append(CONSENTED)
    verbs += [verb for verb, opened in (("create", about.create), ("edit", about.edit), ("delete", about.delete),
                                        ("import", about.imports)) if opened]  # fmt: skip
    return verbs + [command.verb for command in commands_of(face)]


def permissions() -> list[str]:
    """Everything that can be permitted, in the order of the declarations."""
    return [f"{face.name}.{verb}" for face in all_faces() if not face.through for verb in face_verbs(face)]


def names_of(face: Face, rest: str) -> tuple[str, ...]:
    """What a pattern may call this verb or field of a face: by the face, by its area, as business."""
    names = (f"{face.name}.{rest}", f"{face.about.area}.{rest}")
    return names if face.about.area == SYSTEM else (*names, f"{BUSINESS}.{rest}")


def matches(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def widest(scopes: Iterable[Scope | None]) -> Scope | None:
    return max((scope for scope in scopes if scope is not None), key=lambda scope: scope.rank, default=None)


def _weigh(grants: Iterable[Grant], names: tuple[str, ...]) -> tuple[Scope | None, Scope | None]:
    """(the widest rows given, the widest rows denied)."""
    fitting = [grant for grant in grants if matches(grant.pattern, names)]
    return (widest(grant.scope for grant in fitting if not grant.deny),
            widest(grant.scope for grant in fitting if grant.deny))  # fmt: skip


def decide(grants: Iterable[Grant], *names: str) -> Scope | None:
    """The widest row scope that the grants give for a permission; None when none is given, or as much is denied."""
    given, denied = _weigh(grants, names)
    return None if given is None or (denied is not None and denied.rank >= given.rank) else given


def reach(actor: Actor | None, face: Face, verb: str) -> tuple[Scope | None, Scope | None]:
    """(the rows the actor may do this to, those of them an explicit deny keeps from him); of a face of its own right.

    What no declaration opens is permitted to nobody, not even by `*`.
    """
    return (None, None) if actor is None else _reach(actor.grants, face, verb)


@lru_cache(maxsize=16_384)  # a page asks for each face that there is
def _reach(grants: tuple[Grant, ...], face: Face, verb: str) -> tuple[Scope | None, Scope | None]:
    if verb not in face_verbs(face):
        return None, None
    given, denied = _weigh(grants, names_of(face, verb))
    if verb == PICK and denied is None:
        reading, kept = _weigh(grants, names_of(face, "read"))
        if reading is not None and (given is None or reading.rank > given.rank):
            given, denied = reading, kept
    return (None, denied) if given is None or (denied is not None and denied.rank >= given.rank) else (given, denied)


def allowed(actor: Actor | None, permission: str) -> Scope | None:
    """Whether someone may do something, and on which rows at most. Screens, API and jobs all ask here."""
    name, _, verb = permission.partition(".")
    face = face_named(name)
    if face.through:
        return widest(allowed(actor, f"{other}.{verb}") for other in face.through)
    return reach(actor, face, verb)[0]


# Fields


def access_of(actor: Actor | None, face: Face, name: str) -> Access:
    """What the actor may do with one field of a face, own or embedded. Everything that shows or takes values asks
    here or takes `accesses`, which is the same for all fields at once."""
    return accesses(actor, face)[name]


def accesses(actor: Actor | None, face: Face) -> Mapping[str, Access]:
    """Public name → what the actor may do with that field, whatever the row.

    Through a face that stands for others the narrowest counts of those under which the actor finds anybody.
    """
    if actor is None:
        return dict.fromkeys([*face.fields, *face.embedded_names], Access.HIDDEN)
    grants = actor.field_grants
    if not face.through:
        return _accesses(grants, face)
    others = [_accesses(grants, face_named(other)) for other in face.through if allowed(actor, f"{other}.{PICK}")]
    return {name: narrowest(other[name] for other in others) for name in [*face.fields, *face.embedded_names]}


def narrowest(given: Iterable[Access]) -> Access:
    return min(given, key=lambda access: access.rank, default=Access.HIDDEN)


@lru_cache(maxsize=2048)
def _accesses(grants: tuple[FieldGrant, ...], face: Face) -> dict[str, Access]:
    found = {name: access_by(grants, face, declared) for name, declared in face.fields.items()}
    for name, declared in face.fields.items():
        # What is said of a value, or kept beside it, is as private as the value.
        of = declared.of or (name.removesuffix("_given") if name.endswith("_given") else "")
        if of in face.fields:
            found[name] = narrowest((found[name], found[of])) if declared.of else found[of]
    for embed in face.about.embeds:
        other = inspect(face.entity).relationships[embed.relation].mapper.class_
        for name in embed.fields:
            whole = embed.prefix + name
            inner = [access_by(grants, one, one.fields[name]) for one in other.faces[:1]]
            found[whole] = narrowest((access_by(grants, face, face.field(whole)), *inner))
    return found


def access_by(grants: Iterable[FieldGrant], face: Face, declared: Field) -> Access:
    """What these lines give for one field: without any, open fields are read and all others are absent."""
    if declared.name == "id":
        return Access.READ
    found = field_lines(grants, face, declared)
    if any(line.access is Access.HIDDEN for line in found):
        return Access.HIDDEN
    start = Access.READ if (declared.field_class or FieldClass.OPEN) is FieldClass.OPEN else Access.HIDDEN
    return max((start, *(line.access for line in found)), key=lambda access: access.rank)


def field_lines(grants: Iterable[FieldGrant], face: Face, declared: Field) -> list[FieldGrant]:
    """The lines that speak of this field."""
    kind = declared.field_class or FieldClass.OPEN
    names = names_of(face, declared.name)
    return [line for line in grants if line.field_class in (None, kind) and matches(line.pattern, names)]


def title_for(actor: Actor | None, face: Face, record: Any) -> str:
    """What this actor may call a record: its title, or its code or number where the title isn't for him."""
    title = face.about.title
    if title not in face.fields or access_of(actor, face, title).shows:
        return str(record.title)
    return f"{face.label} {getattr(record, 'code', None) or record.id}"
