"""What is entered once and stays: rows that nobody changes, and entries that take from lots, oldest first.

An entity that declares `only_changes` gets a trigger against anything else, and the app's login gets no more rights than
that. A `Ledger` makes three triggers more: one opens a lot, one allocates what an entry takes, the last refuses an
allocation that the lot or the entry doesn't have and keeps what is left of the lot. They hold the account, so two at once
never take the same. What is left stands in a table of open lots only: to take costs no more where much was taken before.
"""

# ruff: noqa: S608 - all SQL is made of declarations
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index, Numeric
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from crm.core.entity import Entity, entities
from crm.core.figures import Figures, Only
from crm.core.triggers import Trigger


@dataclass(frozen=True)
class Ledger:
    """Tables, and the names of their columns. Entries and lots have `account_id`, entries `reverses_id`; all three tables
    keep the quantity in `amount`, where `sign` is that of an entry which takes.

    `left` is the table of what is left of open lots; `opens` (over `l`) says what is a lot. `may` (over `l` and NEW) says
    which of them an entry may take from, `order` which first, after the one that the entry's `prefers` names. What can't be taken is refused with `too_much`; without one it waits for a lot. An entry that reverses one which
    took gives back to the same lots.
    """

    accounts: str
    entries: str
    lots: str
    allocations: str
    amount: str
    entry: str
    lot: str
    left: str
    may: str
    order: str
    prefers: str
    opens: str = "true"
    sign: int = 1
    too_much: str = ""
    same: str = "account_id"  # what an entry and the lot it takes from have in common besides the account

    def triggers(self) -> tuple[Trigger, ...]:
        return (
            Trigger(
                f"{self.lots}_opens",
                "AFTER INSERT",
                each="ROW",
                on=self.lots,
                body=f"""
BEGIN
  INSERT INTO {self.left} (id, account_id, remaining)
  SELECT l.id, l.account_id, l.{self.amount} FROM (SELECT NEW.*) l WHERE {self.opens} AND l.{self.amount} > 0;
  RETURN NULL;
END""",
            ),
            Trigger(f"{self.entries}_takes", "AFTER INSERT", each="ROW", on=self.entries, body=self._takes()),
            Trigger(f"{self.allocations}_fits", "AFTER INSERT", each="ROW", on=self.allocations, body=self._fits()),
        )

    def _takes(self) -> str:
        refused = f"""
  IF rest > 0 THEN
    RAISE EXCEPTION '{self.too_much}' USING ERRCODE = 'check_violation', COLUMN = '{self.amount}', TABLE = '{self.entries}';
  END IF;"""
        return f"""
DECLARE
  rest numeric := {self.sign} * NEW.{self.amount};
  one record;
BEGIN
  IF rest <= 0 AND NEW.reverses_id IS NULL THEN
    RETURN NULL;
  END IF;
  -- Not FOR UPDATE: whoever else enters something has a share of the account's key already.
  PERFORM FROM {self.accounts} a WHERE a.id = NEW.account_id FOR NO KEY UPDATE;
  IF rest <= 0 THEN
    INSERT INTO {self.allocations} ({self.entry}, {self.lot}, {self.amount})
    SELECT NEW.id, b.{self.lot}, -sum(b.{self.amount}) FROM {self.allocations} b WHERE b.{self.entry} = NEW.reverses_id
     GROUP BY b.{self.lot} HAVING sum(b.{self.amount}) <> 0;
    RETURN NULL;
  END IF;
  rest := rest - coalesce((SELECT sum(b.{self.amount}) FROM {self.allocations} b WHERE b.{self.entry} = NEW.id), 0);
  FOR one IN
    SELECT o.id, o.remaining FROM {self.left} o JOIN {self.lots} l ON l.id = o.id
     WHERE o.account_id = NEW.account_id AND {self.may}
     ORDER BY l.id IS NOT DISTINCT FROM NEW.{self.prefers} DESC, {self.order}
  LOOP
    EXIT WHEN rest <= 0;
    INSERT INTO {self.allocations} ({self.entry}, {self.lot}, {self.amount}) VALUES (NEW.id, one.id, least(rest, one.remaining));
    rest := rest - least(rest, one.remaining);
  END LOOP;{refused if self.too_much else ""}
  RETURN NULL;
END"""

    def _fits(self) -> str:
        wrong = f"USING ERRCODE = 'check_violation', COLUMN = '{self.amount}', TABLE = '{self.allocations}'"
        return f"""
DECLARE
  taker {self.entries}%ROWTYPE;
  taken_from {self.lots}%ROWTYPE;
  takes numeric;
  of_entry numeric;
BEGIN
  SELECT * INTO taker FROM {self.entries} WHERE id = NEW.{self.entry};
  SELECT * INTO taken_from FROM {self.lots} WHERE id = NEW.{self.lot};
  PERFORM FROM {self.accounts} a WHERE a.id = taker.account_id FOR NO KEY UPDATE;
  takes := {self.sign} * taker.{self.amount};
  SELECT coalesce(sum(b.{self.amount}), 0) INTO of_entry FROM {self.allocations} b WHERE b.{self.entry} = taker.id;
  IF taker.account_id <> taken_from.account_id THEN
    RAISE EXCEPTION 'is of another account' {wrong};
  ELSIF taker.{self.same} <> taken_from.{self.same} THEN
    RAISE EXCEPTION 'is of another {self.same}' {wrong};
  ELSIF sign(NEW.{self.amount}) <> sign(takes) OR abs(of_entry) > abs(takes) THEN
    RAISE EXCEPTION 'is more than is left of the entry' {wrong};
  ELSIF takes > 0 AND EXISTS (SELECT FROM {self.entries} r WHERE r.reverses_id = taker.id) THEN
    RAISE EXCEPTION 'was taken back' {wrong};
  ELSIF NEW.{self.amount} > 0 THEN
    DELETE FROM {self.left} WHERE id = NEW.{self.lot} AND remaining = NEW.{self.amount};
    IF NOT FOUND THEN
      UPDATE {self.left} SET remaining = remaining - NEW.{self.amount} WHERE id = NEW.{self.lot} AND remaining > NEW.{self.amount};
    END IF;
  ELSE
    INSERT INTO {self.left} AS o (id, account_id, remaining) VALUES (taken_from.id, taken_from.account_id, -NEW.{self.amount})
      ON CONFLICT (id) DO UPDATE SET remaining = o.remaining + excluded.remaining
      WHERE o.remaining + excluded.remaining <= taken_from.{self.amount};
  END IF;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'is more than is left of it' {wrong};
  END IF;
  RETURN NULL;
END"""


class OpenLots(Figures):
    """What is left of each lot of a ledger of which anything is left. The ledger's triggers keep it at once, not at commit."""

    __abstract__ = True
    at_once = True
    ledger: ClassVar[Ledger]

    account_id: Mapped[int] = mapped_column(BigInteger)
    remaining: Mapped[Decimal] = mapped_column(Numeric(19, 4))

    @declared_attr.directive
    def __table_args__(cls) -> tuple[CheckConstraint | Index, ...]:
        table = cls.ledger.left
        return CheckConstraint("remaining > 0", name="remaining"), Index(f"ix_{table}_account_id", "account_id")

    @classmethod
    def triggers(cls) -> Iterator[tuple[str, str, str]]:
        return iter(())

    @classmethod
    def from_scratch(cls, only: Only) -> str:
        of = cls.ledger
        return f"""
SELECT l.id, l.account_id, l.{of.amount} - coalesce(b.taken, 0) AS remaining FROM {of.lots} l
LEFT JOIN (SELECT i.{of.lot} AS id, sum(i.{of.amount}) AS taken FROM {of.allocations} i WHERE {only(f"i.{of.lot}")} GROUP BY 1) b
  ON b.id = l.id
WHERE {of.opens} AND l.{of.amount} > coalesce(b.taken, 0) AND {only("l.id")}"""


def kept_entities() -> list[type[Entity]]:
    """Those whose rows stay as they were entered."""
    return [entity for entity in entities() if entity.only_changes is not None]


def _stays(entity: type[Entity]) -> Trigger:
    """What a person said may be emptied when that person is erased, and by nobody else; see the grants."""
    assert entity.only_changes is not None
    wrong = []
    for column in entity.__table__.columns:
        if column.system or column.computed is not None or column.name in {*entity.only_changes, "updated_at"}:
            continue
        declared = column.info.get("field")
        emptied = f"NEW.{column.name} IS NOT NULL AND " if declared and declared.is_personal and column.nullable else ""
        wrong.append(f"{emptied}NEW.{column.name} IS DISTINCT FROM OLD.{column.name}")
    return Trigger(f"{entity.__tablename__}_stays", "BEFORE UPDATE OR DELETE", each="ROW", body=f"""
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'what was entered is never deleted' USING ERRCODE = 'restrict_violation';
  ELSIF {" OR ".join(wrong)} THEN
    RAISE EXCEPTION 'what was entered is never changed' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END""")  # fmt: skip


def install_statements() -> list[str]:
    """Every function and trigger, in an order that can be run again and again."""
    return [line for entity in kept_entities() for line in _stays(entity).statements(entity.__tablename__)]


def installed_names() -> set[tuple[str, str]]:
    """(table, trigger) of everything `install_statements` makes."""
    return {(entity.__tablename__, _stays(entity).name) for entity in kept_entities()}
