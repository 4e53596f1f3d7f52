"""How the status of each party came to be: every change with who, when and why, written by the database itself."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Moment, Section
from crm.core.fields import Field, FieldClass, choice_field, long_text_field, reference_field, text_field
from crm.core.triggers import Trigger
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_choices import ReasonCode, Status

_CHANGED = ("(o.lifecycle, o.block_state, o.archived_at IS NULL) IS DISTINCT FROM "
            "(n.lifecycle, n.block_state, n.archived_at IS NULL)")  # fmt: skip


class StatusChange(Entity):
    """A change of a party's status: from what to what, why, by whom. It is its own history."""

    about = About(
        area="Customers", icon="activity", title="words", create=False, edit=False, audited=False,
        columns=("words", "party", "code", "reason", "who", "created_at"),
        filters=("party", "from_status", "to_status", "code", "who", "created_at"), sort=("created_at",),
        timeline=Moment("created_at", "who"), within=("party", "owner"),
        detail=(Section("Change", ("party", "from_status", "to_status", "code", "reason", "who", "via", "created_at")),),
        help="Every change of a status, with who, when and why.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", editable=False)
    from_status: Mapped[Status] = choice_field(Status, editable=False, label="From")
    to_status: Mapped[Status] = choice_field(Status, editable=False, label="To")
    code: Mapped[ReasonCode | None] = choice_field(ReasonCode, editable=False, label="Why")
    reason: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL, editable=False, label="In words")
    who_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="By")
    via: Mapped[str | None] = text_field(editable=False, label="By way of")
    derived = {"words": Field(kind="text", label="Change")}
    party: Mapped[Party] = relationship(backref=backref("status_changes", order_by="StatusChange.id.desc()"))
    who: Mapped[User | None] = relationship()

    triggers = (
        # A reason belongs to the change that gave it: whoever changes the status without one leaves none behind.
        Trigger("party_status_reason", "BEFORE UPDATE", each="ROW", on="party",
                only=_CHANGED.replace("o.", "OLD.").replace("n.", "NEW."), body="""
BEGIN
  IF NEW.status_at IS NOT DISTINCT FROM OLD.status_at THEN
    NEW.status_at := clock_timestamp(); NEW.status_reason := NULL; NEW.status_code := NULL;
  END IF;
  RETURN NEW;
END"""),
        # While a party is blocked or archived its status stays, though what is below it may change.
        Trigger("party_status_change", "AFTER UPDATE", on="party", body=f"""
BEGIN
  INSERT INTO status_change (party_id, from_status, to_status, code, reason, who_id, via)
  SELECT n.id, CASE WHEN o.status <> n.status THEN o.status ELSE o.lifecycle END,
         CASE WHEN o.status <> n.status THEN n.status ELSE n.lifecycle END, n.status_code, n.status_reason,
         nullif(current_setting('crm.actor', true), '')::bigint, coalesce(current_setting('crm.via', true), '')
    FROM old_rows o JOIN new_rows n USING (id) WHERE {_CHANGED};
  RETURN NULL;
END"""),
    )  # fmt: skip

    @property
    def words(self) -> str:
        return f"{self.from_status.label} → {self.to_status.label}"
