"""What can be permitted, derived from faces and commands, and the one function that decides.

A permission is `<face>.<verb>`: `customer.read`, `customer.block`. A grant gives or denies a pattern (`customer.*`,
`*.read`, `*`) with a row scope; an explicit deny wins.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from crm.core.command import commands_of
from crm.core.entity import Face, all_faces, face_named

PICK = "pick"  # to find a record by name for a reference, without reading the rest of it; to read includes it


class Scope(enum.StrEnum):
    """Which rows a grant reaches: those the person owns, or all."""

    OWN = "own"
    ALL = "all"


@dataclass(frozen=True)
class Grant:
    """One line of a role. `pattern` may hold `*` for the face, the verb, or both."""

    pattern: str
    scope: Scope = Scope.ALL
    deny: bool = False


class Actor(Protocol):
    """Whoever asks: a signed-in user, or a key that acts as one within its scopes."""

    id: int

    @property
    def grants(self) -> Iterable[Grant]: ...


def face_verbs(face: Face) -> list[str]:
    """The verbs of one face: read and export, what its screen opens, and its commands."""
    about = face.about
    verbs = ["read", PICK, "export"]
    verbs += [verb for verb, opened in (("create", about.create), ("edit", about.edit), ("delete", about.delete),
                                        ("import", about.importable)) if opened]  # fmt: skip
    return verbs + [command.verb for command in commands_of(face)]


def permissions() -> list[str]:
    """Everything that can be permitted, in the order of the declarations."""
    return [f"{face.name}.{verb}" for face in all_faces() if not face.through for verb in face_verbs(face)]


def decide(grants: Iterable[Grant], permission: str) -> Scope | None:
    """The widest row scope that the grants give for a permission; None when it is not given, or denied."""
    widest: Scope | None = None
    for grant in grants:
        if not fnmatchcase(permission, grant.pattern):
            continue
        if grant.deny:
            return None
        if widest is None or grant.scope is Scope.ALL:
            widest = grant.scope
    return widest


def allowed(actor: Actor | None, permission: str) -> Scope | None:
    """Whether someone may do something, and on which rows. Screens, API and jobs all ask here.

    What no declaration opens is permitted to nobody, not even by `*`.
    """
    name, _, verb = permission.partition(".")
    face = face_named(name)
    if actor is None or verb not in face_verbs(face):
        return None
    if face.through:
        scopes = {allowed(actor, f"{other}.{verb}") for other in face.through}
        return Scope.ALL if Scope.ALL in scopes else Scope.OWN if Scope.OWN in scopes else None
    given = decide(actor.grants, permission)
    return decide(actor.grants, f"{name}.read") if given is None and verb == PICK else given
