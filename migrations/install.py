"""What Alembic doesn't see: functions, triggers and grants, installed from the declarations after every upgrade."""

from __future__ import annotations

import itertools
import re
from typing import Any

from sqlalchemy import text

import crm.models  # noqa: F401 - declares every table
from crm.core import audit, audit_chain, figures, ledgers, statistics, triggers
from crm.core.tables import Base
from crm.models import credit_policy, duplicate_search, party_merges

# The app reads these and never writes them: the audit is written by triggers that run as their owner.
READ_ONLY = frozenset({"audit_entry", "audit_value", "audit_head", "alembic_version"})

BASE_FUNCTIONS = (
    # The wheel has no ICU: names sort by this. The dictionary is named, so that the result never changes. In plpgsql,
    # because SQL can't be inlined here and costs twice as much for each row.
    """CREATE OR REPLACE FUNCTION crm_sort_key(given text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT
       AS $$ BEGIN RETURN lower(public.unaccent('public.unaccent'::regdictionary, given)); END $$""",
    # Only an owner may; the app can do nothing else by it.
    f"""CREATE OR REPLACE FUNCTION {duplicate_search.SETTLER} RETURNS void LANGUAGE plpgsql SECURITY DEFINER {triggers.SETTINGS}
       AS $$ BEGIN PERFORM gin_clean_pending_list('public.ix_duplicate_keys_keys'); END $$""",
    f"REVOKE ALL ON FUNCTION {duplicate_search.SETTLER} FROM PUBLIC",
)


def _functions_and_triggers() -> list[str]:
    made = [
        part.install_statements()
        for part in (audit, audit_chain, statistics, credit_policy, triggers, ledgers, party_merges, figures)
    ]
    return [*BASE_FUNCTIONS, *itertools.chain.from_iterable(made)]


def install(connection: Any, app_role: str) -> None:
    """Functions, triggers and grants, as the declarations say now; figures too. Safe to run again."""
    for statement in (*_functions_and_triggers(), *_grants(app_role)):
        connection.execute(text(statement.replace(":", r"\:")))
    figures.rebuild_when_changed(connection)


def _grants(app_role: str) -> list[str]:
    kept = READ_ONLY | figures.tables()
    tables = {str(mapper.local_table) for mapper in Base.registry.mappers} | kept
    statements = [f'GRANT USAGE ON SCHEMA public TO "{app_role}"']
    for table in sorted(tables):
        rights = "SELECT" if table in kept else "SELECT, INSERT, UPDATE, DELETE"
        statements += [f'REVOKE ALL ON "{table}" FROM "{app_role}"', f'GRANT {rights} ON "{table}" TO "{app_role}"']
    for entity in ledgers.kept_entities():
        table, changes = entity.__tablename__, ", ".join(entity.only_changes or ())
        statements.append(f'REVOKE UPDATE, DELETE ON "{table}" FROM "{app_role}"')
        statements += [f'GRANT UPDATE ({changes}) ON "{table}" TO "{app_role}"'] if changes else []
    for function in (audit_chain.SEALER, statistics.LEARNER, duplicate_search.SETTLER):
        statements.append(f'GRANT EXECUTE ON FUNCTION {function} TO "{app_role}"')
    return [*statements, f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "{app_role}"']


def differences(connection: Any, app_role: str) -> list[str]:
    """What the database lacks, or has beyond the declarations; empty when they agree."""
    return [*_triggers(connection), *_functions(connection), *_rights(connection, app_role)]


def _triggers(connection: Any) -> list[str]:
    rows = connection.execute(text(
        "SELECT c.relname, t.tgname, t.tgenabled = 'O' FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND NOT t.tgisinternal"))  # fmt: skip
    there = {(row[0], row[1]): row[2] for row in rows}
    parts = (audit, triggers, ledgers, party_merges, figures)
    wanted = {name for part in parts for name in part.installed_names()}
    found = [f"trigger {name} on {table} is missing" for table, name in sorted(wanted - there.keys())]
    found += [f"trigger {name} on {table} is not declared" for table, name in sorted(there.keys() - wanted)]
    off = sorted(key for key, enabled in there.items() if not enabled)
    return found + [f"trigger {name} on {table} is switched off" for table, name in off]


def _functions(connection: Any) -> list[str]:
    """Functions whose text isn't what `install` would write."""
    rows = connection.execute(text(
        "SELECT p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
        "WHERE n.nspname = 'public'"))  # fmt: skip
    there = {row[0]: row[1] for row in rows}
    found = []
    for statement in _functions_and_triggers():
        made = re.match(r"CREATE OR REPLACE FUNCTION (\w+)\(.*? AS (\$\w*\$)(.*)\2\s*\Z", statement, re.DOTALL)
        if made is not None and there.get(made[1]) != made[3]:
            found.append(f"function {made[1]}() is {'not as declared' if made[1] in there else 'missing'}")
    return found


def _rights(connection: Any, app_role: str) -> list[str]:
    """What the app may write and shouldn't: whole tables, or single columns of them."""
    found = []
    for table in sorted(READ_ONLY | figures.tables()):
        for right in ("INSERT", "UPDATE", "DELETE"):
            ask = "has_table_privilege" if right == "DELETE" else "has_any_column_privilege"
            if connection.execute(text(f"SELECT {ask}(:role, :table, :right)"),
                                  {"role": app_role, "table": table, "right": right}).scalar():  # fmt: skip
                found.append(f"{app_role} may {right} {table}")
    for entity in ledgers.kept_entities():
        table, kept = entity.__tablename__, set(entity.__table__.columns.keys()) - {*(entity.only_changes or ())}
        asked = {"DELETE": "has_table_privilege(:role, :table, 'DELETE')"} | {
            f"UPDATE ({name}) of": f"has_column_privilege(:role, :table, '{name}', 'UPDATE')"
            for name in sorted(kept - {"xmin"})
        }
        rights = connection.execute(
            text(f"SELECT {', '.join(asked.values())}"), {"role": app_role, "table": table}
        ).one()
        found += [f"{app_role} may {right} {table}" for right, held in zip(asked, rights, strict=True) if held]
    return found
