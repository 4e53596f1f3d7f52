"""What makes the audit tamper-evident: each entry gets, under one lock, its number without gaps and a hash that holds
the hash before it.

The functions here answer SQL for the sealer, which runs as the owner: the app may call it and can't write entries. It
takes only entries whose transaction, and every one before it, has ended.
"""

from __future__ import annotations

from crm.core.triggers import SETTINGS

SEALER = "audit_seal(integer)"
ONE_SEALER = 7_240_703  # advisory lock: entries are sealed by one at a time


def content(entry: str) -> str:
    """SQL of an entry's text as it goes into the hash; the place in the chain is in the hash before it."""
    columns = ("id", "actor_id", "via", "request_id", "entity", "record_id", "action", "changes")
    picked = ", ".join(f"{entry}.{name}" for name in columns)
    return f"jsonb_build_array(extract(epoch FROM {entry}.created_at), {picked})::text"


def install_statements() -> list[str]:
    """The functions, in an order that can be run again and again."""
    link = ("CREATE OR REPLACE FUNCTION audit_link(state text, first text, content text) RETURNS text LANGUAGE sql "
            "IMMUTABLE PARALLEL SAFE AS $body$ "
            "SELECT encode(sha256(convert_to(coalesce(state, first) || content, 'UTF8')), 'hex') $body$")  # fmt: skip
    chain = "CREATE OR REPLACE AGGREGATE audit_chained(text, text) (SFUNC = audit_link, STYPE = text)"
    # Nothing in it comes from outside.
    body = f"""
DECLARE last_seq bigint; last_hash text; sealed integer;
BEGIN
  IF NOT pg_try_advisory_xact_lock({ONE_SEALER}) THEN RETURN 0; END IF;
  SELECT seq, hash INTO last_seq, last_hash FROM audit_head;
  WITH due AS MATERIALIZED (
    SELECT e.id, {content("e")} AS content FROM audit_entry e
     WHERE e.seq IS NULL AND age(e.xmin) > age(pg_snapshot_xmin(pg_current_snapshot())::xid) ORDER BY e.id LIMIT most
  ), chained AS MATERIALIZED (
    SELECT id, coalesce(last_seq, 0) + row_number() OVER in_order AS seq,
           audit_chained(coalesce(last_hash, ''), content) OVER in_order AS hash FROM due WINDOW in_order AS (ORDER BY id)
  ), written AS (
    UPDATE audit_entry e SET seq = c.seq, hash = c.hash FROM chained c WHERE c.id = e.id RETURNING e.seq
  ) SELECT count(*), (SELECT max(seq) FROM chained), (SELECT hash FROM chained ORDER BY seq DESC LIMIT 1)
      INTO sealed, last_seq, last_hash FROM written;
  IF sealed > 0 THEN
    INSERT INTO audit_head (id, seq, hash) VALUES (1, last_seq, last_hash)
      ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash;
  END IF;
  RETURN sealed;
END """  # noqa: S608
    return [
        link,
        chain,
        (
            f"CREATE OR REPLACE FUNCTION audit_seal(most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER {SETTINGS} "
            f"AS $body${body}$body$"
        ),
        f"REVOKE ALL ON FUNCTION {SEALER} FROM PUBLIC",
    ]
