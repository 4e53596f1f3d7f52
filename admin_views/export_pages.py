"""The page of an export: its file, for whoever may have it."""

from __future__ import annotations

from typing import Any

from flask import abort, send_file, url_for
from flask_admin import expose

from admin_views.base import EntityView
from admin_views.cells import asking
from crm.commands.exports import may_take, path_of
from crm.models.imports import Export, ExportState
from crm.queries.export_files import KEPT_MIME


class ExportView(EntityView):
    """Exports: who took out what, and the files that were made in the background."""

    rights = EntityView.rights | {"file_view": "read"}

    @expose("/file/")
    def file_view(self) -> Any:
        record: Export = self._record("read")
        if not may_take(record, asking()):
            abort(403)
        path = path_of(record) if record.state is ExportState.READY else None
        if path is None or not path.exists():
            abort(404)
        return send_file(path, mimetype=KEPT_MIME[str(record.format)], as_attachment=True,
                         download_name=record.file_name, max_age=0)  # fmt: skip

    def detail_extras(self, record: Export) -> dict[str, Any]:
        if record.state is not ExportState.READY or not may_take(record, asking()):
            return {}
        return {"primary": {"label": "Download", "url": url_for(".file_view", id=record.id), "icon": "download"}}
