"""What a role gives: lines are added, changed, switched off and put back, by those who don't hold the role themselves."""

from __future__ import annotations

from crm.commands.access import line_key, one_change_at_a_time, put_line, refuse_without_administrator
from crm.commands.delivered_roles import DELIVERED
from crm.core.command import Refused, command
from crm.core.entity import all_faces
from crm.core.fields import FieldClass, field_of
from crm.core.permissions import Access, FieldGrant, Grant, Scope, face_verbs, matches, names_of
from crm.models.access import Origin, Role, RoleGrant, User


@command(Role, "Give or deny a right", icon="shield-check", asks={
    "right": field_of("text", label="Right", required=True, max_length=128, example="customer.block",
                      help="Of one entity (customer.block), an area (Customers.read) or all business (business.read); "
                           "* stands for anything"),
    "rows": field_of("choice", choices=Scope, label="Rows", required=True),
    "deny": field_of("boolean", label="Deny it: whatever other roles give"),
})  # fmt: skip
def give_right(role: Role, *, by: User, right: str, rows: Scope, deny: bool | None) -> None:
    """Add a right to a role, or change the rows it reaches; nobody changes a role that he holds."""
    if not any(matches(right, names_of(face, verb)) for face in all_faces() for verb in face_verbs(face)):
        raise Refused(f"“{right}” fits no right: it looks like customer.block, Customers.read or business.*")
    _put(role, Grant(right, rows, bool(deny)), by)


@command(Role, "Set how fields show", icon="eye", asks={
    "fields": field_of("text", label="Fields", required=True, max_length=128, example="customer.*",
                       help="Of one entity (customer.email, customer.*), an area (Customers.*) or all business (business.*)"),
    "field_class": field_of("choice", choices=FieldClass, label="Class", help="None: fields of every class"),
    "access": field_of("choice", choices=Access, label="They are", required=True,
                       help="Not there counts as an explicit deny, whatever other roles give"),
})  # fmt: skip
def show_fields(role: Role, *, by: User, fields: str, field_class: FieldClass | None, access: Access) -> None:
    """Say which fields a role sees, masked or not at all, and which it may change; nobody changes a role that he
    holds."""
    if not any(matches(fields, names_of(face, name)) for face in all_faces() for name in face.fields):
        raise Refused(f"“{fields}” fits no field: it looks like customer.email, Customers.* or business.*")
    _put(role, FieldGrant(fields, access, field_class), by)


@command(RoleGrant, "Switch off", tone="warning", icon="ban", applies=lambda line: line.origin is not Origin.OFF,
         confirm="Whoever has the role loses, or gains, what the line says.")  # fmt: skip
def switch_off(line: RoleGrant, *, by: User) -> None:
    """Let a line count no more; it can be put back."""
    if line.origin is Origin.OFF:
        raise Refused("it is switched off already")
    _refuse_own_role(line.role, by)
    one_change_at_a_time()
    line.origin = Origin.OFF
    refuse_without_administrator()


@command(
    RoleGrant, "Put back", icon="archive-restore", applies=lambda line: line.origin in (Origin.OFF, Origin.CHANGED)
)
def put_back(line: RoleGrant, *, by: User) -> None:
    """Let a line count again, as it was delivered where it came with the product."""
    if line.origin not in (Origin.OFF, Origin.CHANGED):
        raise Refused("it counts as it is")
    _refuse_own_role(line.role, by)
    one_change_at_a_time()
    delivered = DELIVERED.get(line.role.name)
    lines = delivered.lines if delivered else ()
    grant = next((grant for grant in lines if line_key(grant) == line_key(line)), None)
    line.origin = Origin.OWN if grant is None else Origin.DELIVERED
    if grant is not None:
        put_line(line, grant)
    refuse_without_administrator()


def _put(role: Role, grant: Grant | FieldGrant, by: User) -> None:
    _refuse_own_role(role, by)
    one_change_at_a_time()
    line = next((line for line in role.grants if line_key(line) == line_key(grant)), None)
    if line is None:
        line = RoleGrant(pattern=grant.pattern, origin=Origin.OWN)
        role.grants.append(line)
    elif line.origin is not Origin.OWN:
        line.origin = Origin.CHANGED
    put_line(line, grant)
    refuse_without_administrator()


def _refuse_own_role(role: Role, by: User) -> None:
    if role.id in {held.id for held in by.roles}:
        raise Refused("you hold this role yourself: ask another administrator")
