"""What the columns of a file can become: read from the declarations of a face, never listed a second time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import inspect

from crm.core.entity import Embed, Entity, Face, face_named
from crm.core.fields import Field, FieldClass
from crm.core.permissions import Access, Actor, accesses, allowed
from crm.importing.keys import EXTERNAL, NUMBER
from crm.importing.mapping import Target
from crm.importing.rules import rules_of
from crm.models.parties import Party

MAIN = "main_"
DOT = "."  # between a reference and a field of the record that a row brings along: `order.number`
# How a column that names another record is often called: `customer id`, `product key`.
_NAMED_BY = ("id", "key", "code", "number", "no", "name", "email")
_PARTIES = ("company", "account", "client", "customer")
_EXTERNAL = Field(kind="text", name=EXTERNAL, attribute=EXTERNAL, label="Number in the source system",
                  help="What the system calls it that the file comes from")  # fmt: skip


@dataclass(frozen=True)
class Landing:
    """Where a value goes: a column of the record itself, or of a related one (`embed`) such as an address.

    What a row brings along besides has the reference before its name. `noun` is what the record is, if it is no party.
    """

    name: str
    field: Field
    group: str
    embed: Embed | None = None
    noun: str = ""

    @property
    def key(self) -> str:
        """Its name among the values of a staged row; a reference stands there as it was given."""
        if self.embed is not None:
            return embed_key(self.embed, self.field.attribute)
        return self.field.name if self.is_link else self.field.attribute

    @property
    def is_link(self) -> bool:
        return self.field.kind == "reference"

    @property
    def only_finds(self) -> bool:
        """Whether it tells which record is meant and becomes no value of it: our own number or code."""
        return self.field.kind == "code" or self.name == NUMBER

    @property
    def is_brought(self) -> bool:
        return DOT in self.name

    @property
    def is_suggested(self) -> bool:
        """Whether a header may mean this without more ado: what is remarked of a record that comes with the row, and whom it
        names besides, is seldom what a column of its row says; when it was made elsewhere is to be kept on wish."""
        seldom = self.field.kind in ("long_text", "tags") or (self.is_link and not self.field.required)
        return not self.field.original and not (self.is_brought and seldom)

    def target(self) -> Target:
        # As a person reads them, and as they are kept and exported.
        options = (
            tuple(word for option in self.field.options() for word in option) if self.field.kind == "choice" else ()
        )
        synonyms = self.field.synonyms
        if self.is_link:
            names = dict.fromkeys(word.replace("_", " ") for word in (self.field.name, self.field.refers_to))
            synonyms += tuple(f"{name} {by}" for name in names for by in _NAMED_BY)
            if self.field.required and face_named(self.field.refers_to).entity is Party:
                synonyms += _PARTIES
        common = not self.noun or self.field.field_class is FieldClass.CONTACT or self.field.refers_to == "user"
        return Target(self.name, self.field.label, self.field.kind, self.field.required, synonyms, options, noun=self.noun,
                      common=common)  # fmt: skip


def embed_key(embed: Embed, attribute: str) -> str:
    return (embed.prefix or MAIN) + attribute


def embedded_entity(face: Face, embed: Embed) -> type[Entity]:
    return inspect(face.entity).relationships[embed.relation].mapper.class_


def brought_face(face: Face, reference: str) -> Face:
    """What a row of `face` may bring along under this reference. KeyError where it may not."""
    if reference not in face.about.brings:
        raise KeyError(reference)
    return face_named(face.fields[reference].refers_to)


def is_external(name: str) -> bool:
    """Whether it is the number in the source system: of the row's record, or of one that it brings along."""
    return name.rpartition(DOT)[2] == EXTERNAL


def landings(face: Face, actor: Actor | None = None, *, above: tuple[Face, ...] = ()) -> list[Landing]:
    """Everything that this person can import into a face, in the order of its form, then what its rows may bring along;
    without a person, everything."""
    found = own_landings(face, actor)
    for reference in face.about.brings:
        other = brought_face(face, reference)
        if other in (face, *above) or not (actor is None or allowed(actor, f"{other.name}.import")):
            continue
        group = f"{face.fields[reference].label}, where it comes with the row"
        found += [
            replace(
                landing,
                name=f"{reference}{DOT}{landing.name}",
                group=landing.group if landing.is_brought else group,
                field=_called_by_reference(landing, face, reference),
            )
            for landing in landings(other, actor, above=(face, *above))
            if not landing.only_finds
        ]
    return found


def _called_by_reference(landing: Landing, face: Face, reference: str) -> Field:
    """A column that is called after the record holds what that is called: category is the name of the category."""
    if landing.name != brought_face(face, reference).about.title:
        return landing.field
    word = reference.replace("_", " ")
    return replace(landing.field, synonyms=(*landing.field.synonyms, word, f"{face.label.lower()} {word}"))


def own_landings(face: Face, actor: Actor | None = None) -> list[Landing]:
    """The same without what rows bring along."""
    found = _own_landings(face)
    if actor is None:
        return found
    may, kept = accesses(actor, face), rules_of(face).kept_from(face, actor)
    return [one for one in found if one.name == EXTERNAL or (one.only_finds and may[one.name].shows)
            or (may[one.name if one.name in may else one.field.of] is Access.WRITE and one.name not in kept)]  # fmt: skip


def _own_landings(face: Face) -> list[Landing]:
    found: dict[str, Landing] = {}
    noun = "" if face.entity is Party else face.label.lower()
    for section in face.about.sections:
        for name in section.fields:
            field = face.fields.get(name)
            if field is not None and field.editable:
                found[name] = Landing(name, field, section.title, noun=noun)
    for field in rules_of(face).targets(face):
        group = "Status" if face.entity is Party else face.about.sections[0].title
        found[field.name] = Landing(field.name, field, group, noun=noun)
    for embed in face.about.embeds:
        group = f"{embed.prefix.strip('_')} {embedded_entity(face, embed).noun()}".strip().capitalize()
        for name in embed.fields:
            field = face.field(embed.prefix + name)
            found[field.name] = Landing(field.name, replace(field, attribute=name), group, embed)
    for field in face.fields.values():
        # What a ledger holds is entered here and now.
        if field.original and face.entity.only_changes is None:
            found[field.name] = Landing(field.name, field, "Source", noun=noun)
    found[EXTERNAL] = Landing(EXTERNAL, _EXTERNAL, "Source", noun=noun)
    found[NUMBER] = Landing(NUMBER, replace(face.fields[NUMBER], label="Number here"), "Source", noun=noun)
    found |= {
        name: Landing(name, field, "Source", noun=noun) for name, field in face.fields.items() if field.kind == "code"
    }
    return list(found.values())


def importable(faces: list[Face], actor: Actor) -> list[Face]:
    """The faces whose records this person may import."""
    return [face for face in faces if face.about.imports and allowed(actor, f"{face.name}.import")]


def template(face: Face, actor: Actor) -> list[str]:
    """The header of the template a person can fill in: of parties what nearly everybody has, status last; else all that
    the form has."""
    names = {
        landing.name: None for landing in landings(face, actor) if landing.name != EXTERNAL and not landing.only_finds
    }
    if face.entity is Party:
        usual = ("name", "email", "phone", "industry", "website", "address", "status")
        return [name for name in usual if name in names]
    return [name for name in names if DOT not in name and not face.field(name).original]
