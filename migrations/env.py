"""Alembic's entry: runs the revisions on the connection that `migrations.database` hands over."""

from alembic import context

import crm.models  # noqa: F401 - declares every table
from crm.core.entity import Base
from migrations.env_rules import wanted, without_xmin

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, include_object=wanted,
    compare_type=True, transaction_per_migration=True, process_revision_directives=without_xmin,
)  # fmt: skip
with context.begin_transaction():
    context.run_migrations()
