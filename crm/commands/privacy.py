"""What may happen to consents and privacy requests. Carrying a request out is not done here: it is noted."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select

from crm.commands.communications import refuse_archived
from crm.core.command import Refused, command
from crm.core.entity import db, face_named
from crm.core.fields import FieldClass, field_of
from crm.models.access import User
from crm.models.privacy import Consent, PrivacyRequest
from crm.models.privacy_choices import ConsentSource, ConsentState, RequestKind, RequestState
from crm.models.privacy_suppressions import Suppression
from crm.queries.suppressions import KINDS, all_kept_out, digest

_OPEN = (RequestState.RECEIVED, RequestState.IN_WORK)
_TEXT = field_of("long_text", required=True, field_class=FieldClass.PERSONAL)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@command(Consent, "Withdraw", tone="warning", icon="thumbs-down", applies=lambda one: one.state is ConsentState.GIVEN,
         asks={"source": field_of("choice", choices=ConsentSource, required=True, label="How we know"),
               "evidence": _TEXT})  # fmt: skip
def withdraw(consent: Consent, *, by: User, source: ConsentSource, evidence: str) -> None:
    """The person takes it back. What was given stays in the list; a new line says that it is withdrawn."""
    refuse_archived(consent.party)
    same = (Consent.party_id == consent.party_id, Consent.purpose == consent.purpose,
            Consent.channel.is_not_distinct_from(consent.channel),
            Consent.contact_id.is_not_distinct_from(consent.contact_id))  # fmt: skip
    latest = select(Consent.state).where(*same).order_by(Consent.decided_at.desc(), Consent.id.desc()).limit(1)
    if consent.state is not ConsentState.GIVEN or db.session.scalar(latest) is not ConsentState.GIVEN:
        raise Refused("it is withdrawn already")
    # Never before what it withdraws, whoever's clock was wrong then.
    db.session.add(Consent(
        party_id=consent.party_id, contact_id=consent.contact_id, purpose=consent.purpose, channel=consent.channel,
        state=ConsentState.WITHDRAWN, legal_basis=consent.legal_basis, source=source, evidence=evidence,
        decided_at=max(_now(), consent.decided_at)))  # fmt: skip
    db.session.flush()


@command(PrivacyRequest, "Identity checked", icon="id-card", asks={"how": field_of("text", required=True)},
         applies=lambda one: one.state in _OPEN and one.identity_checked_at is None)  # fmt: skip
def check_identity(request: PrivacyRequest, *, by: User, how: str) -> None:
    """You made sure that the person is who they say."""
    _open(request)
    request.identity_checked_at, request.identity_checked_by_id, request.identity_how = _now(), by.id, how
    request.state = RequestState.IN_WORK


@command(PrivacyRequest, "Done", tone="good", icon="check", asks={"outcome": _TEXT},
         applies=lambda one: one.state is RequestState.IN_WORK)  # fmt: skip
def complete(request: PrivacyRequest, *, by: User, outcome: str) -> None:
    """It was carried out: say what was done and what proves it. After an erasure no file brings the person back."""
    _open(request)
    if request.identity_checked_at is None:
        raise Refused("the person's identity hasn't been checked")
    if request.legal_hold and request.kind is RequestKind.ERASURE:
        raise Refused("the data is under a legal hold")
    if request.kind is RequestKind.ERASURE:
        _keep_out(request)
    _finish(request, RequestState.DONE, by, outcome)


def _keep_out(request: PrivacyRequest) -> None:
    """Remember, unreadably, by what a file would name the person again."""
    face = face_named("party")
    given = {digest(value): field.label for field in face.fields.values() if field.kind in KINDS
             if (value := getattr(request.party, field.attribute))}  # fmt: skip
    known = all_kept_out()
    db.session.add_all(Suppression(kind=label, digest=found, request_id=request.id)
                       for found, label in given.items() if found not in known)  # fmt: skip


@command(PrivacyRequest, "Refuse", tone="warning", icon="circle-x", asks={"reason": _TEXT},
         applies=lambda one: one.state in _OPEN)  # fmt: skip
def refuse(request: PrivacyRequest, *, by: User, reason: str) -> None:
    """It can't be granted: say why, as you tell the person."""
    _open(request)
    _finish(request, RequestState.REFUSED, by, reason)


def _open(request: PrivacyRequest) -> None:
    if request.state not in _OPEN:
        raise Refused(f"it is {request.state.label.lower()}")


def _finish(request: PrivacyRequest, state: RequestState, by: User, outcome: str) -> None:
    request.state, request.finished_at, request.finished_by_id, request.outcome = state, _now(), by.id, outcome
