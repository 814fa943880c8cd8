"""A day may hold rows from a file, which no provider's answer has proven yet."""

from __future__ import annotations

from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels = None
depends_on = None

_BEFORE = ("planned", "fetched", "verified", "empty_confirmed", "suspect", "unavailable", "retired")
_STATES = ("planned", "imported", "fetched", "verified", "empty_confirmed", "suspect", "unavailable", "retired")


def upgrade() -> None:
    op.drop_constraint("ledger_state", "ledger")
    op.create_check_constraint("ledger_state", "ledger", f"state IN {_STATES}")


def downgrade() -> None:
    op.drop_constraint("ledger_state", "ledger")
    op.execute("UPDATE ledger SET state = 'fetched' WHERE state = 'imported'")
    op.create_check_constraint("ledger_state", "ledger", f"state IN {_BEFORE}")
