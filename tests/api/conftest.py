"""Programs with keys, for the tests of the API."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select

from crm.commands.access import create_key, scope_names
from crm.core.audit import Acting, acting_as
from crm.core.entity import db
from crm.models.access import Role, User, UserRole
from tests.api.programs import Program


def new_program(app: Flask, *scopes: str, role: str = "admin", days: int | None = None) -> Program:
    """A program with a key of a new user, who has no password: hashing one costs more than the test."""
    with app.app_context(), acting_as(Acting(via="test")):
        user = User(name=f"{role} of a test", email=f"{role}-{secrets.token_hex(4)}@example.com")
        db.session.add(user)
        db.session.flush()
        held = db.session.scalars(select(Role.id).where(Role.name == role)).one()
        db.session.add(UserRole(user_id=user.id, role_id=held))
        _, secret = create_key(name="test", user=user, scopes=scopes or scope_names(), days=days)
        user_id = user.id
        db.session.commit()
    return Program(app, {"Authorization": f"Bearer {secret}"}, user_id)


@pytest.fixture
def program(app: Flask) -> Callable[..., Program]:
    """`program("customers:read", role="sales_rep")`; without scopes it has all of them."""
    return lambda *scopes, **more: new_program(app, *scopes, **more)
