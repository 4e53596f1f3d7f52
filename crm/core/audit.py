"""Who does what: the actor is handed to the database, and triggers made from the declarations write the audit.

The functions here answer SQL; `install` runs it as the owner at the end of every upgrade. Values of personal fields
go to `audit_value` with a salt, the entry keeps only their salted hash, so that erasing the values leaves the chain
of entries intact.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.orm import Session, SessionTransaction

from crm.core.entity import DeclarationError, Entity, entities
from crm.core.triggers import NEVER_ROW_BY_ROW, SETTINGS


@dataclass(frozen=True)
class Acting:
    """On whose behalf this thread works: the user, the way in (`screen`, `api`, `job`, `cli`, `import 12`)."""

    user_id: int | None = None
    via: str = ""
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))


_NOBODY = Acting(via="system", request_id="")
_acting: ContextVar[Acting] = ContextVar("acting", default=_NOBODY)
_HAND_OVER = text("SELECT set_config('crm.actor', :actor, true), set_config('crm.via', :via, true), "
                  "set_config('crm.request', :request, true)")  # fmt: skip
_TOLD = "told"  # whom a connection last named to the database


def acting() -> Acting:
    return _acting.get()


@contextlib.contextmanager
def acting_as(who: Acting) -> Iterator[None]:
    """Everything written inside is this actor's; also in a transaction that has already begun."""
    token = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(token)


def act(session: Session, who: Acting) -> None:
    """From here to the end of the surrounding `acting_as`, and in the transaction that has begun already."""
    _acting.set(who)
    hand_over(session.connection())


def hand_over(connection: Connection) -> None:
    """Tell the database who acts, until the end of this transaction."""
    who = _acting.get()
    actor = "" if who.user_id is None else str(who.user_id)
    connection.execute(_HAND_OVER, {"actor": actor, "via": who.via, "request": who.request_id})
    connection.info[_TOLD] = who


@event.listens_for(Session, "after_begin")
def _on_begin(_session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    """A savepoint needn't be told again who acts."""
    if not transaction.nested or connection.info.get(_TOLD) != _acting.get():
        hand_over(connection)


@event.listens_for(Engine, "rollback_savepoint")
def _on_undone(connection: Connection, _name: str, _context: None) -> None:
    """What the database was told inside is undone with the savepoint."""
    if not connection.invalidated:  # a cut line has nothing left to undo
        connection.info.pop(_TOLD, None)


def audited_columns(entity: type[Entity]) -> list[tuple[str, bool]]:
    """(column, whether its values are personal) of every declared field that is stored and not derived."""
    found = []
    for column in entity.__table__.columns:
        declared = column.info.get("field")
        if (
            declared is None
            or not declared.audited
            or column.computed is not None
            or column.name in {"created_at", "updated_at"}
        ):
            continue
        found.append((column.name, declared.is_personal))
    return found


def is_audited(entity: type[Entity]) -> bool:
    return entity.about is None or entity.about.audited


def install_statements() -> list[str]:
    """Every function and trigger, in an order that can be run again and again."""
    return [statement for entity in entities() for statement in _touch(entity) + _triggers(entity)]


def installed_names() -> set[tuple[str, str]]:
    """(table, trigger) of everything `install_statements` makes; `flask db check` compares it with the database."""
    names = set()
    for entity in entities():
        table = entity.__tablename__
        names.add((table, f"touch_{table}"))
        if is_audited(entity):
            names |= {(table, f"audit_{table}_{action}") for action in ("create", "update", "delete")}
    return names


def _touch(entity: type[Entity]) -> list[str]:
    """Before each update: the time of it, and what a changed value says about its state.

    A field declared `of` another (`email_state` of `email`) falls back to its default when that other changes, and its
    `…_at` tells since when it is so, unless that is set as well; for screens, API and imports alike.
    """
    table = entity.__tablename__
    lines = ["NEW.updated_at := clock_timestamp();"]
    for declared in entity.fields().values():
        if not declared.of:
            continue
        state, value = declared.attribute, declared.of
        default = entity.__table__.c[state].server_default.arg
        lines += [
            f"IF NEW.{state}_at IS DISTINCT FROM OLD.{state}_at THEN NULL;",
            f"ELSIF NEW.{value} IS DISTINCT FROM OLD.{value} AND NEW.{state} = OLD.{state} THEN",
            f"NEW.{state} := '{default}'; NEW.{state}_at := clock_timestamp();",
            f"ELSIF NEW.{state} IS DISTINCT FROM OLD.{state} THEN NEW.{state}_at := clock_timestamp(); END IF;",
        ]
    return [
        (
            f"CREATE OR REPLACE FUNCTION touch_{table}() RETURNS trigger LANGUAGE plpgsql "
            f"{SETTINGS} AS $body$ BEGIN {' '.join(lines)} RETURN NEW; END $body$"
        ),
        (
            f'CREATE OR REPLACE TRIGGER touch_{table} BEFORE UPDATE ON "{table}" '
            f"FOR EACH ROW EXECUTE FUNCTION touch_{table}()"
        ),
    ]


_COMMON = ("nullif(current_setting('crm.actor', true), '')::bigint, coalesce(current_setting('crm.via', true), ''), "
           "coalesce(current_setting('crm.request', true), '')")  # fmt: skip
_TARGET = "audit_entry (id, actor_id, via, request_id, entity, record_id, action, changes)"


def _triggers(entity: type[Entity]) -> list[str]:
    table = entity.__tablename__
    names = {action: f"audit_{table}_{action}" for action in ("create", "update", "delete")}
    if not is_audited(entity):
        return [f'DROP TRIGGER IF EXISTS {name} ON "{table}"' for name in names.values()]
    rows = {"create": "NEW TABLE AS new_rows", "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
            "delete": "OLD TABLE AS old_rows"}  # fmt: skip
    events = {"create": "INSERT", "update": "UPDATE", "delete": "DELETE"}
    bodies = {"create": _create_body(table), "update": _change_body(entity, "update"),
              "delete": _change_body(entity, "delete")}  # fmt: skip
    statements = []
    for action, name in names.items():
        statements.append(
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
            f"{NEVER_ROW_BY_ROW} AS $body$ BEGIN {bodies[action]}; RETURN NULL; END $body$"
        )
        statements.append(
            f'CREATE OR REPLACE TRIGGER {name} AFTER {events[action]} ON "{table}" '
            f"REFERENCING {rows[action]} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )
        statements.append(f"REVOKE ALL ON FUNCTION {name}() FROM PUBLIC")
    return statements


def _create_body(table: str) -> str:
    """A create stores no values: the row has them."""
    return (f"INSERT INTO {_TARGET} SELECT nextval('audit_entry_id_seq'), {_COMMON}, '{table}', n.id, 'create', "
            "'{}'::jsonb FROM new_rows n")  # fmt: skip


def _change_body(entity: type[Entity], action: str) -> str:
    """One statement: what changed, column by column, personal values apart under a salt.

    Generated per table: a generic walk over jsonb costs many times more.
    """
    table, columns = entity.__tablename__, audited_columns(entity)
    deleted = action == "delete"
    after = (lambda column: "NULL::text") if deleted else (lambda column: f'n."{column}"::text')
    source = "old_rows o" if deleted else "old_rows o JOIN new_rows n USING (id)"

    def differs(column: str) -> str:
        return f'o."{column}" IS NOT NULL' if deleted else f'o."{column}" IS DISTINCT FROM n."{column}"'

    if not columns:
        raise DeclarationError(f"{entity.__name__} is audited but declares no field")
    any_change = "true" if deleted else " OR ".join(differs(column) for column, _ in columns)
    picked, built, kept = [], [], []
    for number, (column, personal) in enumerate(columns):
        picked.append(
            f'o."{column}"::text AS b{number}, {after(column)} AS a{number}, ({differs(column)}) AS c{number}'
        )
        if personal:
            picked.append(f"CASE WHEN {differs(column)} THEN gen_random_uuid()::text END AS s{number}")
            hashed = ", ".join(f"encode(sha256(convert_to(s{number} || coalesce({side}{number}, ''), 'UTF8')), 'hex')"
                               for side in "ba")  # fmt: skip
            value = f"jsonb_build_object('hash', jsonb_build_array({hashed}))"
            kept.append(f"('{column}', d.s{number}, d.b{number}, d.a{number})")
        else:
            value = f"jsonb_build_array(b{number}, a{number})"
        built.append(f"CASE WHEN c{number} THEN jsonb_build_object('{column}', {value}) ELSE '{{}}'::jsonb END")
    values = ""
    if kept:
        values = (", kept AS (INSERT INTO audit_value (entry_id, field, salt, before, after) "
                  "SELECT d.entry_id, v.field, v.salt, v.before, v.after FROM d CROSS JOIN LATERAL "
                  f"(VALUES {', '.join(kept)}) AS v(field, salt, before, after) WHERE v.salt IS NOT NULL)")  # fmt: skip
    return (f"WITH d AS MATERIALIZED (SELECT nextval('audit_entry_id_seq') AS entry_id, o.id AS record_id, "
            f"{', '.join(picked)} FROM {source} WHERE {any_change}){values} "
            f"INSERT INTO {_TARGET} SELECT entry_id, {_COMMON}, '{table}', record_id, '{action}', "
            f"{' || '.join(built)} FROM d")  # fmt: skip
