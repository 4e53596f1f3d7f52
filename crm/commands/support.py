"""What may happen to tickets, their escalations and knowledge articles."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import func, select

from crm.commands.communications import refuse_archived
from crm.core.command import Refused, command
from crm.core.entity import db
from crm.core.fields import FieldClass, field_of
from crm.models.access import User
from crm.models.support import Escalation, KnowledgeArticle, Ticket
from crm.models.support_choices import ArticleState, EscalationState, TicketState

NEW, OPEN, WAITING, RESOLVED, CLOSED = TicketState
_UNRESOLVED = (NEW, OPEN, WAITING)
_TOP = 9


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _from(ticket: Ticket, *states: TicketState) -> None:
    refuse_archived(ticket.party)
    if ticket.state not in states:
        raise Refused(f"it is {ticket.state.label.lower()}")
    if ticket.opened_at > _now():
        raise Refused("it is only opened later: correct that time first")


@command(Ticket, "Take", icon="user-check", applies=lambda ticket: ticket.state in _UNRESOLVED)
def take(ticket: Ticket, *, by: User) -> None:
    """You work on it from now on."""
    _from(ticket, *_UNRESOLVED)
    if ticket.assignee_id == by.id and ticket.state is OPEN:
        raise Refused("you work on it already")
    ticket.assignee_id, ticket.state = by.id, OPEN


@command(Ticket, "Answered", icon="send", applies=lambda ticket: ticket.first_response_at is None)
def answered(ticket: Ticket, *, by: User) -> None:
    """The customer has had a first answer: the time to respond ends here."""
    _from(ticket, *_UNRESOLVED)
    if ticket.first_response_at is not None:
        raise Refused("it was answered already")
    ticket.first_response_at = _now()
    ticket.state = OPEN if ticket.state is NEW else ticket.state


@command(Ticket, "Wait for the customer", icon="hourglass", applies=lambda ticket: ticket.state in (NEW, OPEN))
def wait(ticket: Ticket, *, by: User) -> None:
    """Nothing can be done until the customer answers."""
    _from(ticket, NEW, OPEN)
    ticket.state = WAITING


@command(Ticket, "Escalate", tone="warning", icon="trending-up", applies=lambda ticket: ticket.state in _UNRESOLVED,
         asks={"reason": field_of("long_text", required=True, field_class=FieldClass.PERSONAL),
               "to": field_of("reference", refers_to="user", label="To")})  # fmt: skip
def escalate(ticket: Ticket, *, by: User, reason: str, to: int | None) -> None:
    """Take it a level higher; to nobody named, whoever leads decides."""
    _from(ticket, *_UNRESOLVED)
    if to is not None and db.session.get(User, to) is None:
        raise Refused("there is no such person")
    highest = db.session.scalar(select(func.max(Escalation.level)).where(Escalation.ticket_id == ticket.id)) or 0
    if highest == _TOP:
        raise Refused("it can't go any higher")
    db.session.add(Escalation(ticket_id=ticket.id, level=highest + 1, reason=reason, to_user_id=to))
    db.session.flush()


@command(Ticket, "Resolve", tone="good", icon="circle-check", applies=lambda ticket: ticket.state in _UNRESOLVED,
         asks={"resolution": field_of("long_text", required=True, field_class=FieldClass.PERSONAL),
               "first_contact": field_of("boolean", label="Resolved at first contact")})  # fmt: skip
def resolve(ticket: Ticket, *, by: User, resolution: str, first_contact: bool | None) -> None:
    """Say how it was resolved. Open escalations are settled by it."""
    _from(ticket, *_UNRESOLVED)
    ticket.resolution, ticket.first_contact_resolution = resolution, first_contact
    ticket.state, ticket.resolved_at = RESOLVED, _now()
    ticket.first_response_at = ticket.first_response_at or ticket.resolved_at
    for escalation in ticket.escalations:
        if escalation.state is EscalationState.OPEN:
            _settle(escalation, resolution)


@command(Ticket, "Close", icon="archive", applies=lambda ticket: ticket.state is RESOLVED)
def close(ticket: Ticket, *, by: User) -> None:
    """It is resolved and the customer agrees."""
    _from(ticket, RESOLVED)
    ticket.state, ticket.closed_at = CLOSED, _now()


@command(Ticket, "Reopen", icon="rotate-ccw", applies=lambda ticket: ticket.state in (RESOLVED, CLOSED))
def reopen(ticket: Ticket, *, by: User) -> None:
    """It wasn't resolved after all."""
    _from(ticket, RESOLVED, CLOSED)
    ticket.state, ticket.resolved_at, ticket.closed_at = OPEN, None, None
    ticket.first_contact_resolution = False
    ticket.reopened += 1


@command(Escalation, "Settle", tone="good", icon="check", applies=lambda one: one.state is EscalationState.OPEN,
         asks={"outcome": field_of("long_text", required=True, field_class=FieldClass.PERSONAL)})  # fmt: skip
def settle(escalation: Escalation, *, by: User, outcome: str) -> None:
    """Say what came of it."""
    refuse_archived(escalation.ticket.party)
    if escalation.state is not EscalationState.OPEN:
        raise Refused("it is settled already")
    _settle(escalation, outcome)


def _settle(escalation: Escalation, outcome: str) -> None:
    escalation.state, escalation.settled_at, escalation.outcome = EscalationState.SETTLED, _now(), outcome


@command(KnowledgeArticle, "Publish", tone="good", icon="book-open",
         applies=lambda article: article.state is not ArticleState.PUBLISHED)  # fmt: skip
def publish(article: KnowledgeArticle, *, by: User) -> None:
    """Show it to its audience."""
    if article.state is ArticleState.PUBLISHED:
        raise Refused("it is published already")
    article.state, article.published_at = ArticleState.PUBLISHED, _now()


@command(KnowledgeArticle, "Withdraw", icon="eye-off", applies=lambda article: article.state is ArticleState.PUBLISHED)
def withdraw(article: KnowledgeArticle, *, by: User) -> None:
    """Show it no longer."""
    if article.state is not ArticleState.PUBLISHED:
        raise Refused("it isn't published")
    article.state = ArticleState.WITHDRAWN
