"""Deals as a board beside their list: a card is moved by dragging, or by its menu; both send the same command."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import render_template, url_for
from flask_admin import expose

from admin_views.base import EntityView
from admin_views.cells import asking, cell, initials, present, title_of, tone_of
from admin_views.lists import may, page_of
from crm.core.entity import face_named
from crm.models.sales_deals import Deal, DealStage
from crm.queries.deals import COUNTED, SHOWN, Column, board

ON_CARDS = ("customer", "amount", "close_on", "next_step")


class DealView(EntityView):
    """Deals."""

    rights = EntityView.rights | {"board_view": "read"}

    def list_extras(self) -> dict[str, Any]:
        here = url_for(".board_view") + self._as_text(self._query().parameters())
        return {"secondary": [{"label": "Board", "url": here, "icon": "columns-3"}]}

    @expose("/board/")
    def board_view(self) -> Any:
        query = self._query()
        pairs = query.parameters()
        here = url_for(".board_view") + self._as_text(pairs)
        new = {"label": "New deal", "url": url_for(".create_view")} if may(self.face, "create") else None
        return render_template(
            "desk/board.html", page={"title": "Deals", "breadcrumbs": self._crumbs("Board"), "primary": new},
            list_url=url_for(".index_view") + self._as_text(pairs), here=here, action_url=url_for(".action_view"),
            can_move=may(self.face, "move"), stages=list(DealStage), columns=[self._column(one, pairs) for one in board(query, asking())],
            hidden=self._hidden([("action", "move"), ("confirm", "1"), ("next", here)]))  # fmt: skip

    def _as_text(self, pairs: list[tuple[str, str]]) -> str:
        return "?" + urlencode(pairs) if pairs else ""

    def _column(self, column: Column, pairs: list[tuple[str, str]]) -> dict[str, Any]:
        rest = [pair for pair in pairs if not pair[0].startswith("flt_stage_")]
        more = url_for(".index_view") + self._as_text([*rest, ("flt_stage_eq", column.stage.value)])
        return {"stage": column.stage, "cards": [self._card(deal) for deal in column.deals],
                "count": f"{COUNTED}+" if column.number > COUNTED else f"{column.number:,}",
                "more_url": more if column.number > SHOWN else None}  # fmt: skip

    def _card(self, deal: Deal) -> dict[str, Any]:
        shown = [cell(self.face, deal, name, page_of) for name in present(self.face, ON_CARDS)
                 if self.face.value(deal, name) is not None]  # fmt: skip
        who = title_of(face_named("user"), deal.owner) if deal.owner and present(self.face, ["owner"]) else ""
        return {"id": deal.id, "title": self._title(deal), "url": url_for(".details_view", id=deal.id), "cells": shown,
                "who": who, "initials": initials(who) if who else "", "tone": tone_of(deal.owner) if deal.owner else 0}  # fmt: skip
