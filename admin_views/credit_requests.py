"""Credit requests: beside their list the approver's desk, where a queue is decided by keys with the figures beside it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import render_template, request, url_for
from flask_admin import expose
from sqlalchemy import Select, or_, select

from admin_views.base import EntityView
from admin_views.cells import asking, cell, fields_of, moment, present, render, title_of
from admin_views.lists import endpoint, may, page_of
from crm.commands.batch import meant
from crm.core.command import Command, among
from crm.core.days import today
from crm.core.entity import db, face_named
from crm.core.fields import field_of
from crm.models.credit_accounts import CreditAccount
from crm.models.credit_choices import RequestStatus
from crm.models.credit_delegations import CreditDelegation
from crm.models.credit_figures import CreditAccountFigures
from crm.models.credit_requests import CreditDecision, CreditRequest
from crm.queries.ageing import BUCKETS, ageing
from crm.queries.credit_decisions import Queued, band_of, counted, delegations, preview, queue
from crm.queries.listing import ListQuery, fetch_page, matching, read_query
from crm.queries.scope import row_scope

SHOWN, PAYMENTS = 50, 5
# What is told of a request in the queue, and of its account as it is today.
ASKED, TODAY = ("amount",), ("credit_limit", "used", "oldest_due_on", "standing")
KEYS = (("Approve this request", "a"), ("Refuse this request", "r"), ("Later: the next request", "s"))
THEN_AND_NOW = (("limit_then", "credit_limit"), ("exposure_then", "used"))


class CreditRequestView(EntityView):
    """Requests for a credit limit."""

    rights = EntityView.rights | {"decide_view": "read"}

    def list_extras(self) -> dict[str, Any]:
        return {
            "secondary": [
                {"label": "Approver’s desk", "url": self._desk_url(self._query().parameters()), "icon": "scale"}
            ]
        }

    @expose("/decide/")
    def decide_view(self) -> Any:
        """The pending requests, the person's own to decide first, and beside them all there is to know of one."""
        pairs = [pair for pair in self._desk_pairs() if not pair[0].startswith(("flt_status", "sort", "desc"))]
        pending = [*pairs, ("flt_status_eq", RequestStatus.PENDING.value)]
        found = matching(self.face, read_query(self.face, pairs), asking())
        rows = queue(found, asking(), limit=SHOWN)
        number, mine = counted(found, asking())
        ids = [one.request.id for one in rows]
        given = request.args.get("at", "")
        place = next((at for at, number in enumerate(ids) if str(number) == given), 0)
        after = ids[(place + 1) % len(ids)] if len(ids) > 1 else None
        before = ids[place - 1] if len(ids) > 1 else None
        verbs = [verb for verb in ("approve", "refuse") if may(self.face, verb)]
        here = self._desk_url(pairs, after)
        return render_template(
            "desk/credit_desk.html",
            page={"title": "Approver’s desk", "breadcrumbs": self._crumbs("Approver’s desk"), "own_keys": KEYS if verbs else ()},
            number=number, mine=mine, more=number - len(rows), list_url=f"{url_for('.index_view')}?{urlencode(pending)}",
            columns=self._labels(), rows=[self._row(one, pairs, at == place) for at, one in enumerate(rows)],
            panel=self._panel(rows[place]) if rows else None, verbs=verbs, lent=self._lent() if verbs else [], hand_over_url=self._hand_over_url(),
            reviews_url=url_for(endpoint(accounts, "reviews_view")) if may(accounts := face_named("credit_account"), "review") else None, action_url=url_for(".action_view"),
            next_url=self._desk_url(pairs, after) if after else None, before_url=self._desk_url(pairs, before) if before else None,
            ask_urls={verb: url_for(".action_view", action=verb, rowid=ids[place], next=here) for verb in verbs if rows},
            all_urls={verb: f"{url_for('.action_view', action=verb, all=1)}&{urlencode(pending)}" for verb in verbs}, pairs=pending)  # fmt: skip

    def preview(self, made: Command, ids: list[int] | None, query: ListQuery | None) -> list[dict[str, Any]]:
        if made.verb not in ("approve", "refuse"):
            return []
        found: Select[Any] = (
            meant(self.face, made.verb, query, asking()) if query
            else select(CreditRequest).where(among(CreditRequest.id, ids or []), *row_scope(self.face, asking(), made.verb))
        )  # fmt: skip
        shows = fields_of(self.face)["amount"].shows
        amount = field_of("money", figure=True)
        lines = []
        for one in preview(found, asking(), made.verb):
            word, tone = ("Approved", "good") if made.verb == "approve" else ("Refused", "bad")
            if one.why:
                word, tone = "Left as it is", "warning"
            elif not one.final:
                word, tone = "First approval", "info"
            said = [f"for {title_of(face_named('user'), one.behalf)}"] if one.behalf else []
            label = one.why or "; ".join(said + ([] if one.final else ["a second approver is needed as well"]))
            lines.append({"word": word, "tone": tone, "label": label[:1].upper() + label[1:], "number": one.number,
                          "sum_html": render(amount, one.total) if shows else ""})  # fmt: skip
        return lines

    # Parts of the desk

    def _desk_pairs(self) -> list[tuple[str, str]]:
        given = [(name, value) for name, value in request.args.items(multi=True) if value != "" and name != "at"]
        return read_query(self.face, given).parameters()

    def _desk_url(self, pairs: list[tuple[str, str]], at: int | None = None) -> str:
        shown = [*pairs, *([("at", str(at))] if at else [])]
        return url_for(".decide_view") + ("?" + urlencode(shown) if shown else "")

    def _labels(self) -> list[str]:
        accounts = face_named("credit_account")
        return [*("Asked for" for _ in present(self.face, ASKED)),
                *(accounts.field(name).label for name in present(accounts, TODAY))]  # fmt: skip

    def _lent(self) -> list[dict[str, Any]]:
        """Who decides for whom just now, of the person's own: what others lend him, and to whom he handed his."""
        me, people, amount = asking().id, face_named("user"), field_of("money", figure=True)
        lines = []
        for made in db.session.scalars(
            delegations().where(or_(CreditDelegation.delegate_id == me, CreditDelegation.delegator_id == me))
        ):
            mine = made.delegate_id == me
            other = title_of(people, made.delegator if mine else made.delegate)
            words = f"You decide for {other} as well" if mine else f"{other} decides for you as well"
            lines.append({"words": words, "day_html": render(field_of("date"), made.ends_on), "url": page_of("credit_delegation", made),
                          "most_html": render(amount, made.up_to) if made.up_to is not None else ""})  # fmt: skip
        return lines

    def _hand_over_url(self) -> str | None:
        bands = face_named("approval_band")
        band = band_of(asking()) if may(bands, "delegate") else None
        return (
            url_for(endpoint(bands, "action_view"), action="delegate", rowid=band.id, next=self._desk_url([]))
            if band
            else None
        )

    def _row(self, queued: Queued, pairs: Any, now: bool) -> dict[str, Any]:
        one, accounts = queued.request, face_named("credit_account")
        cells = [*(cell(self.face, one, name) for name in present(self.face, ASKED)),
                 *(cell(accounts, one.account, name) for name in present(accounts, TODAY))]  # fmt: skip
        return {"id": one.id, "name": self._customer(one), "code": one.code, "url": self._desk_url(pairs, one.id), "cells": cells,
                "now": now, "mine": queued.why is None, "stale": queued.stale, "by": self._asker(one), "age_html": moment(one.created_at)}  # fmt: skip

    def _customer(self, one: CreditRequest) -> str:
        return title_of(face_named("customer"), one.account.party)

    def _asker(self, one: CreditRequest) -> str:
        return title_of(face_named("user"), one.requested_by) if present(self.face, ["requested_by"]) else ""

    def _panel(self, queued: Queued) -> dict[str, Any]:
        one, accounts, account = queued.request, face_named("credit_account"), queued.request.account
        figures = [
            {"label": accounts.field(now).label, "then": cell(self.face, one, then), "now": cell(accounts, account, now)}
            for then, now in THEN_AND_NOW if present(self.face, [then]) and present(accounts, [now])
        ]  # fmt: skip
        if present(self.face, ["oldest_overdue_then"]) and present(accounts, ["oldest_due_on"]):
            due = account.oldest_due_on  # type: ignore[attr-defined]  # a figure
            days = max(0, (today() - due).days) if due else 0
            late = self.face.field("oldest_overdue_then")
            shows = fields_of(accounts)["oldest_due_on"].shows
            figures.append({"label": late.label, "then": cell(self.face, one, late.name),
                            "now": render(late, days) if shows else cell(accounts, account, "oldest_due_on")})  # fmt: skip
        details = [(self.face.field(name).label, cell(self.face, one, name, page_of))
                   for name in present(self.face, ("amount", "terms", "reason")) if getattr(one, name) is not None]  # fmt: skip
        return {"id": one.id, "code": one.code, "name": self._customer(one), "url": url_for(".details_view", id=one.id), "by": self._asker(one),
                "age_html": moment(one.created_at), "details": details, "figures": figures, "why": queued.why, "stale": queued.stale,
                "behalf": title_of(face_named("user"), queued.behalf) if queued.behalf else "", "standing": [cell(accounts, account, name) for name in present(accounts, ("standing", "standing_reason"))
                             if getattr(account, name) is not None],
                "account": {"title": account.code, "url": page_of("credit_account", account)},
                "ageing": self._ageing(account), "payments": self._payments(account),
                "decisions": [{"verdict": cell(face_named("credit_decision"), said, "verdict"), "who": self._who(said),
                               "when_html": moment(said.created_at)} for said in one.decisions] if may(face_named("credit_decision"), "read") else []}  # fmt: skip

    def _who(self, said: CreditDecision) -> str:
        people = face_named("user")
        return " for ".join(title_of(people, one) for one in (said.decided_by, said.on_behalf_of) if one)

    def _ageing(self, account: CreditAccount) -> list[dict[str, Any]]:
        """What is open by how long it is overdue, as on the page of that name."""
        accounts = face_named("credit_account")
        if not may(accounts, "read") or not all(fields_of(accounts)[name].shows for name in ("outstanding", "overdue")):
            return []
        amount = field_of("money", figure=True)
        lines = ageing(asking(), only=account.id)
        return [{"label": label, "html": render(amount, value)} for line in lines for label, value in
                [*((one.label, part) for one, part in zip(BUCKETS, line.buckets, strict=True)), ("Not allocated", line.credit)] if value]  # fmt: skip

    def _payments(self, account: CreditAccount) -> dict[str, Any]:
        """The last ones, and how many invoices were paid in time."""
        payments, accounts = face_named("payment"), face_named("credit_account")
        if not may(payments, "read") or not fields_of(accounts)["last_paid_on"].shows:
            return {}
        query = read_query(
            payments,
            [("flt_account_eq", str(account.id)), ("limit", str(PAYMENTS)), ("sort", "created_at"), ("desc", "1")],
        )
        told = db.session.get(CreditAccountFigures, account.id)
        return {"on_time": told.paid_on_time if told else 0, "late": told.paid_late if told else 0,
                "rows": [{"day_html": cell(payments, one, "paid_on"), "kind": cell(payments, one, "kind"), "amount": cell(payments, one, "amount")}
                         for one in fetch_page(payments, query, asking()).rows]}  # fmt: skip
