"""Profiles: the choices of a plan without its file, kept under a name, and found again by a file's header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select

from crm.commands import records
from crm.core.entity import Face, db, face_named
from crm.core.permissions import Actor, Scope, allowed
from crm.importing.delivered_profiles import DELIVERED
from crm.importing.detecting import normalised
from crm.importing.keys import EXTERNAL
from crm.importing.plan import Plan, PlanRefused, suggested_columns
from crm.importing.reading import Table
from crm.importing.targets import landings
from crm.models.import_profiles import ImportProfile
from crm.models.imports import Duplicates

# What a plan holds besides its columns, their styles and its file.
_CHOICES = ("match", "country", "constants", "system", "words", "rules", "known_only")


@dataclass(frozen=True)
class Profile:
    """`chosen` is as JSON: `columns` and `styles` by header, the rest as in a plan. A file is recognised by `needs`."""

    name: str
    chosen: Mapping[str, Any]
    needs: frozenset[str]
    whole: bool = True

    def fits(self, headers: frozenset[str]) -> bool:
        """Whether a file has this header: all of it, of a delivered one what tells that system's files."""
        return self.needs == headers if self.whole else self.needs <= headers


def profiles_of(face: Face, by: Actor | None) -> list[Profile]:
    """One's own, then those for everybody, then what is delivered; without a person those for everybody."""
    mine = ImportProfile.everybody if by is None else or_(ImportProfile.owner_id == by.id, ImportProfile.everybody)
    order = (ImportProfile.owner_id != by.id,) if by is not None else ()
    kept = db.session.scalars(
        select(ImportProfile)
        .where(ImportProfile.face == face.name, mine)
        .order_by(*order, ImportProfile.name, ImportProfile.id)
    )
    found = [Profile(one.name, one.chosen, frozenset(map(normalised, one.chosen["columns"]))) for one in kept]
    delivered = DELIVERED if face.name in _PARTY_FACES else ()
    return found + [Profile(one.name, {"columns": one.columns, "words": one.words, "system": one.system, "match": _LADDER},
                            frozenset(map(normalised, one.needs)), whole=False) for one in delivered]  # fmt: skip


# Whom another system's number doesn't find yet is found by e-mail.
_LADDER = (EXTERNAL, "email")
_PARTY_FACES = ("customer", "end_customer", "vendor", "partner")


def profile_named(face: Face, name: str, by: Actor | None) -> Profile:
    """Raises PlanRefused where there is none of this name."""
    offered = profiles_of(face, by)
    found = next((one for one in offered if one.name.casefold() == name.strip().casefold()), None)
    if found is None:
        names = ", ".join(one.name for one in offered) or "there is none"
        raise PlanRefused(f"there is no profile “{name[:60]}” for {face.label_plural.lower()}; use one of: {names}")
    return found


def recognised(face: Face, table: Table, by: Actor | None) -> Profile | None:
    """The profile that was made for files with this header."""
    headers = frozenset(normalised(column.name) for column in table.columns)
    return next((one for one in profiles_of(face, by) if one.fits(headers)), None)


def choices(profile: Profile, face: Face, table: Table, by: Actor | None) -> dict[str, Any]:
    """What a profile says of this file, for `make_plan`; columns that it doesn't know are suggested. What the person may
    not set is left out. Raises PlanRefused where rows are taken by a column that the file hasn't."""
    known = {landing.name for landing in landings(face, by)}
    told = {normalised(header): target for header, target in profile.chosen["columns"].items()}
    styles = {normalised(header): style for header, style in profile.chosen.get("styles", {}).items()}
    system = profile.chosen.get("system")
    columns: dict[int, str] = {}
    for column in table.columns:
        target = told.get(normalised(column.name))
        if target in known and target not in columns.values():
            columns[column.index] = target
    for number, target in suggested_columns(face, table, by, system=system).items():
        if normalised(table.columns[number].name) not in told and target not in columns.values() and target != EXTERNAL:
            columns[number] = target
    chosen = {name: profile.chosen[name] for name in _CHOICES if profile.chosen.get(name)}
    chosen["constants"] = {name: given for name, given in chosen.get("constants", {}).items() if name in known}
    only = {normalised(header): pattern for header, pattern in profile.chosen.get("only", {}).items()}
    places = {normalised(column.name): column.index for column in table.columns}
    if lacking := next((header for header in only if header not in places), None):
        raise PlanRefused(f"the profile takes rows by what stands in “{lacking[:60]}”, and the file has no such column")
    chosen["only"] = {places[header]: pattern for header, pattern in only.items()}
    return chosen | {"columns": columns, "styles": {
        column.index: styles[header] for column in table.columns
        if (header := normalised(column.name)) in styles and column.index in columns}}  # fmt: skip


def policy(profile: Profile) -> Duplicates | None:
    """What the profile does with known records, where it says so."""
    given = profile.chosen.get("duplicates")
    return None if given is None else Duplicates(given)


def keep_profile(plan: Plan, face: Face, table: Table, *, name: str, everybody: bool, by: Actor) -> ImportProfile:
    """The person's profile of this name, made or replaced. Raises WrongInput for a name that can't be."""
    profiles = face_named("import_profile")
    values = records.read_values(profiles, {"name": name}, by, new=True)
    headers = {column.index: column.name for column in table.columns}
    data = plan.as_data()
    chosen = {
        "columns": {header: plan.columns.get(number, "") for number, header in headers.items()},
        "styles": {headers[number]: style for number, style in plan.styles.items() if style},
        "only": {headers[number]: pattern for number, pattern in plan.only.items()},
        "duplicates": data["duplicates"],
        **{name: data[name] for name in _CHOICES},
    }
    mine = select(ImportProfile).where(
        ImportProfile.owner_id == by.id, ImportProfile.face == face.name, ImportProfile.name == values["name"]
    )
    values |= {"face": face.name, "owner": by.id, "everybody": everybody and may_share(by)}
    known = db.session.scalars(mine).one_or_none()
    if known is None:
        known = records.create(profiles, values, by)
    else:
        records.update(profiles, known, values, by)
    known.chosen = chosen
    db.session.flush()
    return known


def may_share(by: Actor) -> bool:
    """Whether somebody may give a profile to everybody: who may change every one."""
    return allowed(by, "import_profile.edit") is Scope.ALL
