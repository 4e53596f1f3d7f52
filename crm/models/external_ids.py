"""The numbers that our records have in other systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, UniqueConstraint
from sqlalchemy.orm import Mapped

from crm.core.about import SYSTEM
from crm.core.entity import About, Entity, Face, Section, db, entities, face_named
from crm.core.fields import declare, text_field


class ExternalId(Entity):
    """What another system calls one of our records: in a system a number means one record of a kind, for good."""

    about = About(
        area="System", icon="link", title="external_id", label="External ID", label_plural="External IDs", api=False, delete=True,
        columns=("system", "external_id", "entity", "record"), search=("external_id",),
        filters=("system", "entity", "record", "external_id", "created_at"), sort=("created_at",),
        sections=(Section("External ID", ("system", "external_id", "entity", "record")),),
        detail=(Section("External ID", ("system", "external_id", "entity", "record")),),
        help="What your other systems call the records here.",
    )  # fmt: skip

    system: Mapped[str] = text_field(required=True, max_length=64, help="Such as erp")
    external_id: Mapped[str] = text_field(required=True, label="ID there")
    entity: Mapped[str] = text_field(
        required=True, max_length=64, label="Kind of record", help="Such as customer or ticket"
    )
    record: Mapped[int] = declare("integer", BigInteger, required=True, minimum=1, label="Number of the record")

    __table_args__ = (
        UniqueConstraint("system", "entity", "external_id"), UniqueConstraint("entity", "record", "system"),
    )  # fmt: skip

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        """Customers, vendors and partners are parties: the kind is kept by that one name."""
        try:
            values["entity"] = face_named(values["entity"].strip()).entity.__tablename__
        except (KeyError, AttributeError):
            return  # the check tells

    @classmethod
    def check(cls, face: Face, record: Any, values: Mapping[str, Any], by: Any) -> dict[str, str]:
        """The record is there."""
        kind, number = (values.get(name, getattr(record, name, None)) for name in ("entity", "record"))
        kinds = {one.__tablename__: one for one in entities() if one.about is not None and one.about.area != SYSTEM}
        if kind not in kinds:
            return {"entity": "is no kind of record here; it looks like customer, contact or ticket"}
        return {} if db.session.get(kinds[kind], number) else {"record": f"is no {kinds[kind].noun().lower()}"}
