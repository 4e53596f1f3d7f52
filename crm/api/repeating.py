"""Idempotency-Key: the same POST again gets the answer it got before, and is not done twice.

The row is inserted in the request's own transaction. A second request with the same key waits at the unique
index until the first has ended: after its commit it gets the stored answer, after a rollback it does the work
itself. So a refused request keeps nothing and may be sent again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from flask import Response, g, request
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from crm.api.problems import Problem, answer_text
from crm.core.entity import db
from crm.models.access import IdempotencyKey

KEPT_HOURS = 24
_HEADERS = ("Location", "ETag")


def once(work: Callable[[], Response], *, meaning: bytes | None = None) -> Response:
    """Do the work, or answer what it answered the last time. Problem 422 for a key used for other work.

    `meaning` stands for the body where that isn't JSON.
    """
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return work()
    if not 1 <= len(given) <= 255 or not given.isascii() or not given.isprintable():
        raise Problem(400, "Idempotency-Key must be 1 to 255 plain characters.")
    _forget_old()
    wanted = _hash(meaning)
    made = db.session.scalar(
        insert(IdempotencyKey)
        .values(api_key_id=g.api_key.id, key=given, request_hash=wanted)
        .on_conflict_do_nothing(index_elements=["api_key_id", "key"])
        .returning(IdempotencyKey.id)
    )
    if made is None:
        return _again(given, wanted)
    response = work()
    if response.status_code < 400:
        # As text: JSONB would put the names into another order.
        kept = {
            "body": response.get_data(as_text=True),
            "headers": {name: response.headers[name] for name in _HEADERS if name in response.headers},
        }
        db.session.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.id == made)
            .values(status=response.status_code, document=kept)
            .execution_options(synchronize_session=False)
        )
    return response


def _again(given: str, wanted: str) -> Response:
    row = db.session.execute(
        select(IdempotencyKey.request_hash, IdempotencyKey.status, IdempotencyKey.document).where(
            IdempotencyKey.api_key_id == g.api_key.id, IdempotencyKey.key == given
        )
    ).one_or_none()
    if row is None or row.status is None or row.document is None:
        raise Problem(
            409,
            "A request with this Idempotency-Key is under way; send it again.",
            headers={"Retry-After": "1"},
        )
    if row.request_hash != wanted:
        raise Problem(
            422,
            "This Idempotency-Key was used for another request; make a new one.",
            errors={"Idempotency-Key": "was used for another request"},
        )
    return answer_text(row.document["body"], row.status, row.document["headers"] | {"Idempotent-Replayed": "true"})


def _hash(meaning: bytes | None) -> str:
    """Method, address and meaning of the body; blanks and the order of names don't count."""
    try:
        meaning = meaning or json.dumps(json.loads(request.get_data() or b"{}"), sort_keys=True).encode()
    except (ValueError, RecursionError):
        meaning = request.get_data()
    return hashlib.sha256(b"\n".join([request.method.encode(), request.full_path.encode(), meaning])).hexdigest()


def _forget_old() -> None:
    """Each new key takes a few old ones along, so that stored answers don't outlive their use."""
    oldest = select(IdempotencyKey.id).order_by(IdempotencyKey.id).limit(5).with_for_update(skip_locked=True)
    db.session.execute(
        delete(IdempotencyKey)
        .where(
            IdempotencyKey.id.in_(oldest.scalar_subquery()),
            IdempotencyKey.created_at < func.now() - text(f"interval '{KEPT_HOURS} hours'"),
        )
        .execution_options(synchronize_session=False)
    )
