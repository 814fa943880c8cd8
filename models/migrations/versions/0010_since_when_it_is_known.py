"""A bar says since when it is known to say what it says, and a revision since when its old row was.

Where rows were corrected before, that is in their revisions already: an old row was first seen when the one before it
was superseded. Of all other rows only the last observation is known, so they count from there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels = None
depends_on = None

_OLD_ROWS = """
    UPDATE revisions SET known_since = chain.since
    FROM (
        SELECT revisions.id, lag(superseded_at) OVER (PARTITION BY series_id, ts ORDER BY revisions.id) AS since
        FROM revisions JOIN series ON series.id = series_id AND dataset = 'bars'
    ) AS chain
    WHERE revisions.id = chain.id AND chain.since < revisions.known_since
"""
_PRESENT_ROWS = """
    UPDATE bars SET known_since = newest.since
    FROM (SELECT series_id, ts, max(superseded_at) AS since FROM revisions GROUP BY 1, 2) AS newest
    WHERE bars.series_id = newest.series_id AND bars.ts = newest.ts AND newest.since < bars.observed_at
"""


def upgrade() -> None:
    op.add_column("bars", sa.Column("known_since", sa.DateTime(timezone=True)))
    op.alter_column("revisions", "observed_at", new_column_name="known_since")
    op.execute(_OLD_ROWS)
    op.execute(_PRESENT_ROWS)


def downgrade() -> None:
    op.alter_column("revisions", "known_since", new_column_name="observed_at")
    op.drop_column("bars", "known_since")
