"""Serves an app to the world with gunicorn: processes that share one loaded copy, each with a few threads; and how its
many addresses are kept cheap."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from werkzeug.routing import Rule

from crm.config import Settings

THREADS = 4
GRACE = 4  # seconds that running requests get when it ends; the supervisor waits a little longer


class _Server(BaseApplication):
    def __init__(self, make_app: Callable[[], Any], options: dict[str, Any]) -> None:
        self._make_app = make_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        app = self._make_app()
        spare_collector()
        return app


def spare_collector() -> None:
    """What starting made stays, so the garbage collector need not walk it after every few requests: a fifth of a
    list's processor time. Frozen before the processes part, the pages stay shared as well."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def serve(make_app: Callable[[], Any], settings: Settings) -> None:
    """Run until SIGTERM. The app is made once, before the processes part: it must not hold connections by then."""
    _Server(
        make_app,
        {
            "bind": f"{settings.host}:{settings.port}",
            "workers": settings.web_workers,
            "worker_class": "gthread",
            "threads": THREADS,
            "preload_app": True,
            "graceful_timeout": GRACE,
            "timeout": 120,
            "loglevel": "warning",
            "control_socket_disable": True,  # one per user, so two instances would share it
        },
    ).run()


class Address(Rule):
    """There are nearly two thousand, of which a process builds few: what builds one is compiled when it is first asked
    for, which spares a fifth of starting."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        made: list[Callable[..., tuple[str, str]]] = []

        def build(rule: Rule, /, **values: Any) -> tuple[str, str]:
            if not made:
                made.append(super(Address, self)._compile_builder(append_unknown))
            return made[0](rule, **values)

        return build
