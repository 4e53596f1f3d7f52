"""Dunning: who is to be reminded by how late they are, and that it was done once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from crm.commands.credit import remind
from crm.core.entity import db, face_named
from crm.models.credit_reminders import CreditReminder
from tests.commands.test_credit_holds import invoice, pay
from tests.commands.test_credit_policy import says
from tests.commands.test_ledgers import person, told
from tests.factories import make


def test_the_level_follows_the_days_overdue_and_each_is_noted_once(session: Any) -> None:
    account, by = make(face_named("credit_account")), person("finance", "Fay")
    assert told(remind, account, by, remarks=None) == "no reminder is due"
    invoice(account, 10, 2)
    assert account.late is None
    says(first_days=2)
    assert (account.late, account.reminder, account.reminded_on) == ("first", "first", None)
    assert told(remind, account, by, remarks="By phone") == ""
    assert (account.late, account.reminder, account.reminded_on is not None) == ("first", None, True)
    assert told(remind, account, by, remarks=None) == "no reminder is due"
    invoice(account, 20, 14)
    assert account.reminder == "second"
    assert told(remind, account, by, remarks=None) == ""
    says(last_days=15, second_days=13)
    assert account.reminder is None
    invoice(account, 30, 15)
    assert account.reminder == "last"
    assert told(remind, account, by, remarks=None) == ""
    made = session.scalars(select(CreditReminder).order_by(CreditReminder.id)).all()
    assert [(one.level, one.overdue, one.by_id) for one in made] == [
        ("first", 10, by.id),
        ("second", 30, by.id),
        ("last", 60, by.id),
    ]
    pay(account, 60)
    assert (account.late, account.reminder) == (None, None)


def test_the_list_tells_whom_to_remind_and_goes_out_as_a_file(session: Any, as_user: Callable[..., Any]) -> None:
    late, done, fine = (make(face_named("credit_account")) for _ in range(3))
    for account in (late, done):
        invoice(account, 10, 5)
    assert told(remind, done, person("finance", "Fay"), remarks=None) == ""
    codes = [one.code for one in (late, done, fine)]
    session.commit()
    desk = as_user("finance").client
    page = desk.get("/admin/credit-accounts/").text
    [link] = re.findall(r'href="([^"]*flt_late_not_empty=1[^"]*)"', page)
    assert desk.get(link.replace("&amp;", "&")).status_code == 200
    given = {"flt_late_not_empty": "1", "columns": "code,reminder,reminded_on,overdue"}
    shown = desk.get("/admin/credit-accounts/", query_string=given).text
    assert [code in shown for code in codes] == [True, True, False]
    file = desk.get("/admin/credit-accounts/export/csv/", query_string=given | {"flt_reminder_not_empty": "1"}).text
    assert [code in file for code in codes] == [True, False, False]
    given = {"action": "remind", "rowid": [late.id, done.id], "confirm": "1", "remarks": "By letter"}
    answer = desk.post("/admin/credit-accounts/action/", data=given, follow_redirects=True)
    assert "no reminder is due" in answer.text.lower()
    db.session.expire_all()
    assert (late.reminder, late.reminders[0].remarks) == (None, "By letter")
    assert (
        as_user("sales_rep")
        .client.post("/admin/credit-accounts/action/", data={"action": "remind", "rowid": late.id})
        .status_code
        == 403
    )
