"""Ageing: what is owed by how long it is overdue adds up to what is outstanding, for everybody who may see it."""

from __future__ import annotations

import csv
import html
import io
import os
import re
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.core.permissions import Asking
from crm.models.access import User
from crm.models.credit_choices import Ageing
from crm.models.imports import Export
from crm.queries.ageing import ageing, ageing_total
from tests.factories import make

# Invoices of many currencies, some part paid, some due in the future, some credited, some overpaid.
_FILL = """
INSERT INTO party (name, roles) SELECT 'P' || n, ARRAY['end_customer'] FROM generate_series(1, {many} / 20) n;
INSERT INTO credit_account (party_id) SELECT id FROM party WHERE name ~ '^P[0-9]+$';
INSERT INTO invoice (account_id, number, issued_on, due_on, amount, currency, exchange_rate)
SELECT a.ids[1 + n % ({many} / 20)], 'R' || n, CURRENT_DATE - 200, CURRENT_DATE - 160 + (n * 7) % 200, 1 + (n * 37) % 9000 + (n % 100) / 100.0,
       (ARRAY['EUR', 'USD', 'GBP'])[1 + n % 3], (ARRAY[1, 0.8713, 1.1234])[1 + n % 3]
  FROM generate_series(1, {many}) n, (SELECT array_agg(id) AS ids FROM credit_account) a;
INSERT INTO payment (account_id, kind, amount, currency, exchange_rate, invoice_id)
SELECT account_id, CASE WHEN id % 5 = 0 THEN 'credit_note' ELSE 'payment' END, greatest(round(amount * (id % 7) / 6, 2), 0.01), currency,
       exchange_rate, id FROM invoice WHERE id % 4 = 0 AND number ~ '^R[0-9]+$';
INSERT INTO payment (account_id, amount, currency, exchange_rate) SELECT min(id), 70, 'CHF', 0.9123 FROM credit_account
"""


@pytest.mark.soak
@pytest.mark.timeout(1200)  # with 100,000 invoices
def test_the_parts_add_up_to_what_is_outstanding(session: Any, as_user: Any) -> None:
    many = 100_000 if os.environ.get("SOAK_N") else 600
    for statement in _FILL.format(many=many).split(";"):
        session.execute(text(statement))
    settle()
    actor = Asking.of(session.get_one(User, as_user("finance").user_id))
    number, total = ageing_total(actor)
    lines = list(ageing(actor))
    assert number == len(lines) == many / 20
    for line in [*lines, total]:
        assert sum(line.buckets) + line.credit == line.outstanding
    assert all(total.buckets)
    assert total.credit < 0
    assert [sum(line.buckets[n] for line in lines) for n in range(len(Ageing))] == list(total.buckets)
    stored = session.scalar(text("SELECT sum(outstanding) FROM credit_account_figures"))
    assert total.outstanding == stored
    plain = session.scalar(text("SELECT (SELECT sum(round((amount - coalesce((SELECT sum(b.amount) FROM payment_allocation b WHERE b.invoice_id = i.id), 0)) "
                                "* exchange_rate, 4)) FROM invoice i WHERE due_on < CURRENT_DATE - 90)"))  # fmt: skip
    assert total.buckets[-1] == plain


def test_the_page_leads_to_the_invoices_and_keeps_to_who_may_see_amounts(app: Any, as_user: Any, session: Any) -> None:
    account = make(face_named("credit_account"))
    make(
        face_named("invoice"), account_id=account.id, amount=Decimal("120.50"), currency="EUR", exchange_rate=Decimal(1)
    )
    name = account.party.name = "=Ann & Co"
    session.commit()
    settle()
    person = as_user("finance")
    page = person.client.get("/admin/credit-accounts/ageing/").text
    assert html.escape(name) in page
    [link] = {html.unescape(url) for url in re.findall(r'href="([^"]*flt_ageing_eq[^"]*flt_account_eq[^"]*)"', page)}
    assert "120.50" in person.client.get(link).text
    assert "/admin/credit-accounts/ageing/" in person.client.get("/admin/credit-accounts/").text
    answer = person.client.get("/admin/credit-accounts/ageing/csv/")
    [row] = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert (row["customer"], Decimal(row["outstanding"])) == ("'=Ann & Co", Decimal("120.50"))
    assert db.session.query(Export).one().rows == 1
    rep = as_user("sales_rep")
    assert "Nobody owes anything" in rep.client.get("/admin/credit-accounts/ageing/").text
    for role in ("auditor", "operations"):  # who sees amounts masked, or not at all
        assert as_user(role).client.get("/admin/credit-accounts/ageing/").status_code == 403, role
    assert rep.client.get("/admin/credit-accounts/ageing/csv/").status_code == 403
