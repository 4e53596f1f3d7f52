"""`flask segments`: segments made from files, refreshed and installed; one line of JSON at the end, faults in one line."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from crm.core.entity import db
from crm.models.parties import Party
from crm.models.segments import Segment
from jobs.segment_command import segment_commands
from tests.jobs.conftest import Desk


@pytest.fixture
def segments(desk: Desk, tmp_path: Path) -> Any:
    """Runs `flask segments …`; answers the exit code, the last line as JSON (or None), and all that was said."""

    def run(*words: str, rule: Any = None) -> tuple[int, Any, str]:
        if rule is not None:
            file = tmp_path / "rule.json"
            file.write_text(rule if isinstance(rule, str) else json.dumps(rule))
            words = (*words, "--rule", str(file))
        # A function's answer is the exit code, as in app.py.
        done = CliRunner().invoke(segment_commands(click.Group, nullcontext), words, standalone_mode=False)
        code = done.return_value if isinstance(done.return_value, int) else int(done.exception is not None)
        said = done.output + (
            f"{done.exception.format_message()}" if isinstance(done.exception, click.ClickException) else ""
        )
        assert done.exception is None or isinstance(done.exception, click.ClickException), done.exception
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return code, json.loads(lines[-1]) if lines else None, said

    return run


def test_a_segment_is_made_from_a_file_and_filled_where_no_worker_runs(segments: Any) -> None:
    db.session.add_all(
        Party(name=f"P{n}", roles=["end_customer"], industry="Wood" if n % 2 else "Steel") for n in range(6)
    )
    db.session.commit()
    code, made, _ = segments("create", "Wood", rule={"field": "industry", "op": "eq", "value": "wood"})
    assert (code, made["name"], made["type"]) == (0, "Wood", "dynamic")
    code, told, said = segments("refresh", str(made["id"]), "--wait")
    assert (code, told["state"]) == (0, "done")
    [one] = told["segments"]
    assert (one["members"], one["entered"], one["left"], one["error"]) == (3, 3, 0, None)
    assert "Wood: 3 members, 3 entered, 0 left" in said
    db.session.query(Party).filter(Party.name == "P1").one().industry = "Tin"
    db.session.commit()
    [one] = segments("refresh", "--changed", "--wait")[1]["segments"]
    assert (one["members"], one["left"]) == (2, 1)
    code, told, said = segments("refresh")
    assert (code, set(told), "waits until a worker runs" in said) == (0, {"job"}, True)


@pytest.mark.parametrize(("rule", "says"), [
    ({"all": [{"field": "industry", "op": "eq", "value": "x"}, {"field": "nothing", "op": "eq", "value": 1}]}, "all[1]"),
    ("{not json", "rule.json"), ("[1]", ""), ({"in_segment": "Wood"}, "Wood"), (None, "needs --rule"),
])  # fmt: skip
def test_a_rule_that_cannot_be_is_told_in_a_line_and_nothing_is_made(segments: Any, rule: Any, says: str) -> None:
    code, told, said = segments("create", "Wood", rule=rule)
    assert (code, told) == (1, None)
    assert says in said
    assert db.session.query(Segment).count() == 0


def test_wrong_numbers_and_names_are_told(segments: Any) -> None:
    assert "number 99" in segments("refresh", "99", "--wait")[2]
    segments("create", "By hand", "--type", "static")
    assert "already" in segments("create", "by HAND", "--type", "static")[2]
    assert "1 to 120" in segments("create", " ", "--type", "static")[2]
    assert "no ready-made segment “None”" in segments("install", "None")[2]
    first, again = segments("install")[1], segments("install")[1]
    assert (len(first["segments"]) > 10, again["segments"]) == (True, [])
    code, told, _ = segments("refresh", "--wait")
    assert (code, {one["state"] for one in told["segments"]}) == (0, {"done"}), told
