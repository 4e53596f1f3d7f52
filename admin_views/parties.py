"""What the pages of customers, vendors and partners show beyond what every entity shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from babel.dates import format_date
from flask import Response, abort, flash, make_response, redirect, render_template, request, url_for
from flask_admin import expose
from flask_login import current_user
from markupsafe import Markup

from admin_views.cells import asking, cell, fields_of, html, present, title_of, zone
from admin_views.editing import Doubtful
from admin_views.lists import endpoint, hint, may, page_of
from admin_views.party_activities import PartyActivities
from admin_views.party_figures import figures_of
from admin_views.party_tabs import PartyTabs
from admin_views.tabs import Tab
from crm.commands.party_duplicates import remember_different
from crm.commands.party_merges import MOST as MOST_AT_ONCE
from crm.commands.photos import LARGEST, remove_photo, set_photo
from crm.core.command import WrongInput
from crm.core.entity import face_named
from crm.core.permissions import PICK, Access
from crm.models.parties import BlockState, Party
from crm.models.party_quality import POOR
from crm.queries.duplicates import MOST as MOST_SHOWN
from crm.queries.duplicates import likely_duplicates
from crm.queries.notices import MOST, notices_of
from crm.queries.party_merges import stands_for
from crm.queries.quality import lacks_of
from crm.queries.scope import find
from crm.queries.segments import segments_of

FACTS = ("industry", "email", "phone", "website", "owner", "customer_since")


class PartyView(PartyActivities, PartyTabs):
    """A party under one of its faces."""

    rights = PartyActivities.rights | PartyTabs.rights | {"photo_view": "read", "photo_form": "edit"}

    def create_blueprint(self, admin: Any) -> Any:
        blueprint = super().create_blueprint(admin)
        # Before the form is read for its token: a picture is larger than a form.
        blueprint.url_value_preprocessor(_allow_picture)
        return blueprint

    def doubt(self, values: Mapping[str, Any]) -> None:
        """Ask back where the record is likely to be there already, unless the person has said that it is none of these."""
        said = set(request.form.get("_not_same", "").split(","))
        likely = likely_duplicates(self.face, values, asking())
        if {str(one.party.id) for one in likely} <= said:
            return
        face = face_named("party")
        shown = [{"url": page_of("party", one.party), "name": title_of(face, one.party), "hint": hint(face, one.party),
                  "reasons": one.reasons} for one in likely]  # fmt: skip
        raise Doubtful(shown, ",".join(str(one.party.id) for one in likely))

    def made(self, record: Party) -> None:
        """What the person said it isn't is not proposed as the same later."""
        given = request.form.get("_not_same", "")
        others = [find(face_named("party"), asking(), number) for number in given.split(",")[:MOST_SHOWN]]
        remember_different(record, [other for other in others if other is not None], by=current_user)

    def _record(self, verb: str, given: str | None = None) -> Any:
        """Whoever opens a merged record gets to the one that stands for it, and is told."""
        asked = given or request.args.get("id", "")
        record = find(self.face, asking(), asked, verb)
        if record is not None and record.archived_at is None:
            return record
        survivor = stands_for(self.face, asked)
        if survivor is None:
            return super()._record(verb, given)
        kept = find(self.face, asking(), str(survivor), verb)
        if kept is None or request.method != "GET":
            abort(404 if kept is None else 409)
        here = str(request.endpoint)
        if here.endswith(".details_view"):
            flash(f"{record.code if record is not None else asked.upper()} was merged into this record.", "info")
        return abort(redirect(url_for(here, **{**request.args.to_dict(), "id": kept.id})))

    def picked(self, rows: Any, term: str) -> Any:
        """Whoever types the number of a merged one means the one that stands for it."""
        survivor = stands_for(self.face, term)
        kept = find(self.face, asking(), str(survivor), PICK) if survivor is not None else None
        return [kept, *(row for row in rows if row.id != kept.id)] if kept is not None else rows

    @expose("/")
    def index_view(self) -> Any:
        term = request.args.get("search", "").strip()
        if "-" in term and stands_for(self.face, term) is not None:
            return redirect(url_for(".details_view", id=term))
        return super().index_view()

    @expose("/action/", methods=("GET", "POST"))
    def action_view(self) -> Any:
        """Records are merged side by side, on a page of its own."""
        if request.values.get("action") != "merge" or not may(self.face, "merge"):
            return super().action_view()
        ids = self._ticked()
        if ids is None or len(ids) > MOST_AT_ONCE:
            flash(
                f"Tick 2 to {MOST_AT_ONCE} to compare and merge them. The list of possible duplicates merges many.",
                "info",
            )
            return redirect(self._list_url(), 303)
        if any(find(self.face, asking(), str(one), "merge") is None for one in ids):
            abort(404)
        return redirect(url_for("duplicates.compare_view", id=ids), 303)

    def list_extras(self) -> dict[str, Any]:
        mend = url_for(".index_view", flt_data_quality_lt=POOR, sort="data_quality")
        return {"secondary": [{"label": "To mend", "url": mend, "icon": "gauge"}]}

    def detail_extras(self, record: Party) -> dict[str, Any]:
        extras: dict[str, Any] = {"alerts": self._alerts(record), "facts": self._facts(record),
                                  "tabs": [*self._quality(record), self.activities_tab(record), *self.own_tabs(record)]}  # fmt: skip
        extras |= figures_of(self.face, record)
        extras["pills"] = self._segments(record)
        if record.photo_at is not None and fields_of(self.face)["photo_at"].shows:
            extras["photo_url"] = url_for(".photo_view", id=record.id, v=int(record.photo_at.timestamp()))
        if may(self.face, "edit") and record.archived_at is None and self._may_change_photo():
            change = {"label": "Photo or logo", "url": url_for(".photo_form", id=record.id), "icon": "image"}
            extras["menu"] = [change | {"tone": "", "method": "get"}]
        return extras

    def _segments(self, record: Party) -> list[Markup]:
        """The segments it is in, each a way to its page."""
        if not (may(face_named("segment"), "read") and may(face_named("segment_membership"), "read")):
            return []
        return [html('<a class="tag" href="%s">%s</a>', url_for("segments.details_view", id=segment.id), segment.name)
                for segment in segments_of(record, asking())]  # fmt: skip

    def _quality(self, record: Party) -> list[Tab]:
        """What the record lacks, on top of the overview: of the fields that the person sees."""
        lacks = [lack for lack in lacks_of(record) if fields_of(self.face)[lack.field].shows]
        if not lacks:
            return []
        body = render_template("desk/_quality.html", score=record.data_quality, poor=POOR, lacks=lacks)
        return [Tab("overview", "Overview", html=Markup(body))]  # noqa: S704 - our own

    @expose("/photo/")
    def photo_view(self) -> Any:
        picture = self._record("read").photo
        if picture is None or not fields_of(self.face)["photo_at"].shows:
            abort(404)
        return Response(picture, mimetype="image/webp", headers={"Cache-Control": "private, max-age=86400"})

    @expose("/photo/change/", methods=("GET", "POST"))
    def photo_form(self) -> Any:
        if not self._may_change_photo():
            abort(403)
        record = self._record("edit")
        if record.archived_at is not None:
            abort(409)
        here = url_for(".details_view", id=record.id)
        errors: list[dict[str, str]] = []
        if request.method == "POST":
            try:
                if "_remove" in request.form:
                    remove_photo(record)
                else:
                    given = request.files.get("photo")
                    set_photo(record, given.stream.read(LARGEST + 1) if given else b"")
                flash(f"The photo of {self._title(record)} was changed.", "good")
                return redirect(here, 303)
            except WrongInput as fault:
                errors = [{"field_id": "photo", "label": "Photo or logo", "text": fault.errors["photo"]}]
        control = Markup('<input class="input" type="file" id="photo" name="photo" '
                         'accept="image/png,image/jpeg,image/webp,image/gif" aria-describedby="photo-help">')  # fmt: skip
        field = {"name": "photo", "label": "Photo or logo", "id": "photo", "html": control, "kind": "file", "wide": True,
                 "required": True, "help": "PNG, JPEG, WebP or GIF; place and camera data are removed",
                 "errors": [error["text"] for error in errors]}  # fmt: skip
        title = self._title(record)
        page = {"title": f"Photo of {title}", "breadcrumbs": [*self._crumbs(title)]}
        also = [{"name": "_remove", "value": "1", "label": "Remove it"}] if record.photo_at else []
        body = render_template(
            "desk/form.html", page=page, sections=[{"title": "Photo or logo", "help": "", "fields": [field]}], errors=errors,
            action=url_for(".photo_form", id=record.id), method="post", multipart=True, hidden=self._hidden([]),
            cancel_url=here, submit_label="Save", also=also)  # fmt: skip
        return make_response(body, 422 if errors else 200)

    def _facts(self, record: Party) -> list[dict[str, Any]]:
        facts = []
        for name in present(self.face, FACTS):
            if self.face.value(record, name) is not None:
                facts.append({"label": self.face.field(name).label, "html": cell(self.face, record, name)})
        place = ", ".join(self.face.field(name).word(self.face.value(record, name)) for name in ("city", "country")
                          if fields_of(self.face)[name].shows and self.face.value(record, name))  # fmt: skip
        if place:
            facts.append({"label": "Place", "html": Markup("{}").format(place)})
        contact = next((contact for contact in record.contacts if contact.is_primary), None)
        if contact is not None and find(face_named("contact"), asking(), str(contact.id)) is not None:
            url = url_for("contacts.details_view", id=contact.id)
            facts.append(
                {
                    "label": "Key contact",
                    "html": html('<a href="%s">%s</a>', url, title_of(face_named("contact"), contact)),
                }
            )
        return facts

    def _may_change_photo(self) -> bool:
        return fields_of(self.face)["photo_at"] is Access.WRITE

    def _alerts(self, record: Party) -> list[dict[str, str]]:
        """What a person must see before doing anything."""
        seen, alerts = fields_of(self.face), []
        if record.block_state is not BlockState.NONE and seen["block_state"].shows:
            until = (
                f" until {format_date(record.blocked_until, 'd MMMM y', locale='en')}" if record.blocked_until else ""
            )
            since = f"since {format_date(record.blocked_at, 'd MMMM y', locale='en')}" if record.blocked_at else ""
            text = (record.block_reason or "") if seen["block_reason"].shows else ""
            alerts.append({"tone": "bad", "title": f"{record.block_state.label} {since}{until}", "text": text})
        if record.archived_at is not None:
            alerts.append({"tone": "warning", "title": "Archived",
                           "text": "It can be read, not changed. Restore it to work with it."})  # fmt: skip
        for name, label in (("email", "e-mail"), ("phone", "phone number")):
            if getattr(record, f"{name}_state") == "bounced" and seen[name].shows:
                alerts.append({"tone": "warning", "title": f"The {label} doesn't work",
                               "text": f"Messages to {getattr(record, name)} came back."})  # fmt: skip
        for notice, number, face, pairs in notices_of(record, asking(), dt.datetime.now(zone()).date()):
            many = f"{MOST}+" if number > MOST else number
            alerts.append({"tone": notice.tone, "title": f"{many} {notice.one if number == 1 else notice.many}", "text": "",
                           "url": url_for(endpoint(face, "index_view")) + "?" + urlencode(pairs)})  # fmt: skip
        return alerts


def _allow_picture(endpoint: str | None, _values: Any) -> None:
    if (endpoint or "").endswith(".photo_form"):
        request.max_content_length = LARGEST + 64 * 1024
