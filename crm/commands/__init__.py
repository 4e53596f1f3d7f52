"""Verbs that change something. Importing this package declares every command: each file beside this one is read."""

from importlib import import_module
from pkgutil import iter_modules

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
