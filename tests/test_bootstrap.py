"""The way into the environment: what is installed is not installed again, and trouble is told in one line."""

import os
import sys
from pathlib import Path

import pytest

from crm import bootstrap


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose environment is the one that runs the tests, and that asks for what is there already."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "requirements.txt").write_text("# a comment\nFlask==3.1.3\n")
    return tmp_path


def pip_calls(project: Path) -> int:
    calls = project / "calls"
    return sum("pip install" in line for line in calls.read_text().splitlines()) if calls.exists() else 0


def test_what_is_installed_is_not_installed_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # it is there; nothing is fetched
    python = str(project / ".venv" / "bin" / "python")
    assert bootstrap.make_venv(str(project)) == python
    assert pip_calls(project) == 1
    assert bootstrap.make_venv(str(project)) == python
    assert pip_calls(project) == 1
    (project / "requirements.txt").write_text("Flask==3.1.3\nrq==3.0.0\n")
    assert bootstrap.make_venv(str(project)) == python
    assert pip_calls(project) == 2


def test_what_cannot_be_installed_is_told_and_tried_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (project / "requirements.txt").write_text("no-such-package==1.0\n")
    for tries in (1, 2):
        with pytest.raises(SystemExit, match=r"^requirements\.txt could not be installed"):
            bootstrap.make_venv(str(project))
        assert pip_calls(project) == tries


def test_a_folder_that_cannot_be_written_to_works_when_the_environment_is_complete(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert bootstrap.make_venv(str(project)) == str(project / ".venv" / "bin" / "python")
    (project / "requirements.txt").write_text("Flask==0.1\n")
    with pytest.raises(SystemExit, match="can't be written to: copy the project"):
        bootstrap.make_venv(str(project))
    assert pip_calls(project) == 0
