"""Jobs are asked for by name: every name that stands anywhere in the code leads to a function."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from jobs import runner

ROOT = Path(__file__).parents[2]


def asked_names() -> set[str]:
    """Every text of the shape `jobs.<domain>.<verb_noun>` in the code, but for the bell's own function."""
    found = set()
    for folder in ("crm", "admin_views", "jobs"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found |= {node.value} if re.fullmatch(r"jobs\.[a-z_]+\.[a-z_]+", node.value) else set()
    return found - {"jobs.runner.run"}


def test_every_asked_name_resolves() -> None:
    names = asked_names()
    assert {"jobs.commands.perform_many", "jobs.demo.load"} <= names
    for name in sorted(names):
        assert callable(runner.resolve(name)), name


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "jobs.runner.run",
        "jobs.trial.plain",
        "jobs.trial.gone",
        "jobs.gone.load",
        "crm.core.jobs.ask",
        "jobs.trial.time.sleep",
        "jobs..load",
        "jobs.trial.__class__",
        "",
    ],
)
def test_nothing_else_does(name: str) -> None:
    with pytest.raises(runner.UnknownTask):
        runner.resolve(name)


def test_every_module_of_jobs_can_be_loaded_ahead() -> None:
    runner.preload()
