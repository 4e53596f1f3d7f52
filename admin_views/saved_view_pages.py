"""The page of a saved view: it leads to the list as it was saved."""

from __future__ import annotations

from typing import Any

from flask import url_for

from admin_views.base import EntityView
from admin_views.lists import endpoint, may
from crm.core.entity import all_faces, face_named
from crm.models.access import SavedView


class SavedViewView(EntityView):
    """Saved views; they are made above the lists that they keep."""

    def list_extras(self) -> dict[str, Any]:
        customers = face_named("customer")
        step = {"label": "Open customers", "url": url_for(endpoint(customers, "index_view"))}
        return {"empty": {"title": "No saved views yet", "text": self.face.about.help, "icon": self.face.about.icon,
                          "primary": step if may(customers, "read") else None}}  # fmt: skip

    def detail_extras(self, record: SavedView) -> dict[str, Any]:
        face = next(
            (one for one in all_faces() if one.name == record.face and one.about.screen and may(one, "read")), None
        )
        if face is None:
            return {}
        address = f"{url_for(endpoint(face, 'index_view'))}?{record.query}"
        return {"menu": [{"label": "Open the list", "url": address, "icon": "list", "tone": "neutral"}]}
