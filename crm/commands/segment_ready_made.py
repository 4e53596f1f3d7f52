"""Segments that most need, ready to be installed: each a rule with what to do about those it means. Anybody may change
them afterwards; what is there by its name already is left as it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from crm.core.entity import db
from crm.models.segment_choices import SegmentType
from crm.models.segments import Segment


@dataclass(frozen=True)
class ReadyMade:
    """`says` is whom it means and the strategy for them; a lower `priority` stands first on a customer's page."""

    name: str
    priority: int
    says: str
    rule: dict[str, Any]


def _is(field: str, op: str, value: Any = None) -> dict[str, Any]:
    return {"field": field, "op": op} | ({} if value is None else {"value": value})


def _all(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"all": list(nodes)}


def _any(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"any": list(nodes)}


_BOUGHT = _is("orders_count", "ge", 1)
_YEAR, _HALF_YEAR, _QUARTER = {"years": 1}, {"months": 6}, {"days": 90}

READY_MADE = (
    # Who they are to the business.
    ReadyMade("VIP", 10, "The tier VIP, and the one per cent who spent most. VIP program: a person of their own, first in the queue, invited.",
              _any(_is("tier", "eq", "VIP"), _all(_is("total_spent", "gt", 0), _is("total_spent", "top_percent", 1)))),
    ReadyMade("Regular", 40, "Bought three times and more, the last time within a year, and no VIP. Keep them: points, reminders of service.",
              _all(_is("orders_count", "ge", 3), _is("last_purchase_at", "within_last", _YEAR), {"none": [{"in_segment": "VIP"}]})),
    ReadyMade("Wholesale", 30, "Those who sell on. Price lists by volume, credit, deliveries on dates.", _all(_is("type", "eq", "wholesaler"))),
    ReadyMade("Distributor", 30, "Partners and dealers who buy as well. Contracts, targets, stock.", _all(_is("roles", "in", ["partner", "dealer"]))),
    ReadyMade("New", 50, "Came, or bought for the first time, within 90 days. Welcome: onboarding, a call after the first purchase.",
              _any(_is("created_at", "within_last", _QUARTER), _is("first_purchase_at", "within_last", _QUARTER))),
    ReadyMade("Dormant", 70, "Bought once, and nothing was heard of them for a year. Ask what became of them, then let them rest.",
              _all(_BOUGHT, _is("last_activity_at", "before_last", _YEAR))),
    # Demographic.
    ReadyMade("Enterprise", 30, "Organisations of 250 people and more, or with a revenue of 50 million. An account manager and a plan for each.",
              _all(_is("kind", "eq", "organization"), _any(_is("employees", "ge", 250), _is("annual_revenue", "ge", 50_000_000)))),
    ReadyMade("SMB", 40, "Organisations of up to 249 people, without the revenue of an enterprise. Standard offers, self-service.",
              _all(_is("kind", "eq", "organization"), _is("employees", "between", [1, 249]), {"none": [_is("annual_revenue", "ge", 50_000_000)]})),
    ReadyMade("Sixty and more", 80, "Persons who were born sixty years ago and more. By phone and letter rather than app.",
              _all(_is("kind", "eq", "individual"), _is("date_of_birth", "before_last", {"years": 60}))),
    ReadyMade("Birthday soon", 80, "Have their birthday within the next week. A greeting, where they agreed to one.",
              _all(_is("kind", "eq", "individual"), _is("date_of_birth", "anniversary_within", {"days": 7}))),
    # By what they do.
    ReadyMade("Frequent buyers", 50, "Three completed orders and more within 90 days. Bundles, a subscription.",
              _all({"related": "orders", "where": _is("state", "eq", "completed"), "within_last": _QUARTER, "count": {"ge": 3}})),
    ReadyMade("Service users", 60, "Had service within a year. Reminders, service plans.",
              _all({"related": "service_records", "within_last": _YEAR, "count": {"ge": 1}})),
    ReadyMade("Late payers", 60, "Pay more than one invoice in five late. Shorter terms, reminders before the due date.",
              _all(_is("payment_behaviour", "eq", "delayed"))),
    # By value, each with its strategy.
    ReadyMade("High value", 20, "The fifth who are worth most. VIP program: recognise them, ask them, never let them wait.",
              _all(_is("total_value", "gt", 0), _is("total_value", "top_percent", 20))),
    ReadyMade("Growth potential", 30, "Bought a few times, lately, and are content or have a deal open. Growth: cross-sell, a visit, a larger offer.",
              _all(_is("orders_count", "between", [1, 5]), _is("last_purchase_at", "within_last", _HALF_YEAR),
                   _any(_is("open_deals", "ge", 1), _is("satisfaction", "ge", 4)))),
    ReadyMade("At risk", 20, "Bought often but not for half a year, or are discontent. Retention: call them, solve what is open, make amends.",
              _all(_is("orders_count", "ge", 3), _any(_is("last_purchase_at", "before_last", _HALF_YEAR), _is("open_complaints", "ge", 1),
                                                      _is("satisfaction", "lt", 3)))),
    ReadyMade("Win-back", 50, "Bought twice and more, the last time over a year ago, and aren't blocked. Reactivation: an offer with a date, once.",
              _all(_is("orders_count", "ge", 2), _is("last_purchase_at", "before_last", _YEAR), _is("block_state", "eq", "none"))),
)  # fmt: skip


def install(names: Iterable[str] = ()) -> list[Segment]:
    """Make the segments of these names, or all; answers those that weren't there. What one asks for comes along."""
    wanted = {name.lower() for name in names}
    there = set(db.session.scalars(select(func.lower(Segment.name))))
    asks_for_vip = {"regular"}
    if wanted & asks_for_vip:
        wanted.add("vip")
    made = [Segment(name=one.name, type=SegmentType.DYNAMIC, priority=one.priority, description=one.says, rule=one.rule)
            for one in READY_MADE if one.name.lower() not in there and (not wanted or one.name.lower() in wanted)]  # fmt: skip
    db.session.add_all(made)
    db.session.flush()
    return made
