"""What ours is held against: a bare Flask route with the same rows, and a stock Flask-Admin view of the same table, as
somebody would write it in an hour."""

from __future__ import annotations

from typing import Any

import html5lib
from flask import Flask, render_template_string
from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Table
from sqlalchemy.engine import make_url

from crm.servers import Servers

COLUMNS = ("name", "type", "email", "phone", "industry", "language", "lifecycle", "created_at")
_TABLE = """<!doctype html><html><head><title>Customers</title></head><body><table>
<tr>{% for name in names %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for value in row %}<td>{{ value if value is not none else "" }}</td>{% endfor %}</tr>{% endfor %}
</table></body></html>"""


def bare(rows: list[Any]) -> Any:
    """A client of an app whose one route shows these rows; nothing is read from the database."""
    app = Flask("bare")

    @app.get("/")
    def show() -> str:
        return render_template_string(_TABLE, names=COLUMNS, rows=rows)

    return app.test_client()


class Stock:
    """The stock view, with a client before it."""

    def __init__(self, servers: Servers) -> None:
        app = Flask("stock")
        app.config.update(SECRET_KEY=servers.secret_key, SQLALCHEMY_DATABASE_URI=make_url(servers.owner_database_url))
        database = SQLAlchemy(app)
        with app.app_context():
            table = Table("party", database.metadata, autoload_with=database.engine)
        model = type("StockParty", (database.Model,), {"__table__": table})
        own = [column.name for column in table.columns if column.computed is not None or column.foreign_keys]

        class View(ModelView):
            column_list = COLUMNS
            column_searchable_list = ("name", "email")
            column_filters = ("name", "email", "industry", "lifecycle", "created_at")
            column_default_sort = ("id", True)
            form_excluded_columns = ("photo", "created_at", "updated_at", *own)
            page_size = 50
            can_export = True

        self.app = app
        self.view = View(model, database, endpoint="party", url="/party")
        Admin(app, url="/").add_view(self.view)
        self.browser = app.test_client()

    def filter(self, name: str, value: str, place: int = 0) -> str:
        """`flt0_7=…`: equal to, by the number that Flask-Admin gives each filter."""
        number = next(number for number, kept in enumerate(self.view._filters)
                      if kept.column.key == name and type(kept).__name__ == "FilterEqual")  # fmt: skip
        return f"flt{place}_{number}={value}"

    def page(self, path: str) -> str:
        answer = self.browser.get(path)
        assert answer.status_code == 200, (path, answer.status)
        return answer.get_data(as_text=True)


def typed(page: str) -> dict[str, Any]:
    """What a browser would send for the form of a page, as it is."""
    values: dict[str, Any] = {}
    tree = html5lib.parse(page, namespaceHTMLElements=False)
    form = max(tree.iter("form"), key=lambda one: len(list(one.iter("input"))) + len(list(one.iter("select"))))
    for control in form.iter():
        name = control.get("name")
        if not name or control.get("type") in ("submit", "file"):
            continue
        if control.tag == "input" and (
            control.get("type") not in ("checkbox", "radio") or control.get("checked") is not None
        ):
            values.setdefault(name, []).append(control.get("value", ""))
        elif control.tag == "textarea":
            values.setdefault(name, []).append((control.text or "").removeprefix("\n"))
        elif control.tag == "select":
            chosen = [one.get("value", "") for one in control.iter("option") if one.get("selected") is not None]
            values.setdefault(name, []).extend(chosen or ([""] if control.get("multiple") is None else []))
    return values
