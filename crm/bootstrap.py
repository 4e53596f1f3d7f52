"""Makes `.venv` with what requirements.txt names, and goes on in it; any Python 3 can read this file."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
PYTHONS = ("python3", "python3.13", "python3.12", "python3.11", "python3.14", "python")
_PROBE = "import sys, ensurepip, venv; sys.exit(sys.version_info < (%d, %d))" % OLDEST

_COMPLETE = """
from importlib.metadata import version
for path in %r:
    for line in open(path):
        name, _, wanted = line.strip().partition("==")
        assert not wanted or version(name) == wanted
"""


def ensure_venv(root):  # type: (os.PathLike[str]) -> None
    """Return inside the project's environment: at once, or by starting `app.py` again in it."""
    folder = os.path.join(os.fspath(root), ".venv")
    if os.path.realpath(sys.prefix) == os.path.realpath(folder):
        return
    python = make_venv(os.fspath(root))
    os.execv(python, [python, os.path.join(os.fspath(root), "app.py")] + sys.argv[1:])  # noqa: S606


def make_venv(root, requirements=("requirements.txt",)):  # type: (str, tuple[str, ...]) -> str
    """Make or complete `.venv` and return its Python; ends with one line when that can't be done."""
    folder = os.path.join(root, ".venv")
    python = os.path.join(folder, "bin", "python")
    if all(_is_done(root, name) for name in requirements) and os.path.exists(python):
        return python
    if not os.access(root, os.W_OK) or (os.path.isdir(folder) and not os.access(folder, os.W_OK)):
        if _works(python, _COMPLETE % [os.path.join(root, name) for name in requirements]):
            return python  # somebody else made it for us
        _fail("%s can't be written to: copy the project to a folder of yours and start it there" % root)
    lock = os.open(root, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # two terminals, one environment
    try:
        if not _works(python):
            _say("Making .venv …")
            _run([_find_python(), "-m", "venv", "--clear", folder], "the environment could not be made")
        for name in requirements:
            if not _is_done(root, name):
                _say("Installing %s (once; about a minute) …" % name)
                pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
                _run(
                    [*pip, "-r", os.path.join(root, name)],
                    name + " could not be installed: is the network there?",
                )
                with open(_stamp(root, name), "w") as file:
                    file.write(_wanted(root, name))
    finally:
        os.close(lock)
    return python


def _stamp(root, name):  # type: (str, str) -> str
    return os.path.join(root, ".venv", "installed-" + name)


def _wanted(root, name):  # type: (str, str) -> str
    digest = hashlib.sha256()
    for part in sorted({name, "requirements.txt"}):
        with open(os.path.join(root, part), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def _is_done(root, name):  # type: (str, str) -> bool
    try:
        with open(_stamp(root, name)) as file:
            return file.read() == _wanted(root, name)
    except OSError:
        return False


def _works(python, probe="import pip"):  # type: (str, str) -> bool
    try:
        return subprocess.call([python, "-c", probe], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def _find_python():  # type: () -> str
    if _works(sys.executable, _PROBE):
        return sys.executable
    for name in PYTHONS:
        path = shutil.which(name)
        if path and _works(path, _PROBE):
            return path
    if sys.version_info >= OLDEST:
        _fail("this Python can't make environments: install python3-venv (apt install python3-venv)")
    return _fail("Python %d.%d or newer is needed, and none was found: install it" % OLDEST)


def _run(command, failure):  # type: (list[str], str) -> None
    try:
        if subprocess.call(command) != 0:
            _fail(failure)
    except KeyboardInterrupt:
        _fail("stopped; the next start goes on where this one ended")


def _say(line):  # type: (str) -> None
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _fail(line):  # type: (str) -> str
    sys.exit(line)


if __name__ == "__main__":
    make_venv(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
        tuple(sys.argv[1:]) or ("requirements.txt",),
    )
