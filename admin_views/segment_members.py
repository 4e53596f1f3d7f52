"""Putting customers into a static segment from a file or a list of numbers and e-mails, with a report of what came of it."""

from __future__ import annotations

from typing import Any

from flask import flash, make_response, render_template, request, url_for
from flask_admin import expose
from flask_login import current_user

from admin_views.cells import title_of
from admin_views.lists import may, refuse
from crm.core.command import Refused
from crm.core.entity import Face, face_named
from crm.importing.files import FileRefused
from crm.importing.member_lists import MOST, VERB, Meant, meant, names_in_file, names_in_text, put
from crm.models.segment_choices import SegmentType
from crm.models.segments import Segment

SHOWN = 50  # names of each kind


class MemberRoutes:
    """Members from a file; a part of the view of segments."""

    face: Face
    _record: Any
    _crumbs: Any
    _hidden: Any

    def _can_be_filled(self, record: Segment) -> bool:
        return record.type is SegmentType.STATIC and may(face_named("customer"), VERB)

    @expose("/from-file/", methods=("GET", "POST"))
    def from_file_view(self) -> Any:
        """Members of a static segment from a file or a list: looked up first, or put in at once."""
        record = self._record("read")
        customers = face_named("customer")
        if not may(customers, VERB):
            refuse(customers, VERB)
        why, names, found, done = "", [], None, False
        if request.method == "POST":
            try:
                names = self._given()
                found = meant(names, record, current_user)
                if request.form.get("do") == "put":
                    if record.type is not SegmentType.STATIC:
                        raise Refused("the segment is filled by its rule: make it static first")
                    free = len(found.ids) - len(found.already)
                    refused = put(found, record, current_user)
                    flash(
                        f"{free - len(refused):,} of {free:,} customers were put into {title_of(self.face, record)}.",
                        "good",
                    )
                    done = True
            except (FileRefused, Refused) as refusal:
                why = str(refusal)
        text = "" if done else "\n".join(names) or request.form.get("names", "")
        body = render_template(
            "desk/segment_members.html", page={"title": f"Members of {title_of(self.face, record)} from a file", "breadcrumbs": self._crumbs(title_of(self.face, record))},
            action=url_for(".from_file_view", id=record.id), back=url_for(".details_view", id=record.id), hidden=self._hidden([]), most=f"{MOST:,}",
            why=why, text=text, told=_told(found, done) if found else None, can_put=bool(found and len(found.ids) > len(found.already) and not done))  # fmt: skip
        return make_response(body, 422 if why else 200)

    def _given(self) -> list[str]:
        file = request.files.get("file")
        if file is not None and file.filename:
            file.stream.seek(0)  # the whole request is done again when two transactions stood in each other's way
            return names_in_file(file.stream)
        return names_in_text(request.form.get("names", ""))


def _told(found: Meant, done: bool) -> list[dict[str, Any]]:
    """What came of a list, line by line."""
    lines = [("put in now" if done else "to be put in", "good", len(found.ids) - len(found.already), []),
             ("in it already", "neutral", len(found.already), []), ("named more than once", "neutral", found.repeated, []),
             ("not found", "warning", len(found.missing), found.missing),
             ("had by several customers", "warning", len(found.ambiguous), found.ambiguous),
             ("archived", "warning", len(found.archived), found.archived)]  # fmt: skip
    return [{"word": word, "tone": tone, "number": number, "names": names[:SHOWN], "more": max(0, number - SHOWN) if names else 0}
            for word, tone, number, names in lines if number or tone == "good"]  # fmt: skip
