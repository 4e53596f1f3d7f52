"""Which of several records' values the merged one should have, field by field, and what speaks for a second look."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import or_, select, text

from crm.core.command import among
from crm.core.entity import db
from crm.core.fields import Field
from crm.models.credit_accounts import CreditAccount
from crm.models.credit_choices import RequestStatus
from crm.models.credit_requests import CreditRequest
from crm.models.parties import Party
from crm.models.party_choices import HIERARCHIES, BlockState, Lifecycle
from crm.models.party_relations import Relation

UNION = 0  # instead of a record's number: what any of them has
# No two parties have the same: what the other had goes to the one that is merged, under which it is still found.
UNIQUE = ("account_number",)
# What is kept beside a field and goes with it.
_TOGETHER = {
    "photo_at": ("photo",), "block_state": ("block_reason", "blocked_at", "blocked_until"), "price_from": ("price_to",),
    "annual_revenue": ("annual_revenue_currency",), "stage": ("sub_stage",),
}  # fmt: skip
_ALSO = ("lifecycle", "block_state", "customer_since", "photo_at")  # besides what a form sets
# How to reach and serve them changes: what was said last counts. Who they are doesn't: the record that is kept knows it.
_NEWEST = (
    "email",
    "phone",
    "website",
    "income_level",
    "life_stage",
    "communication_",
    "preferred_",
    "service_channel",
    "stage",
)
_LIFE = (Lifecycle.ACTIVE, Lifecycle.PROSPECT, Lifecycle.INACTIVE, Lifecycle.CHURNED)
_AGES = text("""
SELECT DISTINCT ON (e.record_id, c.name) e.record_id, c.name, e.created_at, e.via
  FROM audit_entry e CROSS JOIN LATERAL jsonb_object_keys(e.changes) c(name)
 WHERE e.entity = 'party' AND e.record_id = ANY (:ids) AND e.action = 'update' ORDER BY e.record_id, c.name, e.id DESC""")


@cache
def chosen_fields() -> dict[str, Field]:
    """The fields of which one record's value is kept, by name; each stands for what is kept beside it."""
    face = next(face for face in Party.faces if face.name == "customer")
    beside = {name for names in _TOGETHER.values() for name in names}
    own = [one.name for one in face.form_fields if one.name in Party.fields()]
    names = [name for name in (*own, *_ALSO) if name not in beside and not Party.fields()[name].of]
    return {name: Party.fields()[name] for name in dict.fromkeys(names)}


def columns_of(name: str) -> list[str]:
    """The attributes that hold a field and what is kept beside it."""
    field = Party.fields()[name]
    found = [field.attribute, *_TOGETHER.get(name, ())]
    found += [f"{field.attribute}_given"] if field.keeps_given else []
    for other in Party.fields().values():
        found += [other.attribute, f"{other.attribute}_at"] if other.of == name else []
    return found


def is_union(name: str) -> bool:
    """Whether several values stand side by side."""
    return chosen_fields()[name].family == "list"


@dataclass(frozen=True)
class Age:
    """Since when a value is there, and by way of what it came."""

    at: dt.datetime
    via: str


def ages(parties: Sequence[Party]) -> dict[tuple[int, str], Age]:
    """(record, column) → the last change; what was never changed is as old as its record."""
    rows = db.session.execute(_AGES, {"ids": [party.id for party in parties]})
    return {(row.record_id, row.name): Age(row.created_at, row.via) for row in rows}


def _blank(value: Any) -> bool:
    return value in (None, "", [], BlockState.NONE)


def proposals(parties: Sequence[Party], known: dict[tuple[int, str], Age] | None = None) -> dict[str, int]:
    """Field → the number of the record whose value is kept, the first of `parties` being the one that stays; or UNION."""
    known = ages(parties) if known is None else known
    return {name: _proposal(name, field, parties, known) for name, field in chosen_fields().items()}


def _proposal(name: str, field: Field, parties: Sequence[Party], known: dict[tuple[int, str], Age]) -> int:
    if is_union(name):
        return UNION
    given = [party for party in parties if not _blank(getattr(party, field.attribute))]
    if not given:
        return parties[0].id

    def value(party: Party) -> Any:
        return getattr(party, field.attribute)

    def set_at(party: Party) -> dt.datetime:
        age = known.get((party.id, field.attribute))
        return age.at if age else party.created_at

    match name:
        case "block_state":
            return max(given, key=lambda party: list(BlockState).index(value(party))).id
        case "lifecycle":
            return min(given, key=lambda party: _LIFE.index(value(party))).id
        case "customer_since":
            return min(given, key=value).id
        case "description":
            return max(given, key=lambda party: len(value(party))).id
    if name.startswith(_NEWEST):
        return max(given, key=set_at).id
    return given[0].id


def oldest_first(parties: Sequence[Party]) -> list[Party]:
    """In the order in which they are kept by default; who is in the archive comes last."""
    return sorted(parties, key=lambda party: (party.archived_at is not None, party.created_at, party.id))


def needs_second(kept: Party, merged: Party) -> list[str]:
    """Why another person should look before these two become one."""
    found = []
    if kept.kind is not merged.kind:
        found.append(f"one is of kind {kept.kind.label.lower()}, the other {merged.kind.label.lower()}")
    if kept.tax_id_key and merged.tax_id_key and kept.tax_id_key != merged.tax_id_key:
        found.append("their tax IDs differ")
    pair = [kept.id, merged.id]
    related = select(Relation.kind).where(
        Relation.from_party_id.in_(pair), Relation.to_party_id.in_(pair), Relation.kind.in_(HIERARCHIES)
    )
    if kind := db.session.scalars(related.limit(1)).first():
        found.append(f"one stands above the other ({kind.label.lower()})")
    asked = select(CreditRequest.id).join(CreditAccount, CreditAccount.id == CreditRequest.account_id).where(
        CreditAccount.party_id.in_(pair), CreditRequest.status == RequestStatus.PENDING)  # fmt: skip
    if db.session.scalar(select(asked.exists())):
        found.append("a credit request waits for a decision")
    return found


def accounts_told(kept: Party, merged: Party) -> list[str]:
    """What becomes of points, balance and limit, in words."""
    told = []
    rows = db.session.execute(text("""
      SELECT p.name, f.points, f.cashback, p.currency, k.id IS NOT NULL AS both_have FROM loyalty_account l
        JOIN loyalty_program p ON p.id = l.program_id JOIN loyalty_account_figures f ON f.id = l.id
        LEFT JOIN loyalty_account k ON k.program_id = l.program_id AND k.party_id = :kept AND k.state <> 'ended'
       WHERE l.party_id = :merged AND l.state <> 'ended' ORDER BY l.id"""), {"kept": kept.id, "merged": merged.id})  # fmt: skip
    for row in rows:
        what = f"{row.points:,} points" + (
            f" and {row.cashback:,.2f} {row.currency} of cashback" if row.cashback else ""
        )
        told.append(f"{row.name}: {what} of {merged.code} go to the membership that stays, with their days of expiry" if row.both_have
                    else f"{row.name}: the membership of {merged.code} moves with {what}")  # fmt: skip
    ours, theirs = (db.session.execute(text(
        "SELECT a.code, f.credit_limit, f.outstanding FROM credit_account a JOIN credit_account_figures f ON f.id = a.id "
        "WHERE a.party_id = :id AND a.state = 'open'"), {"id": party.id}).one_or_none() for party in (kept, merged))  # fmt: skip
    if theirs is not None and ours is not None:
        told.append(f"The credit limit stays {ours.credit_limit:,.2f}; that of {theirs.code}, {theirs.credit_limit:,.2f}, isn't added. "
                    f"{theirs.code} is closed; {theirs.outstanding:,.2f} stay owed on it")  # fmt: skip
    elif theirs is not None:
        told.append(
            f"Credit account {theirs.code} moves with its limit of {theirs.credit_limit:,.2f} and {theirs.outstanding:,.2f} owed"
        )
    return told


def parties_numbered(ids: Sequence[int]) -> list[Party]:
    """These parties, in this order."""
    found = {party.id: party for party in db.session.scalars(select(Party).where(or_(among(Party.id, ids))))}
    return [found[number] for number in ids if number in found]
