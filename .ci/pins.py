"""Writes requirements.txt and requirements-dev.txt: what the .in files bring into an empty environment."""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Exact versions; made by `make pins` from {source}, which says why each is there.\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder, "bin", "python")
        product = _installed(python, "requirements.in")
        _write("requirements.txt", "requirements.in", product)
        tools = [line for line in _installed(python, "requirements-dev.in") if line not in product]
        _write("requirements-dev.txt", "requirements-dev.in", ["-r requirements.txt", *tools])


def _installed(python: Path, source: str) -> list[str]:
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "-r", source], cwd=ROOT, check=True)
    return subprocess.run([*pip, "freeze"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def _write(name: str, source: str, lines: list[str]) -> None:
    (ROOT / name).write_text(HEADER.format(source=source) + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
