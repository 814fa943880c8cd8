"""Agreement: the statements that compare two providers' final bars of the same instrument, interval and time.

Deliberately not here: what may differ by how much (market/reconcile), when they run (pipeline/reconcile). Two values
differ by |a - b| / max(|a|, |b|), exactly. Invariant: of two transactions that store the two sides of a pair at the
same moment, the later one sees what the earlier one has committed, because both hold the pair's lock until their end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from zlib import crc32

import psycopg2
from sqlalchemy import Row, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

#: First numbers of advisory locks: one that all who store bars share, and one for the pairs.
_STORING, _PAIR = 7_461_003, 7_461_004
#: A transaction of many instruments takes at most so many locks: PostgreSQL has room for some 6,400 at a time.
_MOST_LOCKS = 128
#: Longer than any transaction of a task, whose time limit is 90 s.
_YOUNG = "10 minutes"
SAMPLE_ROWS = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """Two series, and the largest relative difference of each column that is none; None is not compared."""

    mine: int
    other: int
    close: Decimal | None
    extremes: Decimal | None
    volume: Decimal | None


@dataclass(frozen=True, slots=True)
class Other:
    """Another provider's series of the same bars. `adjustment` is None where it is not known."""

    id: int
    provider: str
    instrument: str
    adjustment: str | None


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch `[start, end)` of a pair that one finding is about; `name` is the finding's."""

    pair: Pair
    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What a window's bars say now: how many differ, the first of them, the five worst differences, worst first."""

    rows: int
    first: datetime | None
    worst: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class Difference:
    """A column of two bars; numbers are text with all their digits."""

    ts: datetime
    column: str
    mine: str
    other: str
    share: Decimal


def others_of(session: Session, provider: str, interval: str, instruments: Sequence[str]) -> list[Other]:
    """Return the bars that other providers have of these instruments. One round trip.

    Until the transaction ends nobody begins to store a series that is younger than this answer (`wait_for_storers`).
    """
    values = {"storing": _STORING, "provider": provider, "interval": interval, "instruments": list(instruments)}
    return [Other(*row) for row in _rows(session, _OTHERS, values)]


#: Two statements, so that the second one's snapshot is younger than the lock.
_OTHERS = """
    SELECT pg_advisory_xact_lock_shared(%(storing)s);
    SELECT id, provider, instrument, adjustment FROM series
    WHERE dataset = 'bars' AND instrument = ANY(%(instruments)s) AND interval = %(interval)s
        AND provider <> %(provider)s ORDER BY id
"""


def wait_for_storers(session: Session, series: Sequence[int]) -> None:
    """Let those end who store bars and can't know yet that a second provider has them too.

    Comes in the transaction in which a process first meets its series. Waits only where one of them is a young second.
    """
    session.execute(_WAIT, {"series": list(series), "storing": _STORING, "young": _YOUNG})


_WAIT = text("""
    SELECT pg_advisory_xact_lock(:storing) WHERE EXISTS (
        SELECT FROM series AS young JOIN series AS other
            ON other.dataset = 'bars' AND other.instrument = young.instrument AND other.interval = young.interval
            AND other.provider <> young.provider
        WHERE young.dataset = 'bars' AND young.id = ANY(:series)
            AND greatest(young.created_at, other.created_at) > now() - CAST(:young AS interval)
    )
""")


def lock(session: Session, interval: str, series: Mapping[str, int]) -> dict[int, str | None]:
    """Hold what belongs to these bars, by instrument, until the transaction ends; return what is worked into each.

    Comes before the transaction's first bar. In one order, or two batches would wait for each other; some instruments
    share a lock (_MOST_LOCKS), which only costs time.
    """
    keys = sorted({crc32(f"{instrument} {interval}".encode()) % _MOST_LOCKS for instrument in series})
    return dict(_rows(session, _LOCK, {"pair": _PAIR, "keys": keys, "series": list(series.values())}))


_LOCK = """
    SELECT pg_advisory_xact_lock(%(pair)s, key) FROM unnest(%(keys)s) AS key;
    SELECT id, adjustment FROM series WHERE id = ANY(%(series)s)
"""


def _rows(session: Session, sql: str, values: Mapping[str, Any]) -> list[Any]:
    """Return the last statement's rows, past SQLAlchemy, which costs twice what these statements do."""
    driver: Any = session.connection().connection.driver_connection
    try:
        with driver.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())
    except psycopg2.Error as error:  # but failing as SQLAlchemy does
        raise DBAPIError.instance(sql, None, error, psycopg2.Error, hide_parameters=True) from error


def doubtful(
    session: Session, pairs: Sequence[Pair], *, span: Literal["day", "year"], first: datetime, last: datetime
) -> list[Window]:
    """Return the windows in which staged final bars, new or changed, differ from the other side's, or did so before.

    Comes before the write of what is staged. `first` and `last` are the first and the last staged bar. One statement,
    which reads the bars of these times and no others.
    """
    bounds = {"span": span, "first": first, "last": last, "ids": sorted({one.mine for one in pairs})}
    rows = session.execute(_DOUBTFUL, _columns(pairs) | bounds)
    return [Window(pairs[row.number - 1], row.name, row.starts, row.ends) for row in rows]


def judge(session: Session, windows: Sequence[Window]) -> list[Disagreement]:
    """Return what the bars of each window say now, after the write. One statement; it reads the windows whole."""
    values = _columns([one.pair for one in windows]) | {
        "starts": [one.start for one in windows],
        "ends": [one.end for one in windows],
        "first": min(one.start for one in windows),
        "last": max(one.end for one in windows),
    }
    found = {row.number: row for row in session.execute(_JUDGE, values)}
    return [_disagreement(found.get(number)) for number in range(1, len(windows) + 1)]


def _disagreement(row: Row[Any] | None) -> Disagreement:
    if row is None:
        return Disagreement(0, None, ())
    worst = [
        Difference(datetime.fromisoformat(one["ts"]), one["column"], one["mine"], one["other"], Decimal(one["share"]))
        for one in row.worst
    ]
    return Disagreement(row.rows, row.first, worst)


def _columns(pairs: Sequence[Pair]) -> dict[str, list[Any]]:
    names = ("mine", "other", "close", "extremes", "volume")
    return {name: [getattr(one, name) for one in pairs] for name in names}


_PAIRS = """
    CAST(:mine AS integer[]), CAST(:other AS integer[]), CAST(:close AS numeric[]), CAST(:extremes AS numeric[]),
    CAST(:volume AS numeric[])"""


def _other(mine: str, until: str) -> str:
    """Return the join of the other side's bar, by its key: left to choose, PostgreSQL reads the whole range a bar."""
    return f"""
    CROSS JOIN LATERAL (
        SELECT * FROM bars WHERE bars.series_id = pair.other AND bars.ts = {mine}.ts
            AND bars.ts >= :first AND bars.ts {until} :last AND bars.is_final LIMIT 1
    ) AS other"""


def _differ(mine: str, other: str, limit: str) -> str:
    """Return the condition; NULL, which is no disagreement, where a value or a limit is missing."""
    return f"abs({mine} - {other}) > {limit} * greatest(abs({mine}), abs({other}))"


#: Columns, and what limits them.
_LIMITS = (("close", "close"), ("high", "extremes"), ("low", "extremes"), ("volume", "volume"))
_SHARE = "abs(said.mine - said.other) / greatest(abs(said.mine), abs(said.other))"
#: The finding's name: the same from both sides.
_NAME = """concat_ws(':', 'pair', least(pair.mine, pair.other), greatest(pair.mine, pair.other),
    to_char(starts AT TIME ZONE 'UTC', 'YYYY-MM-DD'))"""
#: `first` and `last` come as constants, so that PostgreSQL looks at no other partition.
_DOUBTFUL = text(f"""
    WITH pair AS MATERIALIZED (
        SELECT * FROM unnest({_PAIRS}) WITH ORDINALITY AS pair (mine, other, close, extremes, volume, number)
    ),
    staged AS (
        SELECT DISTINCT ON (series_id, ts) * FROM bars_staging WHERE series_id = ANY(:ids)
        ORDER BY series_id, ts, observed_at DESC
    ),
    news AS MATERIALIZED (
        SELECT staged.* FROM staged LEFT JOIN bars AS known ON known.series_id = staged.series_id
            AND known.ts = staged.ts AND known.ts >= :first AND known.ts <= :last
        WHERE staged.is_final AND (known.series_id IS NULL OR (known.observed_at <= staged.observed_at AND NOT (
            known.is_final AND (known.close, known.high, known.low, known.volume)
                IS NOT DISTINCT FROM (staged.close, staged.high, staged.low, staged.volume))))
    ),
    met AS (
        SELECT pair.number, pair.mine, pair.other, date_trunc(:span, news.ts, 'UTC') AS starts,
            bool_or({" OR ".join(_differ(f"news.{name}", f"other.{name}", f"pair.{limit}") for name, limit in _LIMITS)})
                AS differs
        FROM news JOIN pair ON pair.mine = news.series_id
        {_other("news", "<=")}
        GROUP BY 1, 2, 3, 4
    ),
    named AS (SELECT *, {_NAME} AS name FROM met AS pair)
    SELECT number, name, starts,
        (starts AT TIME ZONE 'UTC' + CAST('1 ' || :span AS interval)) AT TIME ZONE 'UTC' AS ends
    FROM named WHERE differs OR EXISTS (SELECT FROM findings WHERE payload_key = name AND ended_at IS NULL)
    ORDER BY name
""")
_JUDGE = text(f"""
    WITH pair AS MATERIALIZED (
        SELECT * FROM unnest({_PAIRS}, CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]))
            WITH ORDINALITY AS pair (mine, other, close, extremes, volume, starts, ends, number)
    )
    SELECT number, count(DISTINCT mine.ts) AS rows, min(mine.ts) AS first,
        jsonb_path_query_array(jsonb_agg(jsonb_build_object(
            'ts', mine.ts, 'column', said.name, 'mine', said.mine::text, 'other', said.other::text,
            'share', round({_SHARE}, 6)::text
        ) ORDER BY {_SHARE} DESC, mine.ts, said.name), '$[0 to {SAMPLE_ROWS - 1}]') AS worst
    FROM pair
    JOIN bars AS mine ON mine.series_id = pair.mine AND mine.ts >= pair.starts AND mine.ts < pair.ends
        AND mine.ts >= :first AND mine.ts < :last AND mine.is_final
    {_other("mine", "<")}
    CROSS JOIN LATERAL (
        VALUES {", ".join(f"('{name}', mine.{name}, other.{name}, pair.{limit})" for name, limit in _LIMITS)}
    ) AS said (name, mine, other, tolerance)
    WHERE {_differ("said.mine", "said.other", "said.tolerance")} GROUP BY number
""")
