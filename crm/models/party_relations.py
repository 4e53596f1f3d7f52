"""How parties stand to each other: parent and subsidiary, dealer, supplier, household, referral; each with its dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy import CheckConstraint, Index, and_, func, or_, select, text
from sqlalchemy.orm import Mapped, relationship

from crm.core.entity import About, Entity, Face, Section, db
from crm.core.fields import FieldClass, choice_field, date_field, long_text_field, reference_field
from crm.core.rules import in_order
from crm.core.triggers import Trigger
from crm.models.parties import Party
from crm.models.party_choices import HIERARCHIES, RELATION_BACK, RelationKind

# Who changes a hierarchy waits for whoever else does: two that are right alone can make a circle together.
_ONE_AT_A_TIME = 7_240_703

# Whether the second party leads back to the first by relations of the same kind, on one day that they all hold.
_CIRCLE = """
WITH RECURSIVE below AS (
  SELECT CAST({to_party} AS bigint) AS party_id,
         daterange(CAST({valid_from} AS date), CAST({valid_until} AS date), '[]') AS during
  UNION
  SELECT r.to_party_id, b.during * daterange(r.valid_from, r.valid_until, '[]')
    FROM below b JOIN relation r ON r.from_party_id = b.party_id
   WHERE r.kind = {kind} AND r.id <> {id} AND b.during && daterange(r.valid_from, r.valid_until, '[]')
) SELECT EXISTS (SELECT FROM below WHERE party_id = {from_party})"""

_NAMES = ("id", "kind", "from_party", "to_party", "valid_from", "valid_until")
_SAID = {name: f":{name}" for name in _NAMES}
_NEW = {name: f"NEW.{name}_id" if name.endswith("party") else f"NEW.{name}" for name in _NAMES}
_HIERARCHIES = ", ".join(f"'{kind.value}'" for kind in HIERARCHIES)


class Relation(Entity):
    """How one party stands to another, and from when to when."""

    about = About(
        area="Customers", icon="network", title="words", delete=True,
        columns=("kind", "from_party", "to_party", "valid_from", "valid_until"),
        filters=("from_party", "to_party", "kind", "valid_from", "valid_until"), sort=("created_at",),
        within=("from_party", "owner"), also_within=("to_party", "owner"),
        sections=(Section("Relation", ("from_party", "kind", "to_party", "valid_from", "valid_until", "remarks"),
                          "It reads like a sentence: the first, what it is to the second, the second."),),
        detail=(Section("Relation", ("from_party", "kind", "to_party", "valid_from", "valid_until", "remarks")),),
        help="Who belongs to whom: groups of companies, dealers, suppliers, households, referrals.",
    )  # fmt: skip

    from_party_id: Mapped[int] = reference_field("party", table="party", label="This one", required=True)
    kind: Mapped[RelationKind] = choice_field(RelationKind, label="Relation", required=True)
    to_party_id: Mapped[int] = reference_field("party", table="party", label="The other", required=True)
    valid_from: Mapped[dt.date | None] = date_field(label="Since")
    valid_until: Mapped[dt.date | None] = date_field(label="Until", help="The last day; empty while it lasts")
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    from_party: Mapped[Party] = relationship(foreign_keys=from_party_id)
    to_party: Mapped[Party] = relationship(foreign_keys=to_party_id)

    triggers = (
        Trigger("relation_no_circle", "AFTER INSERT OR UPDATE", each="ROW", body=f"""
BEGIN
  IF NEW.kind IN ({_HIERARCHIES}) THEN
    PERFORM pg_advisory_xact_lock({_ONE_AT_A_TIME});
    IF ({_CIRCLE.format(**_NEW)}) THEN
      RAISE EXCEPTION 'relation % would make a circle', NEW.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_relation_to_party_id_circle', TABLE = 'relation';
    END IF;
  END IF;
  RETURN NULL;
END"""),
    )  # fmt: skip

    __table_args__ = (
        CheckConstraint("from_party_id <> to_party_id", name="to_party_id_itself"),
        in_order("valid_from", "valid_until"),
        # While it lasts there is one of a kind between the same two; this also finds who stands below.
        Index("uq_relation_to_party_id_open", "from_party_id", "kind", "to_party_id", unique=True,
              postgresql_where=text("valid_until IS NULL")),
    )  # fmt: skip

    @property
    def words(self) -> str:
        """Without the names: who sees the one need not see the other."""
        return self.kind.label

    @property
    def back(self) -> str:
        """What the second is to the first."""
        return RELATION_BACK[self.kind]

    @classmethod
    def check(cls, face: Face, record: Any, values: Mapping[str, Any], by: Any) -> dict[str, str]:
        """Not to oneself, not twice at a time, never round in a circle."""
        after = {name: values.get(name, face.value(record, name) if record is not None else None) for name in _NAMES}
        after["id"] = after["id"] or 0
        if after["from_party"] == after["to_party"]:
            return {"to_party": "is the same: nobody stands in a relation to themselves"}
        if after["valid_from"] and after["valid_until"] and after["valid_from"] > after["valid_until"]:
            return {"valid_until": "lies before the day it begins"}
        if not values.keys() & _NAMES:
            return {}  # the remarks alone
        if _is_there(after):
            return {"to_party": "has this relation at that time already: change or end that one"}
        if after["kind"] in HIERARCHIES:
            db.session.execute(select(func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
            if db.session.scalar(text(_CIRCLE.format(**_SAID)), after):
                return {"to_party": f"stands above already: “{after['kind'].label}” would go round in a circle"}
        return {}


def _is_there(wanted: Mapping[str, Any]) -> bool:
    """Whether the same relation holds on some day of the wanted one; one without a direction also the other way."""

    def between(one: str, other: str) -> Any:
        return and_(Relation.from_party_id == wanted[one], Relation.to_party_id == wanted[other])

    pairs = [between("from_party", "to_party")]
    if wanted["kind"] is RelationKind.OTHER:
        pairs.append(between("to_party", "from_party"))
    during = func.daterange(wanted["valid_from"], wanted["valid_until"], "[]")
    same = select(Relation.id).where(or_(*pairs), Relation.kind == wanted["kind"], Relation.id != wanted["id"],
                                     func.daterange(Relation.valid_from, Relation.valid_until, "[]").bool_op("&&")(during))  # fmt: skip
    return db.session.scalar(select(same.exists())) or False
