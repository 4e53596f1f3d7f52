"""The customer's journey: its map, the points that somebody touched, the stages they went through, how they began."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, func, insert, text
from sqlalchemy.orm import Mapped, backref, relationship

from crm.core.entity import About, Entity, Moment, Section, db
from crm.core.fields import (
    Choice,
    Field,
    FieldClass,
    boolean_field,
    choice_field,
    choices_field,
    date_field,
    datetime_field,
    integer_field,
    long_text_field,
    reference_field,
    text_field,
)  # fmt: skip
from crm.core.triggers import Trigger
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_choices import Stage, SubStage
from crm.models.vehicles import SATISFACTION


class Phase(Choice):
    DISCOVERY = "discovery", "Discovery", "neutral"
    CONSIDERATION = "consideration", "Consideration", "info"
    PURCHASE = "purchase", "Purchase", "warning"
    FULFILMENT = "fulfilment", "Fulfilment", "info"
    OWNERSHIP = "ownership", "Ownership", "good"
    ADVOCACY = "advocacy", "Advocacy", "good"


class JourneyTeam(Choice):
    CUSTOMER = "customer", "Customer"
    MARKETING = "marketing", "Marketing"
    SALES = "sales", "Sales"
    FINANCE = "finance", "Finance"
    OPERATIONS = "operations", "Operations"
    SERVICE = "service", "Service"


class JourneyStep(Entity):
    """A step on the map of the customer's journey, with how satisfied people should be there."""

    about = About(
        area="Setup", icon="route", columns=("name", "phase", "position", "satisfaction", "teams"), search=("name",),
        filters=("phase", "teams", "satisfaction"), sort=("position", "name"), related=("touchpoints",), delete=True,
        sections=(Section("Step", ("name", "phase", "position", "satisfaction", "teams", "description")),),
        help="The map of the customer's journey. Touchpoints of customers are counted on its steps.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120, column={"unique": True})
    phase: Mapped[Phase] = choice_field(Phase, required=True)
    position: Mapped[int] = integer_field(required=True, minimum=0, maximum=9999, help="The order on the map")
    satisfaction: Mapped[int | None] = integer_field(**SATISFACTION)
    teams: Mapped[list[str] | None] = choices_field(JourneyTeam, label="Who takes part")
    description: Mapped[str | None] = long_text_field()
    touchpoints: Mapped[list[Touchpoint]] = relationship(back_populates="step", order_by="Touchpoint.happened_at.desc()",
                                                         passive_deletes="all")  # fmt: skip


class Touchpoint(Entity):
    """That a customer was at a step of the journey, when, and how satisfied."""

    about = About(
        area="Customers", icon="map-pin", title="summary",
        columns=("summary", "customer", "step", "happened_at", "satisfaction", "teams"),
        filters=("customer", "step", "happened_at", "satisfaction", "teams"), sort=("happened_at",),
        timeline=Moment("happened_at", party="customer"), within=("customer", "owner"), delete=True,
        sections=(Section("Touchpoint", ("customer", "step", "happened_at", "satisfaction", "teams", "remarks")),),
        help="Where customers are on their journey.",
    )  # fmt: skip

    customer_id: Mapped[int] = reference_field("customer", table="party", required=True)
    step_id: Mapped[int] = reference_field("journey_step", table="journey_step", required=True)
    happened_at: Mapped[dt.datetime] = datetime_field(label="When", column={"server_default": func.now()})
    satisfaction: Mapped[int | None] = integer_field(**SATISFACTION)
    teams: Mapped[list[str] | None] = choices_field(JourneyTeam, label="Who took part")
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    derived = {"summary": Field(kind="text", label="Touchpoint")}
    customer: Mapped[Party] = relationship(
        backref=backref("touchpoints", order_by="Touchpoint.happened_at.desc()", passive_deletes="all"))  # fmt: skip
    step: Mapped[JourneyStep] = relationship(back_populates="touchpoints", lazy="selectin")

    @property
    def summary(self) -> str:
        return self.step.name


class StageChange(Entity):
    """That a party came to another stage of its lifecycle. Written by the database itself; it is its own history."""

    about = About(
        area="Customers", icon="history", label="Stage change", title="summary",
        columns=("summary", "party", "stage", "sub_stage", "stage_before", "sub_stage_before", "changed_at", "changed_by"),
        filters=("party", "stage", "sub_stage", "stage_before", "sub_stage_before", "changed_at", "changed_by"),
        sort=("changed_at",), timeline=Moment("changed_at", "changed_by"), within=("party", "owner"),
        create=False, edit=False, audited=False,
        detail=(Section("Change", ("party", "stage", "sub_stage", "stage_before", "sub_stage_before", "changed_at",
                                   "changed_by")),),
        help="Which stages customers went through, and when.",
    )  # fmt: skip

    party_id: Mapped[int] = reference_field("party", table="party", editable=False)
    stage: Mapped[Stage | None] = choice_field(Stage, editable=False)
    sub_stage: Mapped[SubStage | None] = choice_field(SubStage, editable=False)
    stage_before: Mapped[Stage | None] = choice_field(Stage, editable=False)
    sub_stage_before: Mapped[SubStage | None] = choice_field(SubStage, editable=False)
    changed_at: Mapped[dt.datetime] = datetime_field(
        editable=False, label="When", column={"server_default": func.now()}
    )
    changed_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False, label="By")
    derived = {"summary": Field(kind="text", label="Change")}
    party: Mapped[Party] = relationship(
        backref=backref("stage_changes", order_by="StageChange.id.desc()", passive_deletes="all"))  # fmt: skip
    changed_by: Mapped[User | None] = relationship()

    triggers = (
        Trigger("stage_change_of_party", "AFTER INSERT OR UPDATE OF stage, sub_stage", each="ROW", on="party", body="""
BEGIN
  IF (NEW.stage, NEW.sub_stage) IS DISTINCT FROM (OLD.stage, OLD.sub_stage) THEN
    INSERT INTO stage_change (party_id, stage, sub_stage, stage_before, sub_stage_before, changed_by_id)
    VALUES (NEW.id, NEW.stage, NEW.sub_stage, OLD.stage, OLD.sub_stage,
            nullif(current_setting('crm.actor', true), '')::bigint);
  END IF;
  RETURN NULL;
END"""),
    )  # fmt: skip

    @property
    def summary(self) -> str:
        said = [word.label for word in (self.stage, self.sub_stage) if word]
        return ": ".join(said) or "No stage"


class OnboardingTemplate(Entity):
    """A checklist for new customers, from which each gets a copy."""

    about = About(
        area="Setup", icon="clipboard-list", columns=("name", "description", "active"), search=("name",), filters=("active",),
        sort=("name",), related=("steps",), delete=True,
        sections=(Section("Template", ("name", "description", "active")),), help="What is done for every new customer.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120, column={"unique": True})
    description: Mapped[str | None] = long_text_field()
    active: Mapped[bool] = boolean_field(column={"server_default": text("true")})
    steps: Mapped[list[OnboardingTemplateStep]] = relationship(
        back_populates="template", order_by="OnboardingTemplateStep.due_days", passive_deletes="all"
    )


class OnboardingTemplateStep(Entity):
    """A step of an onboarding template, due so many days after it begins."""

    about = About(
        area="Setup", icon="list-checks", label="Step of a template", label_plural="Steps of templates",
        columns=("name", "template", "due_days", "team"), search=("name",), filters=("template", "team", "due_days"),
        sort=("due_days",), delete=True, sections=(Section("Step", ("template", "name", "due_days", "team", "description")),),
    )  # fmt: skip

    template_id: Mapped[int] = reference_field(
        "onboarding_template", table="onboarding_template", on_delete="CASCADE", required=True
    )
    name: Mapped[str] = text_field(required=True)
    due_days: Mapped[int] = integer_field(required=True, minimum=0, maximum=3650, label="Due after … days")
    team: Mapped[JourneyTeam | None] = choice_field(JourneyTeam, label="Who does it")
    description: Mapped[str | None] = long_text_field()
    template: Mapped[OnboardingTemplate] = relationship(back_populates="steps")
    __table_args__ = (UniqueConstraint("template_id", "name"),)


class Onboarding(Entity):
    """The checklist of one customer, with the steps of its template as they were when it began."""

    about = About(
        area="Customers", icon="clipboard-check", title="summary",
        columns=("summary", "customer", "template", "started_on", "remarks"), filters=("customer", "template", "started_on"),
        sort=("started_on",), within=("customer", "owner"), related=("steps",), delete=True, importable=False,
        sections=(Section("Onboarding", ("customer", "template", "started_on", "remarks")),),
        help="What is still to be done for new customers.",
    )  # fmt: skip

    customer_id: Mapped[int] = reference_field("customer", table="party", required=True)
    template_id: Mapped[int | None] = reference_field("onboarding_template", table="onboarding_template",
                                                      help="Its steps are copied when this is made")  # fmt: skip
    started_on: Mapped[dt.date] = date_field(label="Begins", column={"server_default": func.current_date()})
    remarks: Mapped[str | None] = long_text_field(field_class=FieldClass.PERSONAL)
    derived = {"summary": Field(kind="text", label="Onboarding")}
    customer: Mapped[Party] = relationship(
        backref=backref("onboardings", order_by="Onboarding.id.desc()", passive_deletes="all"))  # fmt: skip
    template: Mapped[OnboardingTemplate | None] = relationship(lazy="selectin")
    steps: Mapped[list[OnboardingStep]] = relationship(back_populates="onboarding", order_by="OnboardingStep.due_on",
                                                       passive_deletes="all")  # fmt: skip

    def created(self) -> None:
        """Its steps, due from the day it begins."""
        steps = [{"onboarding_id": self.id, "name": step.name, "team": step.team, "description": step.description,
                  "due_on": self.started_on + dt.timedelta(days=step.due_days)}
                 for step in (self.template.steps if self.template else ())]  # fmt: skip
        if steps:
            db.session.execute(insert(OnboardingStep), steps)

    @property
    def summary(self) -> str:
        return self.template.name if self.template else "Onboarding"


class OnboardingStep(Entity):
    """One thing to do for a new customer: by when, and who did it when."""

    about = About(
        area="Customers", icon="list-checks", columns=("name", "onboarding", "team", "due_on", "done_at", "done_by"),
        search=("name",), filters=("onboarding", "team", "due_on", "done_at", "done_by"), sort=("due_on", "created_at"),
        within=("onboarding", "customer", "owner"), delete=True,
        sections=(Section("Step", ("onboarding", "name", "team", "due_on", "description")),),
        detail=(Section("Step", ("onboarding", "name", "team", "due_on", "done_at", "done_by", "description")),),
    )  # fmt: skip

    onboarding_id: Mapped[int] = reference_field("onboarding", table="onboarding", on_delete="CASCADE", required=True)
    name: Mapped[str] = text_field(required=True)
    team: Mapped[JourneyTeam | None] = choice_field(JourneyTeam, label="Who does it")
    due_on: Mapped[dt.date] = date_field(required=True, label="Due")
    done_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Done")
    done_by_id: Mapped[int | None] = reference_field("user", table="app_user", editable=False)
    description: Mapped[str | None] = long_text_field()
    onboarding: Mapped[Onboarding] = relationship(back_populates="steps")
    done_by: Mapped[User | None] = relationship()

    __table_args__ = (
        CheckConstraint("done_by_id IS NULL OR done_at IS NOT NULL", name="done"),
        Index("ix_onboarding_step_open", "due_on", "id", postgresql_where=text("done_at IS NULL")),
    )  # fmt: skip
