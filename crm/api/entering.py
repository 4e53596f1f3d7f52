"""Who asks: the key of a request, its scopes, its user's rights, and how often it may ask."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from flask import Response, current_app, g, request

from crm.api.problems import Problem
from crm.api.rate import BURST, PER_MINUTE, Buckets
from crm.commands.access import key_for
from crm.core.audit import Acting, acting_as, hand_over
from crm.core.entity import Face, all_faces, db
from crm.core.permissions import Asking, allowed
from crm.models.access import ApiKey, User

SAFE = frozenset({"GET", "HEAD"})
REALM = 'Bearer realm="Customer Desk"'


def with_key(view: Callable[..., Response]) -> Callable[..., Response]:
    """Let in whoever has a good key; everything the view writes is its user's, by way of the API."""

    @wraps(view)
    def entered(**given: Any) -> Response:
        key = _key()
        wait = _buckets().take(key.id)
        if wait:
            raise Problem(
                429,
                f"Too many requests with this key. Go on in {wait} s.",
                headers={"Retry-After": str(wait)},
            )
        g.api_key = key
        with acting_as(Acting(key.user_id, via=f"api {key.prefix}")):
            if request.method not in SAFE:
                # The key was looked up in this transaction, so it began before we knew who acts.
                hand_over(db.session.connection())
            return view(**given)

    return entered


def _key() -> ApiKey:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise Problem(401, "Send a key: Authorization: Bearer KEY.", headers={"WWW-Authenticate": REALM})
    key = key_for(secret.strip())
    if key is None:
        raise Problem(
            401,
            "This key is unknown, revoked or expired, or its user is locked.",
            headers={"WWW-Authenticate": f'{REALM}, error="invalid_token"'},
        )
    return key


def _buckets() -> Buckets:
    made = current_app.extensions.get("crm_api_buckets")
    if made is None:
        made = Buckets(current_app.config.get("API_PER_MINUTE", PER_MINUTE), current_app.config.get("API_BURST", BURST))
        made = current_app.extensions.setdefault("crm_api_buckets", made)
    return made


def actor() -> Asking:
    """Whoever asks: the user whose key this is."""
    if "asking" not in g:
        g.asking = Asking.of(user())
    return cast(Asking, g.asking)


def user() -> User:
    """The user whose key this is, for what commands write down."""
    return cast(User, g.api_key.user)


def face_at(plural: str) -> Face:
    """The face at this place of the address. Problem 404 for what the API doesn't open."""
    face = next((face for face in all_faces() if face.plural == plural and face.about.api), None)
    if face is None:
        raise Problem(404, f"There is nothing at /{plural[:60]}.")
    return face


def require(face: Face, scope: str, *verbs: str) -> None:
    """Problem 403 unless the key has the scope and its user the right to each verb.

    `read` is always asked for as well, because every answer shows the record.
    """
    wanted = f"{face.plural}:{scope}"
    if wanted not in g.api_key.scopes:
        raise Problem(403, f"This key lacks the scope {wanted}.")
    for verb in ("read", *verbs):
        if allowed(actor(), f"{face.name}.{verb}") is None:
            raise Problem(403, f"The user of this key may not {verb.replace('_', ' ')} {face.label_plural.lower()}: "
                               f"that needs {face.name}.{verb}.")  # fmt: skip
