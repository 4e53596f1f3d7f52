"""A new party that is likely to be there already: a program is told before it is saved, as a person is.

`not_same=C-000012,…` is the answer to that, and remembered as a person's is; with `duplicates=create` a program isn't asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm.api import reading
from crm.api.entering import actor
from crm.api.problems import Problem, wrong
from crm.core.entity import Face, face_named
from crm.core.permissions import title_for
from crm.models.imports import Duplicates
from crm.models.parties import Party
from crm.queries.duplicates import LikelyOne, likely_duplicates

ANYWAY, NOT_SAME, POSSIBLE = "duplicates", "not_same", "possible_duplicates"
PARAMETERS = {
    ANYWAY: "create: it is made all the same, and the answer names whom it is like",
    NOT_SAME: "Numbers or codes of those that it isn't, with commas; they aren't proposed as the same again",
}
# The likeliest first.
SCHEMA = {"type": "array", "items": {"type": "object", "properties": {
    "id": {"type": "integer"}, "code": {"type": "string"}, "name": {"type": "string"},
    "score": {"type": "integer", "minimum": 0, "maximum": 100}, "why": {"type": "string"}}}}  # fmt: skip


def likely_ones(face: Face, values: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Party]]:
    """Whom a new one with these values is like, as documents, and those of them that it is said not to be. Problem 409 where
    the request doesn't say that it is to be made all the same."""
    if face.entity is not Party:
        return [], []
    asked = reading.one_of_each(frozenset(PARAMETERS))
    if asked.get(ANYWAY, Duplicates.CREATE) != Duplicates.CREATE:
        raise wrong({ANYWAY: f"can only be {Duplicates.CREATE}"}, "A parameter can't be taken.")
    said = {one.strip().upper() for one in asked.get(NOT_SAME, "").split(",")}
    likely = likely_duplicates(face, values, actor())
    others = [one.party for one in likely if said & {str(one.party.id), one.party.code}]
    documents = [_document(one) for one in likely]
    if ANYWAY not in asked and len(others) < len(likely):
        codes = ",".join(one.party.code for one in likely)
        raise Problem(409, f"Not done: it is likely to be there already. Use one of {POSSIBLE}; or send it again with "
                           f"{NOT_SAME}={codes}, or with {ANYWAY}={Duplicates.CREATE} to make it without being asked.",
                      more={POSSIBLE: documents})  # fmt: skip
    return documents, others


def _document(one: LikelyOne) -> dict[str, Any]:
    name = title_for(actor(), face_named("party"), one.party)
    return {"id": one.party.id, "code": one.party.code, "name": name, "score": one.score, "why": one.reasons}
