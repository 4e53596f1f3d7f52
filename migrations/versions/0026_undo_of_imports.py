"""undo of imports"""

import sqlalchemy as sa
from alembic import op

revision = '0026'
down_revision = '0025'
branch_labels = None
depends_on = None

STATES = "'waiting', 'running', 'done', 'failed', 'cancelled'"
OPEN = "'waiting', 'running'"


def _states(states: str, open_states: str) -> None:
    op.execute('ALTER TABLE job DROP CONSTRAINT ck_job_state_choice')
    op.execute(f'ALTER TABLE job ADD CONSTRAINT ck_job_state_choice CHECK (state IN ({states}))')
    op.execute('DROP INDEX uq_job_open_unique_key')
    op.execute(f'CREATE UNIQUE INDEX uq_job_open_unique_key ON job (unique_key) WHERE state IN ({open_states})')


def upgrade() -> None:
    op.create_table('import_kept',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('import_id', sa.BigInteger(), nullable=False),
    sa.Column('entity', sa.String(length=64), nullable=False),
    sa.Column('record_id', sa.BigInteger(), nullable=False),
    sa.Column('field', sa.String(length=64), server_default='', nullable=False),
    sa.Column('reason', sa.Enum('changed', 'used', 'deleted', 'erased', 'ledger', 'reach', 'rule', name='kept', native_enum=False, length=32), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("reason IN ('changed', 'used', 'deleted', 'erased', 'ledger', 'reach', 'rule')", name=op.f('ck_import_kept_reason_choice')),
    sa.ForeignKeyConstraint(['import_id'], ['import.id'], name=op.f('fk_import_kept_import_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_import_kept')),
    sa.UniqueConstraint('import_id', 'entity', 'record_id', 'field', name=op.f('uq_import_kept_import_id_entity_record_id_field'))
    )
    op.create_index('ix_audit_entry_import', 'audit_entry', ['request_id', 'action', 'entity', 'record_id', 'id'], unique=False, postgresql_where=sa.text("starts_with(request_id, 'import-')"))
    op.add_column('import', sa.Column('undo_job_id', sa.BigInteger(), nullable=True))
    op.add_column('import', sa.Column('undone_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_import_undo_job_id', 'import', ['undo_job_id'], unique=False, postgresql_where=sa.text('undo_job_id IS NOT NULL'))
    op.create_foreign_key(op.f('fk_import_undo_job_id'), 'import', 'job', ['undo_job_id'], ['id'], ondelete='RESTRICT')
    op.add_column('job', sa.Column('pause_asked', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('job', sa.Column('pace_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('job', sa.Column('pace_done', sa.Integer(), server_default='0', nullable=False))
    _states(f"{STATES}, 'paused'", f"{OPEN}, 'paused'")


def downgrade() -> None:
    op.execute("UPDATE job SET state = 'cancelled' WHERE state = 'paused'")
    _states(STATES, OPEN)
    op.drop_column('job', 'pace_done')
    op.drop_column('job', 'pace_at')
    op.drop_column('job', 'pause_asked')
    op.drop_constraint(op.f('fk_import_undo_job_id'), 'import', type_='foreignkey')
    op.drop_index('ix_import_undo_job_id', table_name='import', postgresql_where=sa.text('undo_job_id IS NOT NULL'))
    op.drop_column('import', 'undone_at')
    op.drop_column('import', 'undo_job_id')
    op.drop_index('ix_audit_entry_import', table_name='audit_entry', postgresql_where=sa.text("starts_with(request_id, 'import-')"))
    op.drop_table('import_kept')
