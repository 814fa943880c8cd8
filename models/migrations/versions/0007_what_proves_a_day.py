"""The ledger says what is expected of a day, what was answered of it and how that is proven."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels = None
depends_on = None

_STATES = ("planned", "fetched", "verified", "empty_confirmed", "suspect", "unavailable", "retired")
_SETTLED = ("verified", "empty_confirmed", "unavailable", "retired")
_MOMENT = sa.DateTime(timezone=True)
_COLUMNS = (
    sa.Column("expected", sa.Integer()),
    sa.Column("confirmed", sa.Integer(), server_default="0", nullable=False),
    sa.Column("hash", sa.BigInteger(), server_default="0", nullable=False),
    sa.Column("once", postgresql.TSTZMULTIRANGE(), server_default="{}", nullable=False),
    sa.Column("twice", postgresql.TSTZMULTIRANGE(), server_default="{}", nullable=False),
    sa.Column("payload_key", sa.Text()),
    sa.Column("answered_at", _MOMENT),
    sa.Column("note", sa.Text()),
    sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
    sa.Column("next_at", _MOMENT),
    sa.Column("scrubbed_at", _MOMENT),
)
#: What a row's hash is made of, in this order.
_HASHED = {
    "bars": "ts, open, high, low, close, volume, adjusted_close, quote_volume, trade_count",
    "trades": "ts, trade_id, price, size, side",
    "quotes": "ts, bid, bid_size, ask, ask_size, last",
    "books": "ts, bid_prices, bid_sizes, ask_prices, ask_sizes, sequence",
    "news": "ts, article_id, title, url, source, author, summary, language, instruments, sentiment, sentiment_label,"
    " sentiments",
    "observations": "ts, vintage, vintage_given, value",
    "posts": "ts, post_id, author_id, author, text, language, instruments, likes, reposts, replies, quotes, bookmarks,"
    " impressions",
    "actions": "ts, kind, action_id, amount, currency, split_from, split_to, declared_on, recorded_on, paid_on",
}


def upgrade() -> None:
    for column in _COLUMNS:
        op.add_column("ledger", column)
    for table, columns in _HASHED.items():
        op.execute(
            f"UPDATE ledger SET hash = kept.hash FROM (SELECT series_id, (ts AT TIME ZONE 'UTC')::date AS day,"
            f" bit_xor(hash_record_extended(ROW({columns}), 0)) AS hash FROM {table} GROUP BY 1, 2) AS kept"
            " WHERE ledger.series_id = kept.series_id AND ledger.day = kept.day"
        )
    op.create_check_constraint("ledger_state", "ledger", f"state IN {_STATES}")
    op.create_index(
        "ledger_unsettled", "ledger", ["series_id", "day"], postgresql_where=sa.text(f"state NOT IN {_SETTLED}")
    )


def downgrade() -> None:
    op.drop_index("ledger_unsettled", table_name="ledger")
    op.drop_constraint("ledger_state", "ledger")
    for column in reversed(_COLUMNS):
        op.drop_column("ledger", column.name)
