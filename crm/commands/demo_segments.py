"""Demo data of segments, regions and check-ins: who is in which group, where addresses lie, whom to be in touch with.

Everything is made once, by its name; memberships and check-ins come from what the customers are. Flushes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, text

from crm.commands.check_ins import apply_rules
from crm.commands.party_regions import fill_regions
from crm.commands.segment_ladders import move_some
from crm.core.days import today
from crm.core.entity import db
from crm.core.figures import settle
from crm.models.check_ins import CheckIn, CheckInRule
from crm.models.parties import Address, Party
from crm.models.party_enrichment import EnrichmentProposal
from crm.models.party_regions import Region
from crm.models.segments import Ladder, LadderStep, Segment

_REGIONS = {"DACH": ("DE", "AT", "CH"), "Western Europe": ("FR", "BE", "NL", "LU", "IE", "GB"), "Southern Europe": ("IT", "ES", "PT", "GR"),
            "Eastern Europe": ("PL", "CZ", "UA", "RO", "HU"), "Asia": ("JP", "CN", "BD", "MY", "IN"), "Americas": ("US", "CA", "BR", "MX"),
            "Africa and Middle East": ("EG", "NG", "ZA", "AE")}  # fmt: skip
# Name, type, order of display, what it is, and by what the demo fills it.
_SEGMENTS: tuple[tuple[str, str, int, str, str, tuple[str, str, Any] | None], ...] = (
    ("Gold", "dynamic", 10, "Spent 50,000 and more", "f.total_spent >= 50000", ("total_spent", "ge", 50_000)),
    ("Silver", "dynamic", 20, "Spent 10,000 and more, less than 50,000", "f.total_spent BETWEEN 10000 AND 49999.99", ("total_spent", "between", [10_000, 49_999.99])),
    ("Wholesale", "dynamic", 30, "Those who sell on", "p.type = 'wholesaler'", ("type", "eq", "wholesaler")),
    ("Friends of the house", "static", 5, "Chosen by hand: invited to every opening", "p.id % 97 = 0", None),
)  # fmt: skip


def load_segments() -> None:
    """Make what isn't there yet."""
    for name, countries in _REGIONS.items():
        for country in countries:
            if db.session.scalar(select(Region.id).where(Region.country == country, Region.state.is_(None))) is None:
                db.session.add(Region(name=name, country=country))
    made = {name: _segment(name, kind, order, says, rule) for name, kind, order, says, _, rule in _SEGMENTS}
    db.session.flush()
    _ladder()
    for name, segment, days in (("Gold: each month", "Gold", 30), ("Silver: each quarter", "Silver", 90)):
        if db.session.scalar(select(CheckInRule.id).where(CheckInRule.name == name)) is None:
            db.session.add(CheckInRule(name=name, segment_id=made[segment].id, every_days=days))
    db.session.flush()
    for name, _, _, _, fits, field in _SEGMENTS:
        source = "hand" if field is None else "rule"
        fill = f"""
            INSERT INTO segment_membership (segment_id, party_id, source, rule_version, entered_at)
            SELECT :segment, p.id, '{source}', nullif(s.rule_version, 0), greatest(p.created_at, now() - interval '90 days')
              FROM party p JOIN customer_figures f ON f.id = p.id JOIN segment s ON s.id = :segment
             WHERE p.account_number LIKE 'DEMO-%' AND p.archived_at IS NULL AND {fits} ON CONFLICT DO NOTHING"""  # noqa: S608 - made of constants
        db.session.execute(text(fill), {"segment": made[name].id})
    _proposals()
    last_address, last = (db.session.scalar(select(func.max(column))) or 0 for column in (Address.id, Party.id))
    fill_regions(1, last_address)
    apply_rules(1, last)
    db.session.expire_all()


def _ladder() -> None:
    """Segments that a figure leads through, with those of the story on them; the rest come by the night's refresh."""
    if db.session.scalar(select(Ladder.id).where(Ladder.name == "Spending")) is not None:
        return
    ladder = Ladder(name="Spending", measure="total_spent", grace_days=30, approve_downgrades=True, active=True,
                    description="Silver circle, then gold circle")  # fmt: skip
    db.session.add(ladder)
    db.session.flush()
    for position, (name, leave, enter) in enumerate(
        (("Silver circle", 8_000, 10_000), ("Gold circle", 45_000, 50_000)), 1
    ):
        circle = _segment(
            name, "static", 40 - 5 * position, f"Spent {enter:,} and more; the ladder Spending leads here", None
        )
        db.session.flush()
        db.session.add(LadderStep(ladder_id=ladder.id, position=position, segment_id=circle.id, leave_below=Decimal(leave),
                                  enter_from=Decimal(enter)))  # fmt: skip
    settle()
    move_some(ladder.id, 0, day=today(), by=None)


def _segment(name: str, kind: str, priority: int, says: str, rule: tuple[str, str, Any] | None) -> Segment:
    found = db.session.scalars(select(Segment).where(Segment.name == name)).one_or_none()
    if found is None:
        written = {"all": [dict(zip(("field", "op", "value"), rule, strict=True))]} if rule else None
        found = Segment(name=name, type=kind, priority=priority, description=says, rule=written)
        db.session.add(found)
    return found


def _proposals() -> None:
    """What a register proposes of one of the story, and how often to be in touch with it."""
    group = db.session.scalars(
        select(Party).where(Party.account_number.like("DEMO-S%")).order_by(Party.id).limit(1)
    ).one()
    if db.session.scalar(select(EnrichmentProposal.id).where(EnrichmentProposal.party_id == group.id)) is None:
        db.session.add(
            EnrichmentProposal(party_id=group.id, field="employees", value="120", source="register", confidence=90)
        )
        db.session.add(CheckIn(party_id=group.id, own_days=14))
    db.session.flush()
