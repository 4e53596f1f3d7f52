"""One class and a migration make an entity: list, form, export, API, rights and audit of a throw-away one."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine
from sqlalchemy.orm import Mapped, relationship

from admin_views.screens import add_screen
from app import create_app
from crm.commands import access
from crm.core import audit
from crm.core import jobs as table
from crm.core.command import Refused, command
from crm.core.entity import About, DeclarationError, Entity, Section, check_declarations, db, face_named, forget
from crm.core.fields import FieldClass, field_of, integer_field, reference_field, text_field
from crm.core.permissions import permissions
from crm.models.access import User
from crm.models.parties import Party
from crm.models.party_merges import references
from crm.queries import party_merges
from migrations.env_rules import wanted, without_xmin
from migrations.install import install
from tests.conftest import FreshClient, sign_in
from tests.factories import make


@pytest.fixture
def parking_permit(own_database, monkeypatch):
    """The class a newcomer would write, its table, and a command; on an app that nobody else gets."""
    bell = replace(table.bell)
    app = create_app(own_database.app.config["DESK_SETTINGS"], own_database.servers)
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    app.test_client_class = FreshClient
    monkeypatch.setattr(own_database, "app", app)

    class ParkingPermit(Entity):
        """A permit to park in our yard."""

        about = About(
            area="Yard", title="plate", columns=("plate", "holder", "bay"), search=("plate",), filters=("bay", "holder"),
            sort=("plate",), sections=(Section("Permit", ("plate", "holder", "bay")),), within=("holder", "owner"),
        )  # fmt: skip

        plate: Mapped[str] = text_field(required=True, max_length=20, field_class=FieldClass.PERSONAL)
        holder_id: Mapped[int | None] = reference_field("customer", table="party")
        bay: Mapped[int | None] = integer_field(minimum=1, maximum=40)
        holder = relationship(Party)

    @command(ParkingPermit, "Move", asks={"bay": field_of("integer", minimum=1, maximum=40, required=True)})
    def move(permit: ParkingPermit, *, by: object, bay: int) -> None:
        """Give it another bay."""
        if permit.bay == bay:
            raise Refused("it is there already")
        permit.bay = bay

    check_declarations()
    try:
        _migrate(own_database.servers)
        add_screen(own_database.app.extensions["desk_admin"], face_named("parking_permit"))
        yield ParkingPermit
    finally:
        forget(ParkingPermit)
        for known in (references, party_merges._named_by, party_merges._newest):  # read from the declarations once
            known.cache_clear()
        table.hang(bell)
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def _migrate(servers) -> None:
    """What `flask db upgrade` does with the generated revision: the difference, then triggers and grants."""
    engine = create_engine(servers.owner_database_url)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": wanted})
        script = produce_migrations(context, Entity.metadata)
        without_xmin(context, None, [script])
        operations = Operations(context)
        tables = [step.table_name for step in script.upgrade_ops.ops if hasattr(step, "columns")]
        assert tables == ["parking_permit"], "the declarations ask for that table and for nothing else"
        for step in script.upgrade_ops.ops:
            for inner in getattr(step, "ops", [step]):
                operations.invoke(inner)
        install(connection, engine.url.username.replace("_owner", "_app"))
    engine.dispose()


def test_one_class_is_an_entity(own_database, parking_permit, owner_sql):
    app = own_database.app
    assert "parking_permit.move" in permissions()
    assert ("parking_permit", "audit_parking_permit_update") in audit.installed_names()
    with app.app_context():
        customer = make(face_named("customer"), name="Ada Lovelace")
        db.session.commit()
        holder = customer.id
    person = sign_in(app, "admin")

    refused = person.client.post("/admin/parking-permits/new/", data={"plate": "", "bay": "41"})
    assert refused.status_code == 422
    assert "must be 40 or less" in refused.text
    made = person.client.post(
        "/admin/parking-permits/new/", data={"plate": "=B-AD 1815", "bay": "7", "holder": str(holder)}
    )
    assert made.status_code == 303

    listed = person.client.get(
        "/admin/parking-permits/", query_string={"search": "ad 18", "flt_bay_ge": "5", "sort": "plate"}
    )
    assert "=B-AD 1815" in listed.text
    assert "Ada Lovelace" in listed.text
    rows = list(
        csv.DictReader(io.StringIO(person.client.get("/admin/parking-permits/export/csv/").text.lstrip("\ufeff")))
    )
    assert [(row["plate"], row["bay"]) for row in rows] == [("'=B-AD 1815", "7")]

    number = owner_sql("SELECT id FROM parking_permit")[0][0]
    moved = person.client.post("/admin/parking-permits/action/",
                               data={"action": "move", "rowid": number, "bay": "8", "confirm": "1"})  # fmt: skip
    assert moved.status_code == 303
    entries = owner_sql("SELECT action, actor_id, changes FROM audit_entry WHERE entity = 'parking_permit' ORDER BY id")
    assert [(row[0], row[1]) for row in entries] == [("create", person.user_id), ("update", person.user_id)]
    assert entries[1][2] == {"bay": ["7", "8"]}


def test_its_api_and_its_rights_are_there_too(own_database, parking_permit, owner_sql):
    app = own_database.app
    with app.app_context():
        permit = make(face_named("parking_permit"), plate="M-X 1", bay=3)
        db.session.commit()
        number = permit.id
    key = _key(app, "parking-permits:read", "parking-permits:command")
    client = app.test_client()
    document = client.get(f"/api/v1/parking-permits/{number}", headers=key).get_json()
    assert (document["plate"], document["bay"]) == ("M-X 1", 3)
    assert client.post(f"/api/v1/parking-permits/{number}/move", json={"bay": 3}, headers=key).status_code == 409
    assert client.post(f"/api/v1/parking-permits/{number}/move", json={"bay": 99}, headers=key).status_code == 422
    assert client.post(f"/api/v1/parking-permits/{number}/move", json={"bay": 4}, headers=key).status_code == 200
    assert client.post("/api/v1/parking-permits", json={"plate": "X"}, headers=key).status_code == 403
    assert "/parking-permits" in client.get("/api/v1/openapi.json").text
    # Roles that read all business read it too, without what says something about a person.
    finance, operations = (sign_in(app, role).client.get("/admin/parking-permits/") for role in ("finance", "auditor"))
    assert finance.status_code == operations.status_code == 200
    assert sign_in(app, "auditor").client.get("/admin/parking-permits/").status_code == 200
    assert owner_sql("SELECT bay FROM parking_permit") == [(4,)]


def _key(app, *scopes: str) -> dict[str, str]:
    person = sign_in(app, "admin")
    with app.app_context():
        _, secret = access.create_key(name="t", user=db.session.get_one(User, person.user_id), scopes=scopes)
        db.session.commit()
    return {"Authorization": f"Bearer {secret}"}


def test_a_wrong_name_stops_the_start_with_entity_and_field():
    class BrokenThing(Entity):
        """A declaration with a slip."""

        about = About(area="Yard", title="plate", columns=("plate", "colour"))
        plate: Mapped[str] = text_field()

    try:
        with pytest.raises(DeclarationError, match=r"BrokenThing.*about\.columns.*colour"):
            check_declarations()
    finally:
        forget(BrokenThing)
    check_declarations()
