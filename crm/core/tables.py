"""What every table is made of: the metadata with its names, the session, and PostgreSQL's own version of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData, Text, cast
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import UserDefinedType


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention={
        "ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s", "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    })  # fmt: skip


db = SQLAlchemy(model_class=Base, session_options={"autoflush": True})

if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


class Xid(UserDefinedType[str]):
    """PostgreSQL's transaction id: the version of a row, moved by every update whoever made it."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid"

    def bind_expression(self, bindvalue: Any) -> Any:
        return cast(cast(bindvalue, Text), Xid())

    def column_expression(self, column: Any) -> Any:
        return cast(column, Text)
