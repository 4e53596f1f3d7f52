"""Whatever is done to a record in whatever order, it is done or refused in a sentence; the database has nothing to object."""

from __future__ import annotations

import random
from typing import Any

import pytest

import crm.commands  # noqa: F401 - declares the commands
from crm.commands import access
from crm.core.audit import Acting, acting_as
from crm.core.command import commands_of, perform
from crm.core.entity import all_faces, db
from crm.core.permissions import SYSTEM
from tests.factories import form_values, make, sample

FACES = [
    face for face in all_faces() if face.about.area != SYSTEM and commands_of(face) and face is face.entity.faces[0]
]
STEPS = 12


@pytest.mark.soak
@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
def test_commands_in_any_order_are_done_or_refused(face: Any, session: Any, soak_round: int) -> None:
    rng = random.Random(f"{face.name} {soak_round}")
    user, _ = access.create_user(email="doer@example.com", role="admin", name="Dora Doer")
    records = [make(face), make(face, **_full(face))]
    with acting_as(Acting(user.id, "test")):
        for _ in range(STEPS):
            made = rng.choice(commands_of(face))
            values = {name: _asked(asked, user, rng) for name, asked in made.asks.items()}
            for outcome in perform(made, [record.id for record in records], by=user, values=values):
                assert outcome.done or outcome.reason
            db.session.flush()


def _full(face: Any) -> dict[str, Any]:
    """Everything that a form offers, by attribute."""
    values = form_values(face) if face.about.create else {}
    return {face.fields[name].attribute: value for name, value in values.items() if name in face.fields}


def _asked(asked: Any, user: Any, rng: random.Random) -> Any:
    if asked.kind == "reference":
        return user.id if asked.refers_to == "user" else None
    return None if not asked.required and rng.random() < 0.5 else sample(asked)
