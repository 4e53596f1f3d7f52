"""The audit's screens: how far it is sealed, and each entry with what it changed, as far as the reader may see that."""

from __future__ import annotations

from typing import Any

from flask import render_template
from markupsafe import Markup

from admin_views import details
from admin_views.base import EntityView
from admin_views.cells import asking
from admin_views.lists import may, page_of
from admin_views.tabs import Tab
from crm.core.entity import Face, all_faces
from crm.models.access import AuditEntry
from crm.queries.audit import sealed
from crm.queries.history import events_numbered


class AuditView(EntityView):
    """Entries of the audit; nothing can be made, changed or deleted here."""

    def list_extras(self) -> dict[str, Any]:
        now = sealed()
        waiting = f"; {now.open:,} wait for it" if now.open else ""
        return {"description": f"Sealed up to entry {now.seq:,}{waiting}. “flask audit verify” walks the chain."}

    def detail_extras(self, record: AuditEntry) -> dict[str, Any]:
        face = _face_of(record.entity)
        if face is None or not may(face, "read"):
            return {}
        entries = details.entries_of(face, events_numbered(face, [record.id], asking()))
        html = Markup(render_template("desk/history.html", entries=entries))  # noqa: S704 - our own template
        seal = f"Entry {record.seq:,} of the chain" if record.seq else "Not sealed yet"
        facts = [{"label": "Seal", "html": seal}, {"label": "Hash", "html": record.hash or "–"}]
        menu = [{"label": f"Open the {face.label.lower()}", "url": page_of(face.name, _Numbered(record.record_id)),
                 "icon": face.about.icon, "tone": "neutral"}]  # fmt: skip
        return {"tabs": [Tab("overview", "Overview", html=html)],
                "facts": facts, "menu": menu}  # fmt: skip


class _Numbered:
    """A record of which only the number is known."""

    def __init__(self, number: int) -> None:
        self.id = number


def _face_of(table: str) -> Face | None:
    """The first face of the table's entity that the person may read, else the first."""
    faces = [face for face in all_faces() if face.entity.__tablename__ == table]
    return next((face for face in faces if may(face, "read")), next(iter(faces), None))
