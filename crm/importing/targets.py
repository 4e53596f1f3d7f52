"""What the columns of a file can become: read from the declarations of a face, never listed a second time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import inspect

from crm.core.entity import Embed, Entity, Face
from crm.core.fields import Field
from crm.core.permissions import Access, Actor, accesses, allowed
from crm.importing.mapping import Target
from crm.models.parties import BlockState, Kind, Lifecycle, Party, Status

MAIN = "main_"


@dataclass(frozen=True)
class Landing:
    """Where a value goes: a column of the record itself, or of a related one (`embed`) such as an address."""

    name: str
    field: Field
    group: str
    embed: Embed | None = None

    @property
    def key(self) -> str:
        """Its name among the values of a staged row."""
        return self.field.attribute if self.embed is None else embed_key(self.embed, self.field.attribute)

    def target(self) -> Target:
        options = tuple(label for _, label in self.field.options()) if self.field.kind == "choice" else ()
        return Target(self.name, self.field.label, self.field.kind, self.field.required, self.field.synonyms, options)


def embed_key(embed: Embed, attribute: str) -> str:
    return (embed.prefix or MAIN) + attribute


def embedded_entity(face: Face, embed: Embed) -> type[Entity]:
    return inspect(face.entity).relationships[embed.relation].mapper.class_


class Rules:
    """What importing into an entity knows beyond its declared fields. This one knows nothing more."""

    def targets(self, face: Face) -> list[Field]:
        """Fields that can be imported although no form offers them."""
        return []

    def complete(self, data: dict[str, Any], *, mapped: frozenset[str]) -> None:
        """Fill in, from what was read, what else a new record needs. ValueError refuses the row."""

    def kept_from(self, face: Face, actor: Actor) -> frozenset[str]:
        """Targets that this person may not set although the fields are open."""
        return frozenset()

    # Columns that only a new record gets; an update leaves them alone.
    only_new: frozenset[str] = frozenset()
    # Name → SQL type of staged values that are no columns, for `refuses_update`.
    more: Mapping[str, str] = {}

    def refuses_update(self) -> str | None:
        """SQL over the record and its new values (`v`): why a matched row must not be taken, or NULL."""
        return None

    # Column → (SQL: it may follow, SQL: its new value), where the file has its parts but not itself.
    derived: Mapping[str, tuple[str, str]] = {}
    # SQL: the records that a row may be matched with.
    matched_with: str = "true"


class PartyRules(Rules):
    """Customers and their kin: the kind follows from the columns, the status is told as one word."""

    only_new = frozenset(("kind", "block_state", "block_reason", "blocked_at", "archived_at"))
    more = {"status": "text", "first_name": "text", "middle_name": "text", "last_name": "text"}
    # A display name that was put together from its parts goes on following them.
    derived = {
        "name": (
            "party.name = concat_ws(' ', party.first_name, party.middle_name, party.last_name)",
            (
                "concat_ws(' ', coalesce(v.first_name, party.first_name), "
                "coalesce(v.middle_name, party.middle_name), coalesce(v.last_name, party.last_name))"
            ),
        )
    }
    # What was undone or put away must not come back to life through a file.
    matched_with = "party.archived_at IS NULL"

    def targets(self, face: Face) -> list[Field]:
        status = face.fields["status"]
        return [
            replace(status, choices=Status, editable=True),
            replace(face.fields["customer_since"], editable=True),
        ]

    def kept_from(self, face: Face, actor: Actor) -> frozenset[str]:
        return frozenset(("owner", "team")) if allowed(actor, f"{face.name}.reassign") is None else frozenset()

    def complete(self, data: dict[str, Any], *, mapped: frozenset[str]) -> None:
        if not data.get("kind"):
            data["kind"] = str(self._kind(data, mapped).value)
        status = data.get("status")
        if status in tuple(BlockState):
            data |= {
                "block_state": status,
                "block_reason": "It was so in the imported file",
                "blocked_at": "now",
            }
        elif status == Status.ARCHIVED.value:
            data["archived_at"] = "now"
        elif status in tuple(Lifecycle):
            data["lifecycle"] = status

    @staticmethod
    def _kind(data: Mapping[str, Any], mapped: frozenset[str]) -> Kind:
        if any(data.get(name) for name in ("first_name", "last_name", "gender", "date_of_birth")):
            return Kind.INDIVIDUAL
        company = data.get("company_name")
        if company and data.get("name") in (None, company):
            return Kind.ORGANIZATION
        persons = mapped & {"first_name", "last_name", "gender", "date_of_birth", "company_name"}
        businesses = mapped & {"industry", "annual_revenue", "employees", "tax_id", "website"}
        return Kind.ORGANIZATION if businesses and not persons else Kind.INDIVIDUAL

    def refuses_update(self) -> str | None:
        special = "('blocked', 'blacklisted', 'archived')"
        return (
            f"CASE WHEN v.status <> party.status AND (v.status IN {special} OR party.status IN {special}) "
            "THEN 'it is ' || party.status || ', the file says ' || v.status "
            "|| ': change that on the record itself' END"
        )


_RULES: dict[type[Entity], Rules] = {Party: PartyRules()}


def rules_of(face: Face) -> Rules:
    return _RULES.get(face.entity, Rules())


def landings(face: Face, actor: Actor | None = None) -> list[Landing]:
    """Everything that this person can import into a face, in the order of its form; without one, everything."""
    found = _landings(face)
    if actor is None:
        return found
    may, kept = accesses(actor, face), rules_of(face).kept_from(face, actor)
    return [landing for landing in found if may[landing.name] is Access.WRITE and landing.name not in kept]


def _landings(face: Face) -> list[Landing]:
    found: dict[str, Landing] = {}
    for section in face.about.sections:
        for name in section.fields:
            field = face.fields.get(name)
            if field is not None and field.editable and _readable(field):
                found[name] = Landing(name, field, section.title)
    for field in rules_of(face).targets(face):
        found[field.name] = Landing(field.name, field, "Status")
    for embed in face.about.embeds:
        group = f"{embed.prefix.strip('_')} {embedded_entity(face, embed).noun()}".strip().capitalize()
        for name in embed.fields:
            field = face.field(embed.prefix + name)
            found[field.name] = Landing(field.name, replace(field, attribute=name), group, embed)
    return list(found.values())


def _readable(field: Field) -> bool:
    """References are imported where a file can name them: people by their e-mail, teams by their name."""
    return field.kind != "reference" or field.refers_to in ("user", "team")


def importable(faces: list[Face], actor: Actor) -> list[Face]:
    """The faces whose records this person may import."""
    return [face for face in faces if face.about.importable and allowed(actor, f"{face.name}.import")]


def template(face: Face, actor: Actor) -> list[str]:
    """The header of the template a person can fill in: what nearly everybody has, status last."""
    names = {landing.name: None for landing in landings(face, actor)}
    usual = ("name", "email", "phone", "industry", "website", "address", "status")
    return [name for name in usual if name in names] or list(names)[:20]
