"""What customers are asked how content they are, when, and what they answered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, relationship, validates

from crm.core.entity import About, Entity, Face, Moment, Section, db
from crm.core.fields import (
    Field,
    FieldClass,
    boolean_field,
    choice_field,
    date_field,
    datetime_field,
    integer_field,
    language_field,
    long_text_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.rules import in_order, rule
from crm.core.triggers import Trigger
from crm.models.communication_choices import SendChannel
from crm.models.communications import Interaction, MessageTemplate
from crm.models.parties import Contact, Party
from crm.models.sales_orders import Order
from crm.models.support import Ticket
from crm.models.support_choices import SCALES, SurveyKind, Touchpoint
from crm.models.vehicle_service import ServiceRecord


class Survey(Entity):
    """A question to customers, sent after something or by the calendar."""

    about = About(
        area="Service", icon="clipboard-check", columns=("name", "kind", "touchpoint", "language", "active", "valid_until"),
        search=("name", "question"), filters=("kind", "touchpoint", "channel", "language", "active", "created_at"),
        sort=("name", "created_at"),
        sections=(Section("Survey", ("name", "kind", "question", "language", "active")),
                  Section("When it is sent", ("touchpoint", "delay_days", "every_months", "rest_days", "channel", "template",
                                              "valid_from", "valid_until"))),
        detail=(Section("Survey", ("name", "kind", "question", "language", "active")),
                Section("When it is sent", ("touchpoint", "delay_days", "every_months", "rest_days", "channel", "template",
                                            "valid_from", "valid_until"))),
        help="NPS, CSAT and CES: what you ask, after what, and how often.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120)
    kind: Mapped[SurveyKind] = choice_field(SurveyKind, required=True)
    question: Mapped[str] = long_text_field(required=True)
    language: Mapped[str | None] = language_field()
    active: Mapped[bool] = boolean_field(label="In use", column={"server_default": text("true")})
    touchpoint: Mapped[Touchpoint] = choice_field(Touchpoint, required=True, label="Sent after")
    delay_days: Mapped[int | None] = integer_field(minimum=0, maximum=365, label="Days later")
    every_months: Mapped[int | None] = integer_field(minimum=1, maximum=60, label="Every … months")
    rest_days: Mapped[int] = integer_field(minimum=0, maximum=730, label="Rest for a person (days)",
        help="Nobody is asked again before", column={"server_default": text("90")})  # fmt: skip
    channel: Mapped[SendChannel | None] = choice_field(SendChannel)
    template_id: Mapped[int | None] = reference_field(
        "message_template", table="message_template", on_delete="SET NULL"
    )
    valid_from: Mapped[dt.date | None] = date_field(label="From")
    valid_until: Mapped[dt.date | None] = date_field(label="Until")
    template: Mapped[MessageTemplate | None] = relationship()

    # The scores of answers mean what the kind says. The lock waits for answers that aren't committed yet.
    triggers = (
        Trigger("survey_keeps_its_kind", "BEFORE UPDATE OF kind", each="ROW", only="NEW.kind <> OLD.kind", body="""
BEGIN
  PERFORM FROM survey WHERE id = NEW.id FOR UPDATE;
  IF EXISTS (SELECT FROM survey_answer WHERE survey_id = NEW.id) THEN
    RAISE EXCEPTION 'can’t change once it was answered: make another survey'
      USING ERRCODE = 'check_violation', COLUMN = 'kind', TABLE = 'survey';
  END IF;
  RETURN NEW;
END"""),
    )  # fmt: skip

    __table_args__ = (
        in_order("valid_from", "valid_until"),
        UniqueConstraint("name"),
    )


class SurveyAnswer(Entity):
    """What one party was asked and answered. Without a score it was asked and has not answered."""

    about = About(
        area="Service", icon="star", title="words",
        columns=("survey", "party", "score", "comment", "asked_at", "answered_at"), search=("comment",),
        filters=("survey", "party", "score", "asked_at", "answered_at", "ticket", "order", "service_record", "created_at"),
        sort=("asked_at", "created_at"), timeline=Moment("asked_at"), within=("party", "owner"),
        sections=(Section("Answer", ("survey", "party", "contact", "score", "comment", "asked_at", "answered_at", "channel",
                                     "ticket", "interaction", "order", "service_record")),),
        detail=(Section("Answer", ("survey", "party", "contact", "score", "comment", "asked_at", "answered_at", "channel",
                                   "ticket", "interaction", "order", "service_record")),),
        help="What customers answered to your surveys.",
    )  # fmt: skip

    survey_id: Mapped[int] = reference_field("survey", table="survey", required=True)
    party_id: Mapped[int] = reference_field("party", table="party", label="Who", required=True)
    contact_id: Mapped[int | None] = reference_field("contact", table="contact")
    score: Mapped[int | None] = integer_field(minimum=0, maximum=10, help="NPS 0–10, satisfaction 1–5, effort 1–7")
    comment: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    asked_at: Mapped[dt.datetime] = datetime_field(label="Asked", column={"server_default": func.now()})
    answered_at: Mapped[dt.datetime | None] = datetime_field(label="Answered")
    channel: Mapped[SendChannel | None] = choice_field(SendChannel)
    ticket_id: Mapped[int | None] = reference_field("ticket", table="ticket", label="About the ticket")
    interaction_id: Mapped[int | None] = reference_field("interaction", table="interaction", label="About",
                                                         on_delete="SET NULL")  # fmt: skip
    order_id: Mapped[int | None] = reference_field(
        "order", table="sales_order", on_delete="SET NULL", label="About the order"
    )
    service_record_id: Mapped[int | None] = reference_field(
        "service_record", table="service_record", on_delete="SET NULL", label="About the service"
    )
    derived = {"words": Field(kind="text", label="Answer")}

    survey: Mapped[Survey] = relationship()
    party: Mapped[Party] = relationship()
    contact: Mapped[Contact | None] = relationship()
    ticket: Mapped[Ticket | None] = relationship()
    interaction: Mapped[Interaction | None] = relationship()
    order: Mapped[Order | None] = relationship()
    service_record: Mapped[ServiceRecord | None] = relationship()

    __table_args__ = (
        in_order("asked_at", "answered_at"), rule("answered_at", "score IS NULL OR answered_at IS NOT NULL", "is missing: say when the score was given"),
        Index("ix_survey_answer_when", "survey_id", "answered_at", "id", postgresql_where=text("score IS NOT NULL")),
    )  # fmt: skip

    @validates("score")
    def _answered(self, _name: str, value: int | None) -> int | None:
        """Who gives a score has answered."""
        if value is not None and self.answered_at is None:
            self.answered_at = dt.datetime.now(dt.UTC)
        return value

    @property
    def words(self) -> str:
        return "Not answered" if self.score is None else f"Score {self.score}"

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        """A time that is left empty must not undo that."""
        if values.get("score") not in (None, "") and not values.get("answered_at"):
            values["answered_at"] = dt.datetime.now(dt.UTC)

    @classmethod
    def check(cls, face: Face, record: Any, values: Mapping[str, Any], by: Any) -> dict[str, str]:
        """A score lies on the scale of its survey."""
        after = {name: values.get(name, face.value(record, name) if record is not None else None)
                 for name in ("survey", "score")}  # fmt: skip
        if after["score"] is None:
            return {}
        low, high = SCALES[db.session.get_one(Survey, after["survey"]).kind]
        return {} if low <= after["score"] <= high else {"score": f"must lie between {low} and {high} here"}
