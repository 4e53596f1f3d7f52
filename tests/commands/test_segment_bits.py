"""What a refresh compares is who is in, whoever wrote that, and however many at once."""

from __future__ import annotations

import contextlib
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from crm.core import figures
from crm.core.audit import Acting, acting_as
from crm.core.entity import db
from crm.core.transaction import run_in_transaction
from crm.models.segment_figures import WORD, SegmentBits

PARTIES, SEGMENTS, PEOPLE, TIMES = 8, 5, 4, 25

HAPPENS = (
    """INSERT INTO segment_membership (segment_id, party_id) SELECT s.id, p.id FROM segment s, party p
       WHERE s.id = :segment AND p.id IN (:party, :other) ON CONFLICT DO NOTHING""",
    "UPDATE segment_membership SET left_at = now() WHERE left_at IS NULL AND (party_id = :party OR segment_id = :segment)",
    """UPDATE segment_membership m SET left_at = NULL WHERE m.id = (SELECT max(o.id) FROM segment_membership o
       WHERE o.party_id = :party AND o.segment_id = :segment) AND NOT EXISTS (SELECT FROM segment_membership o
       WHERE o.party_id = :party AND o.segment_id = :segment AND o.left_at IS NULL)""",
    """UPDATE segment_membership m SET party_id = :other WHERE party_id = :party AND NOT EXISTS
       (SELECT FROM segment_membership o WHERE o.party_id = :other AND o.segment_id = m.segment_id AND o.left_at IS NULL)""",
    "UPDATE segment_membership SET expires_on = current_date WHERE party_id = :party AND left_at IS NULL",
    "DELETE FROM segment_membership WHERE party_id = :party AND segment_id <> :segment",
)


def _made(sql: Any) -> tuple[list[int], list[int]]:
    """Parties, and segments of two words."""
    sql("INSERT INTO party (name, account_number, roles) SELECT 'P' || n, 'A' || n, ARRAY['business_customer'] "
        f"FROM generate_series(1, {PARTIES}) n")  # fmt: skip
    sql(f"INSERT INTO segment (name, type) SELECT 'S' || n, 'static' FROM generate_series(1, {WORD + SEGMENTS}) n")
    segments = [row[0] for row in sql("SELECT id FROM segment ORDER BY id")]
    return [row[0] for row in sql("SELECT id FROM party")], segments[: SEGMENTS - 2] + segments[-2:]


def _anything(rng: random.Random, parties: list[int], segments: list[int]) -> None:
    party, other = rng.sample(parties, 2)
    given = {"party": party, "other": other, "segment": rng.choice(segments)}
    statement = rng.choice(HAPPENS)
    db.session.execute(text(statement), {name: one for name, one in given.items() if f":{name}" in statement})


WRONG = f"SELECT * FROM segment_bits f FULL JOIN ({SegmentBits.from_scratch(lambda column: 'true')}) q ON q.id = f.id WHERE f.bits IS DISTINCT FROM q.bits"


def _wrong() -> list[Any]:
    return list(db.session.execute(text(WRONG.replace(":", r"\:"))))


def test_whatever_happens_to_memberships_shows_in_the_bits(session: Any) -> None:
    rng, seen = random.Random(5), set()
    parties, segments = _made(lambda sql: list(found) if (found := session.execute(text(sql))).returns_rows else [])
    for _ in range(60):
        _anything(rng, parties, segments)
        seen.add(session.scalar(text("SELECT count(*) FROM segment_bits")))
        assert _wrong() == []
    assert len(seen) > 4


@pytest.mark.soak
def test_several_at_once_leave_no_bit_behind(own_database: Any, owner_sql: Any, soak_round: int) -> None:
    parties, segments = _made(owner_sql)

    def live(person: int) -> None:
        rng = random.Random(soak_round * PEOPLE + person)
        with own_database.app.app_context(), acting_as(Acting(via="test")):
            for _ in range(TIMES):
                with contextlib.suppress(IntegrityError):  # what another wrote meanwhile may stand in the way
                    run_in_transaction(lambda: _anything(rng, parties, segments))
            db.session.remove()

    with ThreadPoolExecutor(PEOPLE) as pool:
        list(pool.map(live, range(PEOPLE)))
    with own_database.app.app_context():
        assert db.session.scalar(text("SELECT count(*) FROM segment_membership")) > 0
        assert _wrong() == []
    owner_sql("ALTER TABLE segment_membership DISABLE TRIGGER USER")
    owner_sql(
        "INSERT INTO segment_membership (segment_id, party_id) SELECT s.id, p.id FROM segment s, party p ON CONFLICT DO NOTHING"
    )
    with own_database.app.app_context():  # and the check would tell
        assert {row[0] for row in figures.differences(db.session.connection())} == {"segment_bits", "segment_figures"}
