"""The page of a ladder: what it would have done in the past year, with the thresholds that it has or with others."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask import render_template, request, url_for
from flask_admin import expose

from admin_views.base import EntityView
from admin_views.cells import asking, fields_of
from admin_views.lists import may
from admin_views.tabs import Tab
from crm.commands.segment_ladders import steps_of
from crm.core.entity import face_named
from crm.models.segments import Ladder, LadderStep
from crm.queries.ladder_simulation import Simulated, simulated
from crm.queries.ladders import Rung, faults
from crm.queries.segment_rules.trying import Count

MONTHS = "%b %Y"


class LadderView(EntityView):
    """Ladders."""

    rights = EntityView.rights | {"simulation_view": "edit"}

    def detail_extras(self, record: Ladder) -> dict[str, Any]:
        tabs = [Tab("overview", "Overview")]
        if self._may_try(record):
            address = url_for(".simulation_view", id=record.id)
            tabs.append(Tab("simulation", "Simulation", address, lambda: self._simulation(record)))
        return {"tabs": tabs}

    def _may_try(self, record: Ladder) -> bool:
        """It tells how a figure of customers went."""
        seen = fields_of(face_named("customer")).get(record.measure.value)
        return may(self.face, "edit") and may(face_named("customer"), "read") and seen is not None and seen.shows

    @expose("/simulation/")
    def simulation_view(self) -> Any:
        return self._simulation(self._record("edit"))

    def _simulation(self, record: Ladder) -> str:
        if not self._may_try(record):
            return ""
        steps = steps_of(record.id)
        tried = "tried" in request.args
        given = {f"{name}_{step.position}": request.args.get(f"{name}_{step.position}", "") if tried else f"{getattr(step, name).normalize():f}"
                 for step in steps for name in ("enter_from", "leave_below")}  # fmt: skip
        given["grace_days"] = request.args.get("grace_days", "") if tried else str(record.grace_days)
        one_step = "one_step" in request.args if tried else record.one_step
        values, errors = self._read(steps, given)
        rungs = (
            []
            if errors
            else [Rung(values[f"enter_from_{one.position}"], values[f"leave_below_{one.position}"]) for one in steps]
        )
        for level, why in faults(rungs).items():
            errors[f"Step {steps[level - 1].position}"] = why
        told = None
        if steps and not errors:
            told = simulated(record.measure, rungs, asking(), grace_days=int(values["grace_days"]), one_step=one_step)
        return render_template("desk/_ladder_simulation.html", ladder=record, steps=steps, given=given, one_step=one_step, errors=errors,
                               action=url_for(".details_view"), told=_told(told, steps) if told else None)  # fmt: skip

    def _read(self, steps: list[LadderStep], given: dict[str, str]) -> tuple[dict[str, Decimal], dict[str, str]]:
        """The numbers as their fields take them, and what is wrong: words for the field → sentence."""
        values, errors = {}, {}
        step_face = face_named("ladder_step")
        asked = [(f"{name}_{step.position}", step_face.field(name), f"Step {step.position}: {step_face.field(name).label.lower()}")
                 for step in steps for name in ("enter_from", "leave_below")]  # fmt: skip
        grace = self.face.field("grace_days")
        for name, declared, label in [*asked, ("grace_days", grace, grace.label)]:
            try:
                value = declared.parse(given[name])
                if value is None:
                    errors[label] = "is required"
                else:
                    values[name] = Decimal(value)
            except ValueError as fault:
                errors[label] = str(fault)
        return values, errors


def _told(made: Simulated, steps: list[LadderStep]) -> dict[str, Any]:
    """What the page says; numbers are told of all customers concerned, as “about” when not all were looked at."""
    exact = made.looked_at == made.candidates
    share = made.looked_at / made.candidates if made.candidates else 1

    def words(number: int) -> str:
        return Count(round(number / share), exact=exact).words

    levels = [(level, step.segment.name) for level, step in reversed(list(enumerate(steps, start=1)))]
    return {
        "looked_at": f"{made.looked_at:,}", "candidates": f"{made.candidates:,}", "exact": exact,
        "up": words(made.up), "down": words(made.down), "moved": words(made.moved), "restless": words(made.restless),
        "levels": [{"name": name, "before": words(made.before[level]), "after": words(made.after[level])} for level, name in levels],
        "months": [{"name": f"{month:{MONTHS}}", "up": words(counts["up"]), "down": words(counts["down"])}
                   for month, counts in reversed(made.months.items())],
    }  # fmt: skip
