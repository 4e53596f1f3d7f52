"""What is searched of a party stands in a table of its own, and is always what the party says."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, text, update

from crm.core.entity import face_named
from crm.core.searching import made_of
from crm.models.parties import Party
from tests.factories import make

APART = Party.search_apart


def _version(session: Any, number: int) -> Any:
    return session.execute(
        text("SELECT xmin::text, search_text FROM party_search WHERE id = :id"), {"id": number}
    ).one_or_none()


def test_the_letters_of_a_party_are_written_when_they_change_and_only_then(session: Any) -> None:
    party = make(face_named("customer"), name="Ärger Ünlü", email="ana@example.com", phone="+12025550143")
    session.commit()
    first = _version(session, party.id)
    assert "arger unlu" in first.search_text
    assert "ana@example.com" in first.search_text
    party.industry, party.description = "Steel", "Pays late"
    session.commit()
    assert _version(session, party.id) == first
    party.name = "Somebody Else"
    session.commit()
    assert "somebody else" in _version(session, party.id).search_text
    session.execute(update(Party).where(Party.id == party.id).values(account_number="Q-778"))  # in bulk as well
    assert "q-778" in _version(session, party.id).search_text
    session.refresh(party)
    session.delete(party)
    session.commit()
    assert _version(session, party.id) is None


def test_every_party_has_exactly_the_text_that_is_declared(session: Any) -> None:
    for name in ("Zoë", "O'Hara \\ 100%", "张强"):
        make(face_named("customer"), name=name)
    session.flush()
    wrong = session.execute(
        text(
            f"SELECT p.id FROM party p LEFT JOIN (SELECT id AS of, search_text AS kept FROM party_search) s ON s.of = p.id "
            f"WHERE s.kept IS DISTINCT FROM {made_of(Party)}"
        )
    ).all()
    assert wrong == []
    assert session.scalar(select(APART.id).where(APART.search_text.like("%o'hara%"))) is not None
