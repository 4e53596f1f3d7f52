"""Who may come in and what they may do: users, roles, sessions, API keys, and the audit they leave behind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from flask_login import UserMixin
from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.core.entity import About, Entity, Section
from crm.core.fields import (
    Choice,
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
)  # fmt: skip
from crm.core.permissions import Grant, Scope


class Role(Entity):
    """A named set of rights; a user may hold several."""

    about = About(
        area="System", icon="shield-check", title="label", columns=("label", "name", "description", "delivered"),
        search=("name", "label"), sort=("name",), create=False, edit=False,
        detail=(Section("Role", ("label", "name", "description", "delivered")),), related=("grants",),
    )  # fmt: skip

    name: Mapped[str] = text_field(max_length=64, editable=False, column={"unique": True})
    label: Mapped[str] = text_field(max_length=64, editable=False)
    description: Mapped[str | None] = text_field(editable=False)
    delivered: Mapped[bool] = boolean_field(editable=False, label="Comes with the product",
                                            column={"server_default": text("false")})  # fmt: skip
    grants: Mapped[list[RoleGrant]] = relationship(back_populates="role", order_by="RoleGrant.pattern")


class RoleGrant(Entity):
    """One line of a role: a pattern of permissions, the rows it reaches, or a denial."""

    about = About(area="System", title="pattern", columns=("pattern", "role", "scope", "deny"), filters=("role",),
                  sort=("pattern",), screen=True, api=False, create=False, edit=False, label="Grant",
                  detail=(Section("Grant", ("pattern", "role", "scope", "deny")),), icon="key-round")  # fmt: skip

    role_id: Mapped[int] = reference_field("role", table="role", on_delete="CASCADE", editable=False)
    pattern: Mapped[str] = text_field(
        max_length=128, editable=False, help="Such as customer.block, customer.* or *.read"
    )
    scope: Mapped[str] = text_field(max_length=16, editable=False, column={"server_default": "all"})
    deny: Mapped[bool] = boolean_field(editable=False, column={"server_default": text("false")})
    role: Mapped[Role] = relationship(back_populates="grants")

    __table_args__ = (UniqueConstraint("role_id", "pattern"),)

    def as_grant(self) -> Grant:
        return Grant(self.pattern, Scope(self.scope), self.deny)


class User(Entity, UserMixin):
    """A person who signs in."""

    __tablename__ = "app_user"
    about = About(
        area="System", icon="user", columns=("name", "email", "active", "last_login_at", "created_at"),
        search=("name", "email"), filters=("active", "created_at"), sort=("name", "created_at"),
        sections=(Section("Person", ("name", "email", "language", "time_zone")),), create=False,
        detail=(Section("Person", ("name", "email", "active", "language", "time_zone")),
                Section("Sign-in", ("last_login_at", "must_change_password"))),
    )  # fmt: skip

    name: Mapped[str] = text_field(required=True, field_class=FieldClass.PERSONAL)
    email: Mapped[str] = email_field(required=True, column={"unique": True})
    active: Mapped[bool] = boolean_field(editable=False, column={"server_default": text("true")})
    language: Mapped[str | None] = language_field()
    time_zone: Mapped[str | None] = text_field(max_length=64, example="Europe/Berlin")
    must_change_password: Mapped[bool] = boolean_field(editable=False, column={"server_default": text("false")})
    # Sign-ins have a record of their own.
    last_login_at: Mapped[dt.datetime | None] = datetime_field(editable=False, audited=False)
    password_hash: Mapped[str | None] = mapped_column(Text, deferred=True)
    roles: Mapped[list[Role]] = relationship(secondary="user_role", order_by=Role.name)

    @classmethod
    def check(cls, face: Any, record: Any, values: Mapping[str, Any], by: Any) -> dict[str, str]:
        zone = values.get("time_zone")
        if zone is not None and zone not in available_timezones():
            return {"time_zone": "is not a time zone; it looks like Europe/Berlin"}
        return {}

    @property
    def is_active(self) -> bool:
        return self.active

    @property
    def grants(self) -> list[Grant]:
        return [line.as_grant() for role in self.roles for line in role.grants]


class UserRole(Entity):
    """That a user holds a role."""

    user_id: Mapped[int] = reference_field("user", table="app_user", on_delete="CASCADE", editable=False)
    role_id: Mapped[int] = reference_field("role", table="role", editable=False)
    __table_args__ = (UniqueConstraint("user_id", "role_id"),)


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
