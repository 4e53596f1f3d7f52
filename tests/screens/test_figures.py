"""The page of a customer tells figures that lead to their records, and what it buys, when, and how one meets it."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from html import unescape

from crm.core.entity import db, face_named
from crm.core.figures import settle
from crm.models.sales_orders import OrderState
from tests.factories import make


def buy(customer, day: str, *names: str, **given):
    order = make(face_named("order"), customer_id=customer.id, currency="EUR", state=OrderState.COMPLETED,
                 ordered_at=dt.datetime.fromisoformat(f"{day}T12:00+00:00"))  # fmt: skip
    for name in names:
        given = {"name": name, "quantity": Decimal(1), "unit_price": Decimal(100), "discount": 0, "tax": 0} | given
        make(face_named("order_line"), order_id=order.id, **(given | {"name": name}))


def test_each_figure_leads_to_its_records_and_habits_follow_from_the_newest(session, as_user):
    customer, category = make(face_named("customer")), make(face_named("product_category"), name="Brakes")
    product = make(face_named("product"), category_id=category.id)
    buy(customer, "2025-03-05", "Pads", "Oil", product_id=product.id)
    buy(customer, "2025-03-09", "Pads", product_id=product.id)
    buy(customer, "2025-11-09", "Tyre", quantity=Decimal("4"))
    buy(make(face_named("customer")), "2025-07-01", "Nothing of theirs")
    make(face_named("deal"), customer_id=customer.id, stage="demo", amount=Decimal(70), currency="EUR")
    for channel in ("call", "email", "call"):
        make(face_named("interaction"), party_id=customer.id, channel=channel, direction="inbound", state="done")
    settle()
    db.session.commit()
    admin = as_user("admin").client
    page = unescape(admin.get(f"/admin/customers/details/?id={customer.id}").text)
    cards = re.findall(
        r'<a class="card figure" href="([^"]+)"[^>]*>.*?figure-label">([^<]+)<.*?figure-value">(.*?)</a>', page, re.S
    )
    told = {label: (href, re.sub(r"<[^>]+>", " ", value).split()) for href, label, value in cards}
    assert told["Total spent"][1][0] == "700.00"
    assert told["Value of open deals"][1][0] == "70.00"
    assert told["Interactions"][1][0] == "3"
    for label, number in (
        ("Total spent", 3),
        ("Value of open deals", 1),
        ("Total value", 0),
        ("Interactions", 3),
        ("Open tickets", 0),
    ):
        listed = admin.get(told[label][0]).text
        assert (
            f'data-total="{number}"' in listed or len(re.findall(r'data-href="[^"]+/details/\?id=', listed)) == number
        ), label
    for words in ("Tyre × 4", "Pads · 2 orders", "Brakes", "Mar 2", "Nov 1", "Call 2"):
        assert f">{words}<" in page
    assert page.index("Call 2") < page.index("E-mail 1")
    assert "Nothing of theirs" not in page


def test_who_may_not_see_amounts_is_not_told_of_them_here(session, as_user):
    customer = make(face_named("customer"))
    buy(customer, "2025-03-05", "Pads")
    settle()
    db.session.commit()
    page = as_user("operations").client.get(f"/admin/customers/details/?id={customer.id}").text
    assert "Last activity" in page
    assert "Total spent" not in page
    assert "Average order" not in page
