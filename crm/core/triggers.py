"""Rules that the database keeps by itself, whoever writes: declared on an entity, installed after every upgrade."""

from __future__ import annotations

from dataclasses import dataclass

from crm.core.entity import entities


@dataclass(frozen=True)
class Trigger:
    """`name` is also its function's; `when` is what PostgreSQL calls it (`AFTER INSERT OR UPDATE`), `body` plpgsql.

    A statement's trigger reads `old_rows` and `new_rows`, a row's OLD and NEW.
    """

    name: str
    when: str
    body: str
    each: str = "STATEMENT"

    def statements(self, table: str) -> list[str]:
        rows = "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows " if self.each == "STATEMENT" else ""
        function = (f"CREATE OR REPLACE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                    f"SET search_path = pg_catalog, public, pg_temp AS $body${self.body}$body$")  # fmt: skip
        trigger = (f'CREATE OR REPLACE TRIGGER {self.name} {self.when} ON "{table}" {rows}'
                   f"FOR EACH {self.each} EXECUTE FUNCTION {self.name}()")  # fmt: skip
        return [function, trigger, f"REVOKE ALL ON FUNCTION {self.name}() FROM PUBLIC"]


def install_statements() -> list[str]:
    """Every function and trigger, in an order that can be run again and again."""
    return [line for entity in entities() for made in entity.triggers for line in made.statements(entity.__tablename__)]


def installed_names() -> set[tuple[str, str]]:
    """(table, trigger) of everything `install_statements` makes."""
    return {(entity.__tablename__, made.name) for entity in entities() for made in entity.triggers}
