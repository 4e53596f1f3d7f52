"""What Alembic compares, for writing revisions and for checking alike."""

from typing import Any

from alembic.operations.ops import CreateTableOp


def wanted(_thing: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
    """Everything but xmin, which is PostgreSQL's own."""
    return not (kind == "column" and name == "xmin")


def without_xmin(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """New tables are written without xmin."""
    for script in directives:
        for operation in script.upgrade_ops.ops:
            if isinstance(operation, CreateTableOp):
                operation.columns = [item for item in operation.columns if getattr(item, "name", None) != "xmin"]
