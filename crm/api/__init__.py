"""The API: what other programs read and do, with a key. All it offers is derived from the declarations."""

import crm.api.imports  # noqa: F401 - its addresses
from crm.api.pages import described_paths
from crm.api.problems import Problem, problem_response
from crm.api.routes import blueprint

__all__ = ["Problem", "blueprint", "described_paths", "problem_response"]
