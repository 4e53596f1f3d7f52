"""How credit is reckoned: what counts as used, whose limits hold for whom, what becomes of an order that doesn't fit, and
when a request is stale. One row; the check of orders, the figures of accounts, the desk and the API all go by it."""

# ruff: noqa: S608 - all SQL is made of constants

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ColumnElement, ScalarSelect, case, literal_column, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped

from crm.core.entity import About, Entity, Section
from crm.core.fields import Field, boolean_field, choice_field, integer_field
from crm.core.rules import rule
from crm.core.triggers import SETTINGS
from crm.models.credit_choices import HoldScope, OverLimit
from crm.models.party_choices import RelationKind

# What may count as used, and whether it adds to it or takes away.
_HOLDS = ("overdue_days", "held_percent", "held_scope", "released_days")
_REMINDERS = ("first_days", "second_days", "last_days")
_PARTS = {"counts_invoices": 1, "counts_pending": 1, "counts_completed": 1, "counts_payments": -1}


class CreditPolicy(Entity):
    """How you give credit."""

    about = About(
        area="Credit", icon="sliders-horizontal", label_plural="Credit policy", title="called",
        columns=("called", "over_limit", "over_group", "overdue_days", "updated_at"), filters=("over_limit",), create=False,
        importable=False,
        sections=(
            Section("What counts as used", tuple(_PARTS), "All of it in the company's currency."),
            Section("Limits", ("over_limit", "over_group", "warned_percent")),
            Section("Holds by rule", _HOLDS, "Placed and released by themselves: at a payment at once, by the day it is within minutes."),
            Section("Reminders", _REMINDERS, "By the days that the oldest open invoice is overdue. Nothing is sent by itself."),
            Section("Requests", ("stale_days", "stale_percent", "expire_days"),
                    "A stale request must be looked at again before it is approved."),
        ),
        detail=(Section("What counts as used", tuple(_PARTS)),
                Section("Limits", ("over_limit", "over_group", "warned_percent")), Section("Holds by rule", _HOLDS),
                Section("Reminders", _REMINDERS), Section("Requests", ("stale_days", "stale_percent", "expire_days"))),
        help="What counts as used credit, what happens above the limit, and when requests grow stale.",
    )  # fmt: skip

    counts_invoices: Mapped[bool] = boolean_field(label="Open invoices", column={"server_default": text("true")})
    counts_pending: Mapped[bool] = boolean_field(
        label="Pending orders", help="What of them wasn't invoiced yet; without held ones", column={"server_default": text("true")}
    )  # fmt: skip
    counts_completed: Mapped[bool] = boolean_field(
        label="Completed orders", help="What of them was neither invoiced nor paid back", column={"server_default": text("false")}
    )  # fmt: skip
    counts_payments: Mapped[bool] = boolean_field(
        label="Less unallocated payments", help="What came in and settles no invoice yet", column={"server_default": text("true")}
    )  # fmt: skip
    over_limit: Mapped[OverLimit] = choice_field(
        OverLimit, label="An order above the limit is", help="What a file brings in is always held",
        column={"server_default": "hold"})  # fmt: skip
    over_group: Mapped[bool] = boolean_field(
        label="Limits of parents hold for all below",
        help="What a subsidiary uses counts for its parent companies too, and must fit into their limits as well",
        column={"server_default": text("false")})  # fmt: skip
    warned_percent: Mapped[int] = integer_field(
        required=True, minimum=1, maximum=100, label="Warning from (% of the limit)", column={"server_default": "80"}
    )
    overdue_days: Mapped[int | None] = integer_field(
        minimum=0, maximum=3650, label="Hold after (days overdue)", help="Of the oldest open invoice. Empty: never",
        column={"server_default": "30"})  # fmt: skip
    held_percent: Mapped[int | None] = integer_field(
        minimum=1, maximum=1000, label="Hold above (% of the limit)", help="Of what is used. Empty: never"
    )
    held_scope: Mapped[HoldScope] = choice_field(HoldScope, label="Held are", column={"server_default": "all"})
    released_days: Mapped[int] = integer_field(
        required=True, minimum=0, maximum=365, label="Days of grace", column={"server_default": "7"},
        help="So long a rule doesn't hold again what a person released")  # fmt: skip
    first_days: Mapped[int] = integer_field(
        required=True, minimum=1, maximum=3650, label="First reminder after (days)", column={"server_default": "3"}
    )
    second_days: Mapped[int] = integer_field(
        required=True, minimum=1, maximum=3650, label="Second reminder after (days)", column={"server_default": "14"}
    )
    last_days: Mapped[int] = integer_field(
        required=True, minimum=1, maximum=3650, label="Last reminder after (days)", column={"server_default": "30"}
    )
    stale_days: Mapped[int] = integer_field(
        required=True, minimum=1, maximum=3650, label="Stale after (days)", column={"server_default": "30"}
    )
    stale_percent: Mapped[int] = integer_field(
        required=True, minimum=0, maximum=1000, label="Stale when use moved by (% of what is asked for)",
        column={"server_default": "25"})  # fmt: skip
    expire_days: Mapped[int] = integer_field(
        required=True, minimum=1, maximum=3650, label="Expired after (days)", column={"server_default": "90"}
    )

    derived = {"called": Field(kind="text", label="Policy")}

    __table_args__ = (
        CheckConstraint("id = 1", name="one"),
        rule("second_days", "first_days < second_days", "comes before the first one", name="order"),
        rule("last_days", "second_days < last_days", "comes before the second one", name="order"),
        rule("expire_days", "expire_days >= stale_days", "lies before the day it grows stale", name="order"),
    )

    @property
    def called(self) -> str:
        return "Credit policy"


def says(name: str) -> ScalarSelect[Any]:
    """A value of the policy, for use within another question."""
    return select(getattr(CreditPolicy, name)).scalar_subquery()


def counted(invoices: Any, pending: Any, completed: Any, payments: Any) -> ColumnElement[Any]:
    """What is used, of its parts in the order of the policy."""
    parts = zip(_PARTS.items(), (invoices, pending, completed, payments), strict=True)
    first, *others = (case((says(name), part if sign > 0 else -part), else_=0) for (name, sign), part in parts)
    return sum(others, first)


def in_sql(expression: ColumnElement[Any]) -> str:
    """As text, for a function or a trigger."""
    return str(expression.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))


# In the database: also the check of an order reckons by these. All of what one answers is of one moment.

_GROUP = "(SELECT over_group FROM credit_policy)"
_LASTS = (f"r.kind = '{RelationKind.PARENT.value}' AND (r.valid_from IS NULL OR r.valid_from <= CURRENT_DATE) "
          "AND (r.valid_until IS NULL OR r.valid_until >= CURRENT_DATE)")  # fmt: skip
_USED = in_sql(counted(*(literal_column(f"part.{name}") for name in ("invoices", "pending", "completed", "payments"))))

# The accounts into whose limits whatever is bought on this one must fit: itself, and those above it that have a limit.
_CAPS = f"""
WITH RECURSIVE above AS (
  SELECT a.party_id FROM credit_account a WHERE a.id = account
  UNION SELECT r.from_party_id FROM above u JOIN relation r ON r.to_party_id = u.party_id AND {_LASTS} WHERE {_GROUP})
SELECT a.id FROM above u JOIN credit_account a ON a.party_id = u.party_id JOIN credit_account_figures f ON f.id = a.id
 WHERE a.id = account OR (a.state = 'open' AND f.approved_on IS NOT NULL AND {_GROUP})"""
# What is used of each of these, without one order and what came after it in the same breath.
_OF_CAPS = f"""
WITH RECURSIVE below AS (
  SELECT a.id AS cap, a.party_id, a.id AS account_id FROM credit_account a WHERE a.id IN ({{caps}})
  UNION SELECT b.cap, r.to_party_id, NULL::bigint FROM below b JOIN relation r ON r.from_party_id = b.party_id AND {_LASTS} WHERE {_GROUP}),
members AS (SELECT DISTINCT ON (cap, party_id) * FROM below ORDER BY cap, party_id, account_id),
used AS (SELECT m.cap, sum({_USED}) AS used FROM members m CROSS JOIN LATERAL (SELECT
  (SELECT coalesce(sum(f.outstanding + f.unallocated), 0) FROM credit_account_figures f
    WHERE f.party_id = m.party_id AND f.id = coalesce(m.account_id, f.id)) AS invoices,
  (SELECT coalesce(sum(f.unallocated), 0) FROM credit_account_figures f
    WHERE f.party_id = m.party_id AND f.id = coalesce(m.account_id, f.id)) AS payments,
  (SELECT coalesce(sum(q.to_bill), 0) FROM order_figures q JOIN sales_order o ON o.id = q.id
    WHERE q.customer_id = m.party_id AND q.to_bill > 0 AND o.credit IS DISTINCT FROM 'held'
      AND (besides IS NULL OR (q.id <> besides AND (o.credit IS NOT NULL OR q.id < besides)))
      AND EXISTS (SELECT FROM credit_account x WHERE x.party_id = m.party_id AND x.state = 'open')) AS pending,
  coalesce((SELECT c.uninvoiced FROM customer_figures c WHERE c.id = m.party_id AND EXISTS (
    SELECT FROM credit_account x WHERE x.party_id = m.party_id AND x.state = 'open')), 0) AS completed) part
  GROUP BY m.cap)"""


# The rules that hold an account, and when.
OVERDUE, ABOVE = "Overdue", "Above the limit"
RULES = f"""
      ('{OVERDUE}', 'An invoice is more than ' || p.overdue_days || ' days overdue', f.oldest_due_on < CURRENT_DATE - p.overdue_days),
      ('{ABOVE}', 'More than ' || p.held_percent || '% of the limit is used',
       CASE WHEN p.held_percent IS NOT NULL THEN credit_used(f.id) * 100 > f.credit_limit * p.held_percent END)"""
_HOLD = f"""
  RETURN QUERY WITH due AS (
    SELECT f.id AS account_id, r.rule, r.reason, a.state = 'open' AND coalesce(r.fires, false) AS fires
      FROM credit_account_figures f JOIN credit_account a ON a.id = f.id CROSS JOIN credit_policy p
     CROSS JOIN LATERAL (VALUES {RULES}) r (rule, reason, fires)
     WHERE account IS NULL OR f.id = account),
  released AS (
    UPDATE credit_hold h SET released_at = now(), release_reason = 'The rule holds it no more' FROM due d
     WHERE h.account_id = d.account_id AND h.rule = d.rule AND h.source = 'rule' AND h.released_at IS NULL AND NOT d.fires RETURNING h.id),
  placed AS (
    INSERT INTO credit_hold (account_id, scope, source, rule, reason)
    SELECT d.account_id, p.held_scope, 'rule', d.rule, d.reason FROM due d CROSS JOIN credit_policy p
     WHERE d.fires AND NOT EXISTS (
       SELECT FROM credit_hold h WHERE h.account_id = d.account_id AND h.rule = d.rule AND h.source = 'rule' AND (h.released_at IS NULL
         OR (h.released_by_id IS NOT NULL AND h.released_at > clock_timestamp() - make_interval(days => p.released_days))))
     ORDER BY d.account_id ON CONFLICT DO NOTHING RETURNING id)
  SELECT (SELECT count(*) FROM released) + (SELECT count(*) FROM placed)"""


def _function(head: str, answers: str, body: str, *, kind: str = "STABLE") -> str:
    # They are asked while figures are settled as well, where no rows are joined one by one: here they are few.
    return (f"CREATE OR REPLACE FUNCTION {head} RETURNS {answers} LANGUAGE plpgsql {kind} {SETTINGS} SET enable_nestloop = on "
            f"AS $body$\nBEGIN\n  {body};\nEND$body$")  # fmt: skip


def install_statements() -> list[str]:
    """Every function, in an order that can be run again and again."""
    used = f"({_OF_CAPS.format(caps='account')} SELECT u.used FROM used u)"
    room = (f"({_OF_CAPS.format(caps='SELECT credit_caps(account)')} "
            "SELECT min(f.credit_limit - u.used) FROM used u JOIN credit_account_figures f ON f.id = u.cap)")  # fmt: skip
    return [
        _function("credit_caps(account bigint)", "SETOF bigint", f"RETURN QUERY {_CAPS}"),
        _function("credit_used(account bigint, besides bigint DEFAULT NULL)", "numeric", f"RETURN {used}"),
        _function("credit_room(account bigint, besides bigint DEFAULT NULL)", "numeric", f"RETURN {room}"),
        _function("credit_hold_by_rule(account bigint DEFAULT NULL)", "SETOF bigint", _HOLD.strip(), kind="VOLATILE"),
    ]
