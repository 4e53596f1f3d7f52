"""What duplicates are searched by: the keys of each party, which parties have changed since, and what was learned."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ARRAY, BigInteger, DateTime, Identity, Index, Integer, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm.core.tables import Model
from crm.core.triggers import Trigger

# Puts keys that were just written where they are found fast.
SETTLER = "settle_duplicate_keys()"


class DuplicateKeys(Model):
    """The keys of a party (`crm.duplicates.keys`), as numbers of 32 bits; its id is the party's. Without a foreign key,
    as it follows its party by itself: an archived one has none, and a merge has nothing to move."""

    __tablename__ = "duplicate_keys"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    keys: Mapped[list[int]] = mapped_column(ARRAY(Integer))

    __table_args__ = (Index("ix_duplicate_keys_keys", "keys", postgresql_using="gin"),)


class DuplicateNote(Model):
    """That a party is new, changed or gone, and must be looked at. Many notes may name one party: writing one down
    never waits for anybody."""

    __tablename__ = "duplicate_note"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    party_id: Mapped[int] = mapped_column(BigInteger)


class DuplicateWeights(Model):
    """What the last search of all parties has learned; one row."""

    __tablename__ = "duplicate_weights"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    weights: Mapped[dict[str, Any]] = mapped_column(JSONB)
    learned_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


_OF_PARTY = ("kind", "name", "first_name", "last_name", "date_of_birth", "email", "email2", "phone", "phone2", "tax_id",
             "archived_at")  # fmt: skip
_OF_ADDRESS = ("party_id", "is_default", "address", "street", "house", "city", "postal_code", "country")


def _changed(names: tuple[str, ...]) -> str:
    return " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in names)


def _of_rows(name: str, when: str, table: str, which: str) -> Trigger:
    return Trigger(f"note_duplicates_{name}", when, on=table,
                   body=f"BEGIN INSERT INTO duplicate_note (party_id) SELECT {which}; RETURN NULL; END")  # fmt: skip


def _of_row(name: str, table: str, values: str, only: tuple[str, ...]) -> Trigger:
    return Trigger(f"note_duplicates_{name}", "AFTER UPDATE", on=table, each="ROW", only=_changed(only),
                   body=f"BEGIN INSERT INTO duplicate_note (party_id) VALUES {values}; RETURN NULL; END")  # noqa: S608 - of declared names  # fmt: skip


# A save only writes down that there is something to look at, and only where what is compared has changed.
NOTES = (
    _of_rows("new_party", "AFTER INSERT", "party", "id FROM new_rows"),
    _of_rows("gone_party", "AFTER DELETE", "party", "id FROM old_rows"),
    _of_row("party", "party", "(NEW.id)", _OF_PARTY),
    _of_rows("new_address", "AFTER INSERT", "address", "party_id FROM new_rows WHERE is_default"),
    _of_rows("gone_address", "AFTER DELETE", "address", "party_id FROM old_rows WHERE is_default"),
    _of_row("address", "address", "(OLD.party_id), (NEW.party_id)", _OF_ADDRESS),
)
