"""Homes for tests of real servers: under root, PostgreSQL's user can't enter pytest's own folders."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crm.config import Settings, load


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
