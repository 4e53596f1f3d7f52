"""Homes for tests of real servers: under root, PostgreSQL's user can't enter pytest's own folders."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from crm.config import Settings, load
from crm.logins import dsn


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """An empty folder that every user may pass through, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="customer-desk-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settings_in(folder: Path, **more: str) -> Settings:
    """Settings with the home in `folder`; further variables by their names without CRM_, in lower case."""
    environ = {f"CRM_{name.upper()}": value for name, value in more.items()}
    return load({"CRM_HOME": str(folder / "home"), **environ})


def ask(url: str, statement: str) -> object:
    """The first value of the first row."""
    with psycopg.connect(dsn(url), autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
    return row[0] if row else None


def do(url: str, statement: str) -> None:
    with psycopg.connect(dsn(url), autocommit=True) as connection:
        connection.execute(statement.encode())
