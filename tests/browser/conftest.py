"""A desk that is really served, with a real worker, and a real Chromium before it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from redis import Redis
from werkzeug.serving import make_server

from app import create_app
from crm.commands import access
from crm.core import jobs as table
from crm.core.audit import Acting, acting_as
from crm.core.entity import db
from tests.conftest import _copy, _drop, _settings
from tests.jobs.processes import Forked, kill_tree, serve

PASSWORD = "correct horse battery staple"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Site:
    """Where the desk is served, and who may sign in there."""

    address: str
    app: Flask
    email: str


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program; without one the browser tests are skipped with a word, and in CI they fail."""
    found = next((path for name in NAMES if (path := shutil.which(name, path="/usr/bin:" + os.environ["PATH"]))), None)
    if found is None:
        said = f"no browser: none of {', '.join(NAMES)} was found, so nothing of the screens was seen in one"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    return found


@pytest.fixture(scope="package")
def site(chromium: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    number = 8 + (int(worker_id.removeprefix("gw")) % 8 if worker_id.startswith("gw") else 0)
    name = f"desk_browser_{worker_id}"
    copied = _copy(name)
    servers = replace(copied, redis_url=f"{copied.redis_url}?db={number}")  # a bell that nobody else hears
    before = replace(table.bell)
    app = create_app(_settings(), servers)
    email = "ada@example.com"
    with app.app_context(), acting_as(Acting(via="test")):
        access.create_user(email=email, role="admin", name="Ada Admin", password=PASSWORD)
        access.create_user(email="bert@example.com", role="sales_rep", name="Bert Sales", password=PASSWORD)
        db.session.commit()
        db.session.remove()
        db.engine.dispose()
    log = tmp_path_factory.mktemp("browser") / "worker.log"
    worker = Forked(lambda: serve(app, servers, "work", 1), log)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Site(f"http://127.0.0.1:{server.server_port}", app, email)
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()
        kill_tree(worker)
        print(Path(log).read_text())
        with Redis.from_url(servers.redis_url) as bell:
            bell.flushdb()
        table.hang(before)
        with app.app_context():
            db.session.remove()
            db.engine.dispose()
        assert servers.superuser_url
        _drop(name, servers.superuser_url)


@pytest.fixture(scope="package")
def browser(site: Site, chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@dataclass
class Tab:
    """A page of a signed-in person; keeps what the browser complained of."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page


def listen(context: BrowserContext, address: str) -> Tab:
    """A tab; what any page of its browser complains of is kept."""
    tab = Tab(context.new_page(), address)

    def heard(message: Any) -> None:
        # An answer such as 409 or 422 is meant; that it came is no fault of the page.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            tab.complaints.append(f"{message.page.url if message.page else ''}: {message.text}")

    context.on("console", heard)
    context.on("weberror", lambda fault: tab.complaints.append(f"{fault.page.url}: {fault.error}"))
    context.on("response", lambda got: tab.complaints.append(f"{got.url}: {got.status}") if got.status >= 500 else None)
    return tab


def sign_in(tab: Tab, email: str) -> None:
    page = tab.open("/login?next=/admin/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/")


@pytest.fixture(scope="package")
def window(site: Site, browser: Browser) -> Iterator[Tab]:
    """A browser in which somebody has signed in once; what it has loaded once it keeps."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    made = listen(context, site.address)
    sign_in(made, site.email)
    yield made
    context.close()


@pytest.fixture
def tab(window: Tab) -> Iterator[Tab]:
    """A new tab of the signed-in browser; whatever it complains of on the way fails the test."""
    context = window.page.context
    tab = replace(window, page=context.new_page())
    tab.complaints.clear()
    yield tab
    for page in context.pages[1:]:
        page.close()
    assert tab.complaints == []
