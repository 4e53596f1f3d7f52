"""Keeps the files that were sent: under random names in a closed folder below CRM_HOME, streamed."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from crm.core.kept_files import folder
from crm.importing.files import MIB, FileRefused

UPLOAD_LIMIT = 1024 * MIB
FOLDER = "uploads"


@dataclass(frozen=True)
class Stored:
    """A file that was kept: its name below the folder, what it holds, how much."""

    name: str
    sha256: str
    size: int


def uploads() -> Path:
    """The folder of uploads."""
    return folder(FOLDER)


def keep(stream: IO[bytes], *, limit: int | None = UPLOAD_LIMIT) -> Stored:
    """Write the stream to the disk. Raises FileRefused when it exceeds `limit` bytes or the disk is full."""
    name = secrets.token_hex(16)
    path = uploads() / name
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("xb") as file:
            os.chmod(path, 0o600)
            while block := stream.read(MIB):
                size += len(block)
                if limit is not None and size > limit:
                    raise FileRefused(f"it is larger than {limit // MIB:,} MiB; `flask import` takes any size")
                digest.update(block)
                file.write(block)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise FileRefused(f"it could not be kept: {error.strerror or 'the disk does not take it'}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Stored(name, digest.hexdigest(), size)


def forget(name: str) -> None:
    """Remove a kept file."""
    (uploads() / name).unlink(missing_ok=True)
