"""What open points are worth: the sums of the page, and who may see it."""

from __future__ import annotations

import csv
import datetime as dt
import io
from decimal import Decimal
from typing import Any

from crm.core.entity import face_named
from crm.core.figures import settle
from tests.factories import make


def test_open_points_are_worth_what_the_terms_of_today_say_by_month(app: Any, as_user: Any, session: Any) -> None:
    program = make(face_named("loyalty_program"), main=True, currency="EUR", state="active", name="=Club")
    for day, value in (((2020, 1, 1), "9"), ((2021, 1, 1), "0.005")):
        make(face_named("loyalty_terms"), program_id=program.id, valid_from=dt.date(*day), point_value=Decimal(value))
    first, second = (make(face_named("loyalty_account"), program_id=program.id) for _ in range(2))
    month = dt.date(dt.datetime.now(dt.UTC).year + 1, 3, 1)
    for account, points, expires in ((first, 101, month), (second, 200, month.replace(day=31)), (first, 7, None)):
        make(face_named("point_entry"), account_id=account.id, points=points, expires_on=expires)
    make(face_named("point_entry"), account_id=second.id, kind="redeem", points=-100)
    session.commit()
    settle()
    admin = as_user("admin")
    page = admin.client.get("/admin/loyalty-accounts/liability/").text
    assert f"{month:%B %Y}" in page
    assert "=Club" in page
    assert "/admin/loyalty-accounts/liability/" in admin.client.get("/admin/loyalty-accounts/").text
    answer = admin.client.get("/admin/loyalty-accounts/liability/csv/")
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert [(row["program"], row["expires_in"], row["members"], row["points"], row["worth"]) for row in rows] == [
        ("'=Club", f"{month:%Y-%m}", "2", "201", "1.01"), ("'=Club", "never", "1", "7", "0.04")]  # fmt: skip
    assert "No open points" in as_user("sales_rep").client.get("/admin/loyalty-accounts/liability/").text
    assert as_user("credit_approver").client.get("/admin/loyalty-accounts/liability/").status_code == 403
