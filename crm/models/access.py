"""Who may come in and what they may do: users, roles, sessions, API keys, and the audit they leave behind."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask_login import UserMixin
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    cast,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.orm import Mapped, MappedSQLExpression, column_property, mapped_column, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Choice,
    Field,
    FieldClass,
    boolean_field,
    choice_field,
    datetime_field,
    declare,
    email_field,
    integer_field,
    language_field,
    long_text_field,
    reference_field,
    tags_field,
    text_field,
    time_zone_field,
)  # fmt: skip
from crm.core.permissions import Access, FieldGrant, Grant, Scope


def _slug(context: Any) -> str:
    """`Night shift` → `night_shift`: how the command line calls a new role."""
    return re.sub(r"\W+", "_", context.get_current_parameters()["label"].casefold()).strip("_") or "role"


class Role(Entity):
    """A named set of rights; a user may hold several."""

    about = About(
        area="System", icon="shield-check", title="label", columns=("label", "name", "description", "delivered"),
        search=("name", "label"), sort=("name",), sections=(Section("Role", ("label", "description")),),
        detail=(Section("Role", ("label", "name", "description", "delivered")),), related=("grants",),
        help="Named sets of rights. What a role gives stands under Grants on its page, and for all roles in the matrix.",
    )  # fmt: skip

    name: Mapped[str] = text_field(max_length=64, editable=False, column={"unique": True, "default": _slug})
    label: Mapped[str] = text_field(max_length=64, required=True)
    description: Mapped[str | None] = text_field()
    delivered: Mapped[bool] = boolean_field(editable=False, label="Comes with the product",
                                            column={"server_default": text("false")})  # fmt: skip
    grants: Mapped[list[RoleGrant]] = relationship(back_populates="role", order_by="RoleGrant.pattern, RoleGrant.id")
    if TYPE_CHECKING:  # below, where the lines of a role are known
        rights: Mapped[str | None]

    @property
    def gives(self) -> tuple[Grant, ...]:
        """What it gives and denies on rows, without the lines that are switched off."""
        return _read(self.rights)[0]

    @classmethod
    def check(cls, face: Any, record: Any, values: Mapping[str, Any], by: Any) -> dict[str, str]:
        if record is not None and record.delivered and values:
            return {next(iter(values)): "stays as it is: this role comes with the product; adjust its grants"}
        return {}


class Origin(Choice):
    """Where a line of a role comes from, so that an upgrade leaves alone what was adjusted."""

    DELIVERED = "delivered", "As delivered", "neutral"
    CHANGED = "changed", "Changed here", "info"
    OWN = "own", "Added here", "info"
    OFF = "off", "Switched off", "warning"


class RoleGrant(Entity):
    """One line of a role: what it gives or denies on which rows, or how a class of fields shows."""

    about = About(area="System", title="pattern", columns=("pattern", "says", "role", "origin"),
                  filters=("role", "pattern", "scope", "deny", "field_class", "access", "origin"), search=("pattern",),
                  sort=("pattern",), api=False, create=False, edit=False, label="Grant", icon="key-round",
                  detail=(Section("Grant", ("role", "pattern", "says", "scope", "deny", "field_class", "access", "origin")),),
                  )  # fmt: skip

    role_id: Mapped[int] = reference_field("role", table="role", on_delete="CASCADE", editable=False)
    pattern: Mapped[str] = text_field(
        max_length=128,
        editable=False,
        help="Such as customer.block, Customers.* or business.read; of fields customer.email",
    )
    scope: Mapped[Scope] = choice_field(Scope, editable=False, label="Rows", column={"server_default": "all"})
    deny: Mapped[bool] = boolean_field(editable=False, label="Denied", column={"server_default": text("false")})
    # With an access the line speaks of fields instead: `<face>.<field>` of this class, of every class without one.
    field_class: Mapped[FieldClass | None] = choice_field(FieldClass, editable=False, label="Class of fields")
    access: Mapped[Access | None] = choice_field(Access, editable=False, label="Fields show")
    origin: Mapped[Origin] = choice_field(Origin, editable=False, column={"server_default": "delivered"})
    role: Mapped[Role] = relationship(back_populates="grants")
    derived = {"says": Field(kind="text", label="What it says")}

    __table_args__ = (
        Index("uq_role_grant_right", "role_id", "pattern", unique=True, postgresql_where=text("access IS NULL")),
        Index("uq_role_grant_fields", "role_id", "pattern", "field_class", unique=True,
              postgresql_nulls_not_distinct=True, postgresql_where=text("access IS NOT NULL")),
        CheckConstraint("access IS NOT NULL OR field_class IS NULL", name="class_has_access"),
    )  # fmt: skip

    @property
    def says(self) -> str:
        """The line in words, without its pattern."""
        if self.access is not None:
            return f"{self.field_class.label if self.field_class else 'All'} fields: {self.access.label.lower()}"
        rows = {Scope.OWN: "own rows", Scope.TEAM: "own rows and those of the teams", Scope.ALL: "all rows"}[self.scope]
        return f"Denied for {rows}" if self.deny else rows.capitalize()

    def as_grant(self) -> Grant:
        return Grant(self.pattern, Scope(self.scope), self.deny)

    def as_field_grant(self) -> FieldGrant:
        assert self.access is not None
        return FieldGrant(self.pattern, Access(self.access), FieldClass(self.field_class) if self.field_class else None)


class User(Entity, UserMixin):
    """A person who signs in."""

    __tablename__ = "app_user"
    about = About(
        area="System", icon="user", columns=("name", "email", "active", "last_login_at", "created_at"),
        search=("name", "email"), filters=("active", "created_at"), sort=("name", "created_at"),
        sections=(Section("Person", ("name", "email", "language", "time_zone")),), create=False,
        detail=(Section("Person", ("name", "email", "active", "language", "time_zone")),
                Section("Sign-in", ("last_login_at", "signed_out_at", "must_change_password"))),
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, field_class=FieldClass.PERSONAL)
    email: Mapped[str] = email_field(required=True, column={"unique": True})
    active: Mapped[bool] = boolean_field(editable=False, column={"server_default": text("true")})
    language: Mapped[str | None] = language_field()
    time_zone: Mapped[str | None] = time_zone_field()
    must_change_password: Mapped[bool] = boolean_field(editable=False, column={"server_default": text("false")})
    # Sign-ins have a record of their own.
    last_login_at: Mapped[dt.datetime | None] = datetime_field(editable=False, audited=False)
    signed_out_at: Mapped[dt.datetime | None] = datetime_field(editable=False, label="Signed out everywhere")
    password_hash: Mapped[str | None] = mapped_column(Text, deferred=True)
    roles: Mapped[list[Role]] = relationship(secondary="user_role", order_by=Role.name)
    if TYPE_CHECKING:  # below
        rights: Mapped[str | None]

    @property
    def is_active(self) -> bool:
        return self.active

    @property
    def grants(self) -> tuple[Grant, ...]:
        return _read(self.rights)[0]

    @property
    def field_grants(self) -> tuple[FieldGrant, ...]:
        return _read(self.rights)[1]


class UserRole(Entity):
    """That a user holds a role."""

    user_id: Mapped[int] = reference_field("user", table="app_user", on_delete="CASCADE", editable=False)
    role_id: Mapped[int] = reference_field("role", table="role", editable=False)
    __table_args__ = (UniqueConstraint("user_id", "role_id"),)


# What a role says, or those of a user, as one text: every page begins with it, and there may be a hundred lines.
_SAID = (RoleGrant.pattern, RoleGrant.scope, RoleGrant.deny, RoleGrant.field_class, RoleGrant.access)


def _said(*of: ColumnElement[bool]) -> MappedSQLExpression[str | None]:
    lines = func.json_agg(aggregate_order_by(func.json_build_array(*_SAID), RoleGrant.id))
    statement = select(cast(lines, Text)).where(RoleGrant.origin != Origin.OFF, *of)
    return column_property(statement.correlate_except(RoleGrant, UserRole).scalar_subquery(), deferred=True)


Role.rights = _said(RoleGrant.role_id == Role.id)
User.rights = _said(RoleGrant.role_id == UserRole.role_id, UserRole.user_id == User.id)


@lru_cache(maxsize=1024)
def _read(rights: str | None) -> tuple[tuple[Grant, ...], tuple[FieldGrant, ...]]:
    """What gives rows, and what says how fields show."""
    lines = [
        RoleGrant(**dict(zip((one.key for one in _SAID), line, strict=True))) for line in json.loads(rights or "[]")
    ]
    return (tuple(line.as_grant() for line in lines if line.access is None),
            tuple(line.as_field_grant() for line in lines if line.access is not None))  # fmt: skip


class Team(Entity):
    """People who work together: whoever may see a team's rows sees what any of them owns, and what is the team's."""

    about = About(
        area="System", icon="users-round", columns=("name", "lead", "description"), search=("name",), filters=("lead",),
        sort=("name",), sections=(Section("Team", ("name", "lead", "description")),), related=("members",), delete=True,
        help="Who works together. A right of scope “own and team” reaches what anybody of one's teams owns.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=120, column={"unique": True})
    lead_id: Mapped[int | None] = reference_field("user", table="app_user", label="Lead", help="Counts as a member")
    description: Mapped[str | None] = text_field()
    lead: Mapped[User | None] = relationship()
    members: Mapped[list[TeamMember]] = relationship(back_populates="team", order_by="TeamMember.id",
                                                     passive_deletes="all")  # fmt: skip


class TeamMember(Entity):
    """That a person is in a team; one may be in several."""

    about = About(area="System", icon="user", title="who", columns=("user", "team", "created_at"), filters=("team", "user"),
                  sort=("created_at",), sections=(Section("Member", ("team", "user")),), edit=False, delete=True,
                  )  # fmt: skip

    team_id: Mapped[int] = reference_field("team", table="team", on_delete="CASCADE", required=True)
    user_id: Mapped[int] = reference_field("user", table="app_user", on_delete="CASCADE", required=True)
    team: Mapped[Team] = relationship(back_populates="members")
    user: Mapped[User] = relationship(lazy="joined")
    derived = {"who": Field(kind="text", label="Member", field_class=FieldClass.PERSONAL)}
    __table_args__ = (UniqueConstraint("team_id", "user_id"),)

    @property
    def who(self) -> str:
        return self.user.name


class SavedView(Entity):
    """A list as somebody likes it: what it is narrowed to, its order and columns; alone, with a team, or for everybody."""

    about = About(
        area="System", icon="bookmark", columns=("name", "face", "owner", "team", "everybody", "created_at"),
        filters=("face", "owner", "team", "everybody"), sort=("name",), within=("owner",),
        sections=(Section("View", ("name",)),), create=False, delete=True, api=False,
        detail=(Section("View", ("name", "face", "owner", "team", "everybody")),),
        help="Lists that were saved with their filters, order and columns. They stand above the list as tabs; save one there.",
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, max_length=60)
    face: Mapped[str] = text_field(max_length=64, editable=False, label="List")
    # As the list's own address has it: filters, search, order, columns.
    query: Mapped[str] = long_text_field(editable=False, column={"nullable": False})
    owner_id: Mapped[int] = reference_field("user", table="app_user", on_delete="CASCADE", editable=False)
    team_id: Mapped[int | None] = reference_field("team", table="team", on_delete="SET NULL", editable=False,
                                                  label="Shared with team")  # fmt: skip
    everybody: Mapped[bool] = boolean_field(editable=False, label="For everybody",
                                            column={"server_default": text("false")})  # fmt: skip
    owner: Mapped[User] = relationship()
    team: Mapped[Team | None] = relationship()
    __table_args__ = (
        UniqueConstraint("owner_id", "face", "name"),
        CheckConstraint("NOT (everybody AND team_id IS NOT NULL)", name="shared_one_way"),
        Index("ix_saved_view_face", "face"),
    )


class UserSession(Entity):
    """A browser that is signed in; ending the row signs it out. Its own history, so it carries no audit trigger."""

    about = About(area="System", title="user_agent", icon="key-round", label="Session", screen=False, audited=False,
                  columns=("user", "created_at"), create=False, edit=False)  # fmt: skip

    user_id: Mapped[int] = reference_field("user", table="app_user", on_delete="CASCADE", editable=False)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    ip: Mapped[str | None] = text_field(max_length=64, editable=False, field_class=FieldClass.PERSONAL)
    user_agent: Mapped[str | None] = text_field(editable=False, field_class=FieldClass.PERSONAL)
    seen_at: Mapped[dt.datetime] = datetime_field(editable=False, column={"server_default": func.now()})
    expires_at: Mapped[dt.datetime] = datetime_field(editable=False)
    ended_at: Mapped[dt.datetime | None] = datetime_field(editable=False)
    user: Mapped[User] = relationship(lazy="joined")


class LoginAttempt(Entity):
    """A try to sign in, kept to slow down guessing; who it was for stands there as a hash only."""

    about = About(area="System", title="id", columns=("created_at",), screen=False, audited=False, create=False,
                  edit=False)  # fmt: skip

    email_hash: Mapped[str] = mapped_column(String(64))
    ip: Mapped[str] = text_field(max_length=64, editable=False, field_class=FieldClass.PERSONAL)
    succeeded: Mapped[bool] = boolean_field(editable=False)
    __table_args__ = (Index("ix_login_attempt_email", "email_hash", "created_at"),
                      Index("ix_login_attempt_ip", "ip", "created_at"))  # fmt: skip


class ApiKey(Entity):
    """A key with which a program acts as its user, within scopes. Only its hash is kept."""

    about = About(
        area="System", icon="key-round", label="API key", label_plural="API keys", columns=("name", "user", "prefix", "scopes", "expires_at",
                                                             "last_used_at", "revoked_at"),
        search=("name", "prefix"), filters=("user",), sort=("created_at",), create=False, edit=False, api=False,
        audited=False, detail=(Section("Key", ("name", "user", "prefix", "scopes", "expires_at", "last_used_at",
                                               "revoked_at")),),
    )  # fmt: skip

    name: Mapped[str] = text_field(editable=False)
    user_id: Mapped[int] = reference_field("user", table="app_user", on_delete="CASCADE", editable=False)
    prefix: Mapped[str] = text_field(max_length=16, editable=False, help="How the key begins")
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = tags_field(editable=False)
    expires_at: Mapped[dt.datetime | None] = datetime_field(editable=False)
    last_used_at: Mapped[dt.datetime | None] = datetime_field(editable=False)
    revoked_at: Mapped[dt.datetime | None] = datetime_field(editable=False)
    user: Mapped[User] = relationship()


class IdempotencyKey(Entity):
    """The answer that was given to a POST of a program, so that the same POST again gets the same answer."""

    about = About(area="System", title="key", columns=("created_at",), screen=False, audited=False, create=False,
                  edit=False)  # fmt: skip

    api_key_id: Mapped[int] = mapped_column(ForeignKey("api_key.id", ondelete="CASCADE"))
    key: Mapped[str] = text_field(editable=False)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None] = integer_field(editable=False)
    document: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    __table_args__ = (UniqueConstraint("api_key_id", "key"),)


class SentForm(Entity):
    """A form that made something, so that the same form sent twice makes it once."""

    about = About(area="System", title="token", columns=("created_at",), screen=False, audited=False, create=False,
                  edit=False)  # fmt: skip

    user_id: Mapped[int] = mapped_column(ForeignKey("app_user.id", ondelete="CASCADE"))
    token: Mapped[str] = mapped_column(String(64))
    location: Mapped[str | None] = mapped_column(Text)
    __table_args__ = (UniqueConstraint("user_id", "token"),)


class AuditAction(Choice):
    CREATE = "create", "Created", "good"
    UPDATE = "update", "Changed", "info"
    DELETE = "delete", "Deleted", "bad"


class AuditEntry(Entity):
    """Who did what to which record; written by the database itself."""

    about = About(
        area="System", icon="history", label="Audit entry", label_plural="Audit", plural="audit", title="id", audited=False,
        columns=("id", "created_at", "actor", "action", "entity", "record_id", "via"),
        filters=("entity", "record_id", "action", "actor", "via", "created_at"), sort=("created_at",), create=False,
        edit=False, detail=(Section("Entry", ("created_at", "actor", "action", "entity", "record_id", "via",
                                              "request_id")),),
    )  # fmt: skip

    # No foreign key in the database: the entry outlives the user.
    actor_id: Mapped[int | None] = declare("reference", BigInteger, refers_to="user", editable=False)
    via: Mapped[str] = text_field(editable=False, label="By way of", column={"server_default": ""})
    request_id: Mapped[str] = text_field(max_length=64, editable=False, column={"server_default": ""})
    entity: Mapped[str] = text_field(max_length=64, editable=False)
    record_id: Mapped[int] = declare("integer", BigInteger, editable=False, label="Number of the record")
    action: Mapped[AuditAction] = choice_field(AuditAction, editable=False)
    changes: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    # Given by the sealer under a lock, never by order of insertion.
    seq: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    hash: Mapped[str | None] = mapped_column(String(64))
    actor: Mapped[User | None] = relationship(primaryjoin="foreign(AuditEntry.actor_id) == User.id", viewonly=True)
    __table_args__ = (Index("ix_audit_entry_record", "entity", "record_id", "id"),
                      # The timelines of parties.
                      Index("ix_audit_entry_party", "record_id", "created_at", "id", postgresql_where=text("entity = 'party'")),
                      # What an import did, for its undo.
                      Index("ix_audit_entry_import", "request_id", "action", "entity", "record_id", "id",
                            postgresql_where=text("starts_with(request_id, 'import-')")),
                      Index("ix_audit_entry_open", "id", postgresql_where=text("seq IS NULL")))  # fmt: skip


class AuditValue(Entity):
    """The personal values behind an audit entry, apart so that they can be erased with their salt."""

    about = About(area="System", title="id", columns=("created_at",), screen=False, audited=False, create=False,
                  edit=False)  # fmt: skip

    entry_id: Mapped[int] = mapped_column(BigInteger, index=True)
    field: Mapped[str] = text_field(max_length=64, editable=False)
    salt: Mapped[str] = mapped_column(String(64))
    before: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.PERSONAL)
    after: Mapped[str | None] = long_text_field(editable=False, field_class=FieldClass.PERSONAL)


class AuditHead(Entity):
    """How far the audit is sealed: one row, so that entries taken from its end are missed too."""

    about = About(area="System", title="id", columns=("created_at",), screen=False, audited=False, create=False,
                  edit=False)  # fmt: skip

    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
