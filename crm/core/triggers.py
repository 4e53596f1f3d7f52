"""Rules that the database keeps by itself, whoever writes: declared on an entity, installed after every upgrade."""

from __future__ import annotations

from dataclasses import dataclass

from crm.core.entity import Entity, entities
from crm.core.searching import made_of

# What every function of the owner's is pinned to.
SETTINGS = "SET search_path = pg_catalog, public, pg_temp"
# PostgreSQL keeps the plan of a function as it was made for its first statement. After a change of one row it would join
# old and new rows each with each, and a change of many on the same connection took the square of their number: so it
# never joins that way. What can't be joined otherwise looks dear then, and must not be compiled for that.
NEVER_ROW_BY_ROW = f"{SETTINGS} SET enable_nestloop = off SET jit = off"


@dataclass(frozen=True)
class Trigger:
    """`name` is also its function's; `when` is what PostgreSQL calls it (`AFTER INSERT OR UPDATE`), `body` plpgsql.

    A statement's trigger reads `old_rows` and `new_rows`, a row's OLD and NEW. `on` names another table than that of the
    entity which declares it; `only` is the condition under which a row's trigger fires.
    """

    name: str
    when: str
    body: str
    each: str = "STATEMENT"
    on: str = ""
    only: str = ""

    def statements(self, table: str) -> list[str]:
        table = self.on or table
        old = "" if "INSERT" in self.when else "OLD TABLE AS old_rows "
        new = "" if "DELETE" in self.when else "NEW TABLE AS new_rows "
        rows = f"REFERENCING {old}{new}" if self.each == "STATEMENT" else ""
        settings = NEVER_ROW_BY_ROW if self.each == "STATEMENT" else SETTINGS
        function = (f"CREATE OR REPLACE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                    f"{settings} AS $body${self.body}$body$")  # fmt: skip
        trigger = (f'CREATE OR REPLACE TRIGGER {self.name} {self.when} ON "{table}" {rows}'
                   f"FOR EACH {self.each} {f'WHEN ({self.only}) ' if self.only else ''}EXECUTE FUNCTION {self.name}()")  # fmt: skip
        return [function, trigger, f"REVOKE ALL ON FUNCTION {self.name}() FROM PUBLIC"]


def _of(entity: type[Entity]) -> tuple[Trigger, ...]:
    """Those that it declares, and what keeps a text to search that stands apart."""
    if entity.search_apart is None:
        return entity.triggers
    assert entity.about is not None
    apart, made = entity.search_apart.__tablename__, made_of(entity)
    changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in entity.about.search)
    written = f"INSERT INTO {apart} SELECT id, {made} FROM new_rows"  # noqa: S608
    removed = f"DELETE FROM {apart} WHERE id IN (SELECT id FROM old_rows)"  # noqa: S608 - of declared names
    renewed = f"UPDATE {apart} SET search_text = (SELECT {made} FROM (SELECT NEW.*) AS n) WHERE id = NEW.id"  # noqa: S608
    new, gone, different = (f"BEGIN {body}; RETURN NULL; END" for body in (written, removed, renewed))
    return (*entity.triggers, Trigger(f"{apart}_new", "AFTER INSERT", new), Trigger(f"{apart}_gone", "AFTER DELETE", gone),
            Trigger(f"{apart}_changed", "AFTER UPDATE", different, each="ROW", only=changed))  # fmt: skip


def install_statements() -> list[str]:
    """Every function and trigger, in an order that can be run again and again."""
    return [
        line
        for entity in entities()
        for made in _of(entity)
        for line in made.statements(made.on or entity.__tablename__)
    ]


def installed_names() -> set[tuple[str, str]]:
    """(table, trigger) of everything `install_statements` makes."""
    return {(made.on or entity.__tablename__, made.name) for entity in entities() for made in _of(entity)}
