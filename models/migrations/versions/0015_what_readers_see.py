"""A schema for readers: commented views with names in place of numbers, and a role that may read them and nothing else.

Views run with their owner's rights, so the role needs none on the tables. It belongs to the server, not to a database:
it is made once, where whoever migrates may make roles (docs/sql.md has the commands where not), and a downgrade leaves
it to the other databases and to the logins that are in it.
"""

from __future__ import annotations

from typing import NamedTuple

from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels = None
depends_on = None

ROLE = "tickfarm_reader"


class View(NamedTuple):
    """A view: what it is for, its columns (name -> expression, comment), and where its rows come from."""

    name: str
    comment: str
    columns: dict[str, tuple[str, str]]
    source: str


def _named(dataset: str) -> dict[str, tuple[str, str]]:
    return {
        "provider": ("s.provider", "Whose data these are, e.g. binance."),
        "instrument": ("s.instrument", f"What the {dataset} are of, e.g. BTC-USDT or AAPL."),
    }


def _of(alias: str, columns: dict[str, str]) -> dict[str, tuple[str, str]]:
    return {name: (f"{alias}.{name}", comment) for name, comment in columns.items()}


_OBSERVED = {"observed_at": "When the provider was asked for what the row says now."}
_INTERVAL = {"interval": ("s.interval", "The width of a bar, 1m to 1d.")}
_OHLC = {
    "ts": "When the bar opens; of 1d and wider its session date at 00:00 UTC.",
    "open": "The first price, as the provider gave it.",
    "high": "The highest price.",
    "low": "The lowest price.",
    "close": "The last price.",
    "volume": "What was traded, in units of the instrument; NULL where the provider does not say.",
}
_BAR = _OHLC | {
    "adjusted_close": "The close as the provider adjusts it, where it gives one.",
    "quote_volume": "What was traded, in money, where the provider says.",
    "trade_count": "How many trades, where the provider says.",
    "is_final": "Whether the bar had ended, and settled, when it was observed.",
    **_OBSERVED,
}
_QUOTE = {
    "ts": "When it was quoted.",
    "bid": "The best price somebody pays; NULL where nobody does, or where only `last` is sold.",
    "bid_size": "How much they take.",
    "ask": "The best price somebody asks.",
    "ask_size": "How much they give.",
    "last": "The price of the last trade, of a provider that gives it.",
    **_OBSERVED,
}
_TRADE = {
    "ts": "When it was made.",
    "trade_id": "The provider's own number of it.",
    "price": "Its price.",
    "size": "Its size, in units of the instrument.",
    "side": "The taker's side, buy or sell, where the provider says.",
    **_OBSERVED,
}
_OBSERVATION = {
    "ts": "The date that the value is of, at 00:00 UTC.",
    "value": "The value; NULL where the provider lists it as missing.",
    "vintage": "The day from which on this was the value.",
    "vintage_given": "Whether the provider dates vintages; else it is the day on which we first saw the value.",
    **_OBSERVED,
}
_ACTION = {
    "kind": "split or dividend.",
    "amount": "A dividend's amount a share.",
    "currency": "A dividend's currency, where the provider says.",
    "split_from": "A split gives split_to shares for split_from.",
    "split_to": "A split gives split_to shares for split_from.",
    "declared_on": "When it was declared, where the provider says.",
    "recorded_on": "Who held shares on that day has a right to it, where the provider says.",
    "paid_on": "When it is paid, where the provider says.",
    **_OBSERVED,
}
_SERIES = {
    "dataset": "bars, trades, quotes, books, news, observations, posts or actions.",
    "interval": "The width of its bars; '' where the dataset has none.",
    "followed": "Whether the farm keeps it up to date.",
    "since": "From when on its history is owed.",
    "until": "Where the name ended (a delisting, a renaming); nothing is expected from here on.",
    "renamed_to": "The instrument's name from then on.",
    "adjustment": "Of bars: what is already worked into the prices (none, splits, all); NULL where not known.",
    "refused": "What the provider answered when it did not know the instrument.",
}
_DAY = {
    "day": "The UTC day.",
    "state": "planned, imported, fetched, verified, empty_confirmed, suspect, unavailable or retired.",
    "expected": "Rows that the calendar expects of the whole day; NULL where nobody knows how many there must be.",
    "stored": "Rows that are stored.",
    "final": "Rows that are stored and final.",
    "confirmed": "Of what is missing, how much the provider said twice does not exist.",
    "answered_at": "When the provider was asked last.",
    "note": "What it said instead of rows, or what is wrong.",
}
#: As `tickfarm coverage` counts: rows of bars, days of the others; nothing of a day in doubt.
_OWED = "CASE WHEN s.dataset = 'bars' THEN coalesce(l.expected, l.stored) ELSE 1 END"
_PROVEN = (
    f"CASE WHEN l.state IN ('verified', 'empty_confirmed') THEN {_OWED}"
    " WHEN l.state IN ('suspect', 'imported', 'unavailable', 'retired') OR s.dataset <> 'bars' THEN 0"
    " ELSE least(l.final + l.confirmed, coalesce(l.expected, l.stored)) END"
)
_TODAY = "(now() AT TIME ZONE 'UTC')::date"
_UNPROVEN = "l.state NOT IN ('verified', 'empty_confirmed')"
_COVERAGE = {
    "first_day": ("c.first_day", "The first day that the ledger knows."),
    "last_day": ("c.last_day", "The last one that is over."),
    "days": ("c.days", "How many of them the ledger knows."),
    "expected": ("c.expected", "What must be there: rows of bars, days of other datasets."),
    "proven": ("c.proven", "How much of that answers have proven."),
    "percent": (
        "CASE WHEN c.proven >= c.expected THEN 100 ELSE least(round(100.0 * c.proven / c.expected, 2), 99.99) END",
        "The proven share; never 100 while anything is missing.",
    ),
    "gap_days": ("c.gap_days", "Days that are not proven."),
    "suspect_days": ("c.suspect_days", "Of these, days whose rows are not what was answered."),
}
_QUALITY = {
    "provider": ("p.provider", "Whose answers these are."),
    "hour": ("hour", "The hour, from its beginning, UTC."),
    "requests": ("l.requests", "Requests that were sent."),
    "failed": ("l.failed", "Of these, how many brought no usable answer."),
    "success_rate": ("round(1 - l.failed::numeric / nullif(l.requests, 0), 4)", "The share that brought one."),
    "p50_ms": ("t.p50_ms", "Half of the good answers took at most this long."),
    "p95_ms": ("t.p95_ms", "95 % of the good answers took at most this long."),
    "p99_ms": ("t.p99_ms", "99 % of the good answers took at most this long."),
    "body_bytes": ("l.body_bytes", "Bytes that came, decompressed."),
    "rejected": ("f.rejected", "Rows that quality rules refused; they are not stored."),
    "warned": ("f.warned", "Rows that quality rules object to; they are stored."),
}
_LOG = {
    "at": "When the batch of requests ended.",
    "kind": "batch: a row that counts all its requests; failure: a row for one that failed, which counts none.",
    "provider": "Who was asked.",
    "dataset": "For what; catalogue: for its list of instruments.",
    "lane": "The lane of the job that asked; '' without a job.",
    "job_id": "That job.",
    "requests": "How many requests were sent.",
    "failed": "How many of them failed.",
    "weight": "What they count in the provider's budget.",
    "duration_ms": "How long the batch took.",
    "outcome": "What became of it.",
    "status": "Of a failure: the HTTP status; NULL without an answer.",
    "cause": "Of a failure: its kind.",
    "error": "What went wrong, without keys.",
    "base_url": "Which address served it.",
    "body_bytes": "Bytes that came, decompressed.",
}

_BARS_OF = "public.series s JOIN public.bars b ON b.series_id = s.id WHERE s.dataset = 'bars'"
_OBSERVATIONS_OF = "public.series s JOIN public.observations o ON o.series_id = s.id WHERE s.dataset = 'observations'"


def _newest(table: str, dataset: str) -> str:
    """Return one row a series: a step of the primary key each, from the newest partition on."""
    newest = f"SELECT * FROM public.{table} WHERE series_id = s.id ORDER BY ts DESC LIMIT 1"
    return f"public.series s CROSS JOIN LATERAL ({newest}) b WHERE s.dataset = '{dataset}'"


def _bars_of(interval: str) -> View:
    comment = f"Bars of {interval}, as md.bars has them. Name provider, instrument and a range of ts."
    columns = {name: (f"b.{name}", said) for name, (_, said) in (_named("bars") | _of("b", _BAR)).items()}
    return View(f"bars_{interval}", comment, columns, f"md.bars b WHERE b.interval = '{interval}'")


VIEWS = [
    View(
        "series",
        "What the farm knows of: one row for each provider, dataset, instrument and interval.",
        _named("data") | _of("s", _SERIES),
        "public.series s",
    ),
    View(
        "instruments",
        "One row for each provider and instrument, with what is kept of it.",
        _named("data")
        | {
            "datasets": ("array_agg(DISTINCT s.dataset ORDER BY s.dataset)", "What is kept of it."),
            "intervals": (
                "coalesce(array_agg(DISTINCT s.interval ORDER BY s.interval) FILTER (WHERE s.interval <> ''), '{}')",
                "The widths of its bars.",
            ),
            "followed": ("bool_or(s.followed)", "Whether the farm keeps any of it up to date."),
            "until": ("max(s.until)", "Where the name ended; NULL while it lives."),
            "renamed_to": ("max(s.renamed_to)", "The instrument's name from then on."),
        },
        "public.series s GROUP BY s.provider, s.instrument",
    ),
    View(
        "bars",
        "Bars of every interval, raw. Name provider, instrument, interval and a range of ts.",
        _named("bars") | _INTERVAL | _of("b", _BAR),
        _BARS_OF,
    ),
    *(_bars_of(interval) for interval in ("1m", "5m", "1h", "1d")),
    View(
        "adjusted_bars",
        "Daily bars adjusted for the stored splits and dividends (the method of CRSP): factor times raw price.",
        {name: (f"b.{name}", said) for name, (_, said) in _named("bars").items()}
        | _of("b", _OHLC)
        | {
            "factor": ("b.factor", "What the raw prices were multiplied by."),
            "is_final": ("b.is_final", _BAR["is_final"]),
        },
        "public.adjusted_bars b",
    ),
    View(
        "latest_bars",
        "The newest bar of each series, final or not.",
        _named("bars") | _INTERVAL | _of("b", _BAR),
        _newest("bars", "bars"),
    ),
    View(
        "quotes",
        "Quotes. Name provider, instrument and a range of ts.",
        _named("quotes") | _of("b", _QUOTE),
        "public.series s JOIN public.quotes b ON b.series_id = s.id WHERE s.dataset = 'quotes'",
    ),
    View(
        "latest_quotes",
        "The newest quote of each instrument.",
        _named("quotes") | _of("b", _QUOTE),
        _newest("quotes", "quotes"),
    ),
    View(
        "trades",
        "Trades. Name provider, instrument and a range of ts.",
        _named("trades") | _of("b", _TRADE),
        "public.series s JOIN public.trades b ON b.series_id = s.id WHERE s.dataset = 'trades'",
    ),
    View(
        "observations",
        "Values of economic series, of each date the newest vintage: what is known now.",
        _named("observations") | _of("o", _OBSERVATION),
        f"{_OBSERVATIONS_OF} AND NOT EXISTS (SELECT FROM public.observations n"
        " WHERE n.series_id = o.series_id AND n.ts = o.ts AND n.vintage > o.vintage)",
    ),
    View(
        "observations_all",
        "Values of economic series, every vintage: known on a day is the newest vintage up to it.",
        _named("observations") | _of("o", _OBSERVATION),
        _OBSERVATIONS_OF,
    ),
    View(
        "actions",
        "Splits and dividends.",
        _named("actions")
        | {"ex_date": ("(a.ts AT TIME ZONE 'UTC')::date", "The first day without a right to it.")}
        | _of("a", _ACTION),
        "public.series s JOIN public.actions a ON a.series_id = s.id WHERE s.dataset = 'actions'",
    ),
    View(
        "coverage",
        "How much of each series' days that are over is proven, by the ledger. tickfarm coverage adds today.",
        _named("data") | _of("s", {name: _SERIES[name] for name in ("dataset", "interval", "followed")}) | _COVERAGE,
        "public.series s CROSS JOIN LATERAL (SELECT min(l.day) AS first_day, max(l.day) AS last_day, count(*) AS days,"
        f" sum({_OWED}) AS expected, sum({_PROVEN}) AS proven, count(*) FILTER (WHERE {_UNPROVEN}) AS gap_days,"
        " count(*) FILTER (WHERE l.state = 'suspect') AS suspect_days"
        f" FROM public.ledger l WHERE l.series_id = s.id AND l.day < {_TODAY}) c WHERE c.days > 0",
    ),
    View(
        "coverage_days",
        "The ledger: for each series and UTC day what is expected, what is stored, and how that is known.",
        _named("data") | _of("s", {name: _SERIES[name] for name in ("dataset", "interval")}) | _of("l", _DAY),
        "public.series s JOIN public.ledger l ON l.series_id = s.id",
    ),
    View(
        "gaps",
        "Days that are over and not proven, of followed series of which something must be there.",
        _named("data")
        | _of("s", {name: _SERIES[name] for name in ("dataset", "interval")})
        | _of("l", _DAY)
        | {
            "missing": ("greatest(l.expected - l.final - l.confirmed, 0)", "Rows that are owed; NULL as expected is."),
            "attempts": ("l.attempts", "How often it was asked for again."),
            "next_at": ("l.next_at", "When it is asked for next."),
        },
        f"public.series s JOIN public.ledger l ON l.series_id = s.id WHERE s.followed AND l.day < {_TODAY}"
        f" AND s.dataset NOT IN ('news', 'posts', 'actions') AND {_UNPROVEN}",
    ),
    View(
        "quality_by_hour",
        "What each provider's answers were worth, hour by hour, as far back as the log is kept. Name a range of hour.",
        _QUALITY,
        "(SELECT DISTINCT provider FROM public.series) p"
        " CROSS JOIN LATERAL (SELECT date_trunc('hour', at, 'UTC') AS first FROM public.fetch_log"
        " WHERE provider = p.provider ORDER BY at LIMIT 1) since"
        " CROSS JOIN LATERAL generate_series(since.first, now(), interval '1 hour') AS hour"
        " CROSS JOIN LATERAL (SELECT sum(requests) AS requests, sum(failed) AS failed, sum(body_bytes) AS body_bytes"
        " FROM public.fetch_log WHERE provider = p.provider AND at >= hour AND at < hour + interval '1 hour') l"
        " CROSS JOIN LATERAL (SELECT "
        + ", ".join(f"percentile_disc(0.{share}) WITHIN GROUP (ORDER BY ms) AS p{share}_ms" for share in (50, 95, 99))
        + " FROM public.fetch_log, unnest(latency_ms) AS ms WHERE kind = 'batch' AND provider = p.provider"
        " AND at >= hour AND at < hour + interval '1 hour') t"
        " CROSS JOIN LATERAL (SELECT coalesce(sum(rows) FILTER (WHERE severity = 'reject'), 0) AS rejected,"
        " coalesce(sum(rows) FILTER (WHERE severity = 'warn'), 0) AS warned FROM public.findings"
        " WHERE provider = p.provider AND at >= hour AND at < hour + interval '1 hour') f WHERE l.requests > 0",
    ),
    View(
        "ingest_log",
        "Every batch of requests, and each request that failed. Sums over any rows are right. Name a range of at.",
        _of("l", _LOG),
        "public.fetch_log l",
    ),
]

#: Made by whoever may; two databases of a server may be migrated at the same moment.
_MAKE_ROLE = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}')
        AND (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
        CREATE ROLE {ROLE} NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
_GRANT = f"""
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
        GRANT USAGE ON SCHEMA md TO {ROLE};
        GRANT SELECT ON ALL TABLES IN SCHEMA md TO {ROLE};
        ALTER DEFAULT PRIVILEGES IN SCHEMA md GRANT SELECT ON TABLES TO {ROLE};
    END IF;
END $$
"""


def upgrade() -> None:
    op.execute("CREATE SCHEMA md")
    op.execute("COMMENT ON SCHEMA md IS 'Market data for readers: views with names. Times are UTC, numbers exact.'")
    for view in VIEWS:
        selected = ", ".join(f"{expression} AS {name}" for name, (expression, _) in view.columns.items())
        op.execute(f"CREATE VIEW md.{view.name} AS SELECT {selected} FROM {view.source}")
        op.execute(f"COMMENT ON VIEW md.{view.name} IS {_quoted(view.comment)}")
        for name, (_, comment) in view.columns.items():
            op.execute(f"COMMENT ON COLUMN md.{view.name}.{name} IS {_quoted(comment)}")
    op.execute(_MAKE_ROLE)
    op.execute(_GRANT)


def downgrade() -> None:
    op.execute("DROP SCHEMA md CASCADE")


def _quoted(said: str) -> str:
    return "'" + said.replace("'", "''") + "'"
