"""rows of a file bring records along"""

import sqlalchemy as sa
from alembic import op

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('import_row', sa.Column('step', sa.Text(), server_default='', nullable=False))
    op.drop_constraint('uq_import_row_import_id_line', 'import_row', type_='unique')
    op.create_unique_constraint('uq_import_row_import_id_step_line', 'import_row', ['import_id', 'step', 'line'])
    op.create_index('ix_import_row_brought', 'import_row', ['import_id', 'step', 'match_key'], unique=False, postgresql_where=sa.text("step <> ''"))


def downgrade() -> None:
    # What rows brought along has no place without it; its import begins anew.
    op.execute("DELETE FROM import_row WHERE step <> ''")
    op.drop_index('ix_import_row_brought', table_name='import_row')
    op.drop_constraint('uq_import_row_import_id_step_line', 'import_row', type_='unique')
    op.create_unique_constraint('uq_import_row_import_id_line', 'import_row', ['import_id', 'line'])
    op.drop_column('import_row', 'step')
