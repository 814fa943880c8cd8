"""Backfills: what was ordered at once, and the jobs that bring it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "backfills",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("instruments", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("interval", sa.Text(), server_default="", nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("ordered_by", sa.Text(), nullable=False),
        sa.Column("jobs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("requests", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("weight", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("days", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("mode IN ('missing', 'suspect', 'all')", name="backfills_mode"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "backfill_jobs",
        sa.Column("backfill_id", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("is_made", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["backfill_id"], ["backfills.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("backfill_id", "job_id"),
    )
    op.create_index("backfill_jobs_job", "backfill_jobs", ["job_id"])


def downgrade() -> None:
    op.drop_table("backfill_jobs")
    op.drop_table("backfills")
