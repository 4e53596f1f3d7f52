"""What there is. Importing this package declares every entity: each file beside this one is read."""

from importlib import import_module
from pkgutil import iter_modules

from crm.core import jobs

__all__ = ["jobs"]

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
import_module(f"{__name__}.segment_filter").filter_by_segment()
