"""Being in touch with customers: that somebody was, and the rules that say how often."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import func, select, text

from crm.commands.communications import refuse_archived
from crm.core.command import Refused, command
from crm.core.days import today
from crm.core.entity import db
from crm.core.fields import field_of
from crm.core.jobs import Job, ask_once
from crm.models.access import User
from crm.models.check_ins import CheckIn, CheckInRule
from crm.models.party_choices import shows

TASK = "jobs.parties.apply_check_ins"

# For each customer the rule with the shortest interval among those that fit.
_WANTED = f"""
WITH wanted AS (
  SELECT DISTINCT ON (party.id) party.id AS party_id, r.id AS rule_id, r.every_days,
         least(coalesce(f.last_activity_at, party.created_at)::date, CURRENT_DATE) AS last_on
    FROM party JOIN check_in_rule r ON r.active AND (r.type IS NULL OR r.type = party.type)
     AND (r.segment_id IS NULL OR EXISTS (SELECT FROM segment_membership m WHERE m.segment_id = r.segment_id
                                             AND m.party_id = party.id AND m.left_at IS NULL))
     AND (r.tier_id IS NULL OR EXISTS (SELECT FROM loyalty_account a WHERE a.tier_id = r.tier_id
                                          AND a.party_id = party.id AND a.state <> 'ended'))
    LEFT JOIN customer_figures f ON f.id = party.id
   WHERE party.id BETWEEN :first AND :last AND party.status IN ('prospect', 'active', 'inactive') AND {shows("customer")}
   ORDER BY party.id, r.every_days, r.id)"""  # noqa: S608 - made of constants
_GONE = """c.party_id BETWEEN :first AND :last AND c.rule_days IS NOT NULL
   AND NOT EXISTS (SELECT FROM wanted w WHERE w.party_id = c.party_id)"""
_STATEMENTS = (
    f"{_WANTED} DELETE FROM check_in c WHERE c.own_days IS NULL AND {_GONE}",  # noqa: S608 - made of constants
    f"{_WANTED} UPDATE check_in c SET rule_id = NULL, rule_days = NULL WHERE c.own_days IS NOT NULL AND {_GONE}",  # noqa: S608 - made of constants
    f"""{_WANTED} INSERT INTO check_in AS c (party_id, rule_id, rule_days, last_on)
        SELECT party_id, rule_id, every_days, last_on FROM wanted
        ON CONFLICT (party_id) DO UPDATE SET rule_id = excluded.rule_id, rule_days = excluded.rule_days
         WHERE (c.rule_id, c.rule_days) IS DISTINCT FROM (excluded.rule_id, excluded.rule_days)""",  # noqa: S608 - made of constants
)  # fmt: skip


def apply_rules(first: int, last: int) -> None:
    """Give the customers with these numbers the interval that the rules say; what is right already isn't touched."""
    for statement in _STATEMENTS:
        db.session.execute(text(statement), {"first": first, "last": last})


def ask_for_rules(by: int | None) -> Job:
    """Ask for the rules to be applied to everybody. Raises Refused while that is on its way."""
    return ask_once(TASK, label="Apply the rules of check-ins", args={}, by=by, busy="they are being applied already")


def ask_daily() -> int:
    """Once a day, where there are rules or what they left; answers whether it was asked."""
    asked = select(Job.id).where(Job.task == TASK, Job.created_at >= func.current_date()).exists()
    needed = select(CheckInRule.id).exists() | select(CheckIn.id).where(CheckIn.rule_days.is_not(None)).exists()
    if not db.session.scalar(select(needed & ~asked)):
        return 0
    ask_for_rules(None)
    return 1


@command(
    CheckInRule,
    "Apply the rules now",
    icon="play",
    confirm="All rules are applied to all customers, in the background.",
)
def apply(rule: CheckInRule, *, by: User) -> None:
    """Work out anew whom to be in touch with, and how often; otherwise that happens each night."""
    ask_for_rules(by.id)


@command(
    CheckIn, "Was in touch", icon="check", tone="good", asks={"on": field_of("date", label="On", help="Empty: today")}
)
def done(check_in: CheckIn, *, by: User, on: dt.date | None) -> None:
    """Count a contact that isn't logged elsewhere; the next one is due an interval later."""
    refuse_archived(check_in.party)
    day = on or today()
    if day > today():
        raise Refused("that day is still to come")
    if day <= check_in.last_on:
        raise Refused("the last contact is as late already")
    check_in.last_on = day
