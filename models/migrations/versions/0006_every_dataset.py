"""News, observations, posts and actions; quotes without a book; adjusted bars."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_NAMES = postgresql.ARRAY(sa.Text())
_COUNTS = ("likes", "reposts", "replies", "quotes", "bookmarks", "impressions")

#: Each bar's prices are multiplied by the factors of all that came after it: a split's `split_from / split_to`, and
#: `1 - amount / close of the bar before the ex-date` for a dividend (the method of CRSP). What the provider has worked
#: into its prices already (`series.adjustment`) is left out, and so is what lies ahead of its newest bar. Factors have
#: 18 places, so that products stay short.
_PRODUCT = """
CREATE FUNCTION times_18(numeric, numeric) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS 'SELECT round($1 * $2, 18)';
CREATE AGGREGATE product_18(numeric) (sfunc = times_18, stype = numeric, initcond = '1', parallel = safe);
"""
_ADJUSTED_BARS = """
CREATE VIEW adjusted_bars AS
WITH events AS (
    SELECT bar_series.id AS series_id, actions.ts,
        product_18(CASE WHEN actions.kind = 'split' AND coalesce(bar_series.adjustment, 'none') = 'none'
            THEN actions.split_from / actions.split_to ELSE 1 END) AS split,
        product_18(CASE WHEN actions.kind = 'dividend' AND coalesce(bar_series.adjustment, 'none') <> 'all'
            AND before.close > actions.amount THEN 1 - actions.amount / before.close ELSE 1 END) AS dividend
    FROM series AS bar_series
    JOIN series AS action_series ON action_series.provider = bar_series.provider
        AND action_series.instrument = bar_series.instrument AND action_series.dataset = 'actions'
    JOIN actions ON actions.series_id = action_series.id
    LEFT JOIN LATERAL (
        SELECT bars.close FROM bars WHERE bars.series_id = bar_series.id AND bars.ts < actions.ts
        ORDER BY bars.ts DESC LIMIT 1
    ) AS before ON true
    WHERE bar_series.dataset = 'bars' AND bar_series.interval = '1d'
        AND EXISTS (SELECT FROM bars WHERE bars.series_id = bar_series.id AND bars.ts >= actions.ts)
    GROUP BY bar_series.id, actions.ts
), stretches AS (
    SELECT series_id, ts AS until, lag(ts) OVER (PARTITION BY series_id ORDER BY ts) AS since,
        product_18(split) OVER later AS split, product_18(dividend) OVER later AS dividend
    FROM events WINDOW later AS (PARTITION BY series_id ORDER BY ts DESC)
)
SELECT series.provider, series.instrument, bars.series_id, bars.ts,
    bars.open * factor.price AS open, bars.high * factor.price AS high, bars.low * factor.price AS low,
    bars.close * factor.price AS close, bars.volume / factor.split AS volume, factor.price AS factor, bars.is_final
FROM bars
JOIN series ON series.id = bars.series_id AND series.dataset = 'bars' AND series.interval = '1d'
LEFT JOIN stretches ON stretches.series_id = bars.series_id
    AND bars.ts < stretches.until AND bars.ts >= coalesce(stretches.since, '-infinity')
CROSS JOIN LATERAL (
    SELECT round(coalesce(stretches.split * stretches.dividend, 1), 18) AS price, coalesce(stretches.split, 1) AS split
) AS factor
"""


def upgrade() -> None:
    _news()
    _observations()
    _posts()
    _actions()
    op.add_column("series", sa.Column("until", _MOMENT))
    op.add_column("series", sa.Column("renamed_to", sa.Text()))
    op.add_column("series", sa.Column("adjustment", sa.Text()))
    for side in ("bid", "ask"):
        op.alter_column("quotes", side, nullable=True)
    op.create_check_constraint("quotes_price", "quotes", "num_nonnulls(bid, ask, last) > 0")
    op.execute(_PRODUCT)
    op.execute(_ADJUSTED_BARS)


def downgrade() -> None:
    op.execute("DROP VIEW adjusted_bars")
    op.execute("DROP AGGREGATE product_18(numeric)")
    op.execute("DROP FUNCTION times_18(numeric, numeric)")
    op.drop_constraint("quotes_price", "quotes")
    op.execute("DELETE FROM quotes WHERE bid IS NULL OR ask IS NULL")
    for side in ("bid", "ask"):
        op.alter_column("quotes", side, nullable=False)
    for column in ("adjustment", "renamed_to", "until"):
        op.drop_column("series", column)
    for table in ("actions", "posts", "observations", "news"):
        op.drop_table(table)


def _news() -> None:
    op.create_table(
        "news",
        _series_id(),
        sa.Column("article_id", sa.Text(), primary_key=True),
        sa.Column("ts", _MOMENT, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("title", "url")),
        *(sa.Column(name, sa.Text()) for name in ("source", "author", "summary", "language")),
        sa.Column("instruments", _NAMES, nullable=False),
        sa.Column("sentiment", sa.Numeric()),
        sa.Column("sentiment_label", sa.Text()),
        sa.Column("sentiments", postgresql.JSONB()),
        *_origin(),
        _finite("news", "sentiment"),
    )
    op.create_index("news_ts", "news", ["series_id", "ts"])
    op.create_index("news_instruments", "news", ["instruments"], postgresql_using="gin")


def _observations() -> None:
    op.create_table(
        "observations",
        _series_id(),
        sa.Column("ts", _MOMENT, primary_key=True),
        sa.Column("vintage", sa.Date(), primary_key=True),
        sa.Column("vintage_given", sa.Boolean(), nullable=False),
        sa.Column("value", sa.Numeric()),
        *_origin(),
        _finite("observations", "value"),
    )


def _posts() -> None:
    op.create_table(
        "posts",
        _series_id(),
        sa.Column("post_id", sa.Text(), primary_key=True),
        sa.Column("ts", _MOMENT, nullable=False),
        *(sa.Column(name, sa.Text()) for name in ("author_id", "author")),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("language", sa.Text()),
        sa.Column("instruments", _NAMES, nullable=False),
        *(sa.Column(name, sa.BigInteger()) for name in _COUNTS),
        *_origin(),
    )
    op.create_index("posts_ts", "posts", ["series_id", "ts"])
    op.create_index("posts_instruments", "posts", ["instruments"], postgresql_using="gin")


def _actions() -> None:
    numbers = ("amount", "split_from", "split_to")
    op.create_table(
        "actions",
        _series_id(),
        sa.Column("ts", _MOMENT, primary_key=True),
        *(sa.Column(name, sa.Text(), primary_key=True) for name in ("kind", "action_id")),
        sa.Column("amount", sa.Numeric()),
        sa.Column("currency", sa.Text()),
        *(sa.Column(name, sa.Numeric()) for name in ("split_from", "split_to")),
        *(sa.Column(name, sa.Date()) for name in ("declared_on", "recorded_on", "paid_on")),
        *_origin(),
        *(_finite("actions", name) for name in numbers),
        sa.CheckConstraint(
            "(kind = 'split' AND split_from > 0 AND split_to > 0) IS TRUE"
            " OR (kind = 'dividend' AND amount IS NOT NULL)",
            name="actions_whole",
        ),
    )


def _series_id() -> sa.Column[int]:
    return sa.Column("series_id", sa.Integer(), primary_key=True, autoincrement=False)


def _origin() -> tuple[sa.Column[object], ...]:
    """Return the columns that say how a row came here."""
    return (
        sa.Column("observed_at", _MOMENT, nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
    )


def _finite(table: str, column: str) -> sa.CheckConstraint:
    rule = f"{column} > '-Infinity' AND {column} < 'Infinity'"
    return sa.CheckConstraint(rule, name=f"{table}_{column}_finite")
