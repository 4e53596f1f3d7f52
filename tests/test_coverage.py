"""The page that says where everything is: made of the declarations, and speaking of everything that was asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crm.core.entity import DeclarationError
from crm.queries.coverage import coverage, named

ROOT = Path(__file__).resolve().parent.parent
ASKED = (ROOT / "docs" / "coverage.in").read_text("utf-8")
FEATURES = ROOT.parent / "shared" / "FEATURES.md"


def test_the_page_is_as_the_declarations_say() -> None:
    assert (ROOT / "docs" / "coverage.md").read_text("utf-8") == coverage(ASKED), "run: flask coverage"


@pytest.mark.parametrize(
    ("line", "says"),
    [("X1 What | customer.nothing", "there is no customer.nothing"), ("X1 What | nothing.name", "there is no nothing.name"),
     ("X1 What |", "leads nowhere"), ("X1 What | customer.stage customer.billing_city", "nobody sees customer.billing_city")],
)  # fmt: skip
def test_a_line_that_leads_nowhere_is_refused(line: str, says: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(says)):
        coverage(line)


def test_every_feature_with_a_record_has_its_line() -> None:
    if not FEATURES.exists():
        pytest.skip(f"{FEATURES} isn't here: that every feature has a line was NOT compared")
    ids = set(re.findall(r"^- ([A-H]\d+|K2|L1|M1) ", FEATURES.read_text("utf-8"), re.MULTILINE))
    assert len(ids) > 50
    assert ids - named(ASKED) == set()
