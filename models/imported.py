"""Imported rows: what came from files, against what providers have answered.

Deliberately not here: writing them (upsert) and when a day with them is proven (evidence). Invariant: it only reads.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from models.evidence import ASKED, Stretch, parameters
from models.upsert import FROM_FILE, staging_name, table_of, value_columns

#: Rows that are shown of many.
_SHOWN = 5
_DOUBTFUL = text(
    "SELECT series_id, day FROM ledger WHERE series_id = ANY(:series) AND day BETWEEN :first AND :last"
    " AND state IN ('imported', 'suspect')"
)


@dataclass(frozen=True, slots=True)
class Odd:
    """Rows of an instrument that are not as they should be: how many, the first one's time, some of them as JSON."""

    instrument: str
    rows: int
    ts: datetime
    sample: str


def doubtful_days(session: Session, series: Collection[int], first: date, last: date) -> dict[int, set[date]]:
    """Return the days of these series, both ends included, that hold rows which no answer has proven, or other ones."""
    found: dict[int, set[date]] = {}
    for series_id, day in session.execute(_DOUBTFUL, {"series": list(series), "first": first, "last": last}):
        found.setdefault(series_id, set()).add(day)
    return found


def not_answered(session: Session, dataset: str, stretches: Sequence[Stretch]) -> list[Odd]:
    """Return the files' rows in these stretches whose keys the staged answer does not hold. Comes before it is written.

    Of observations none: an answer need not hold older vintages.
    """
    if dataset == "observations":
        return []
    return [Odd(*row) for row in session.execute(_not_answered(dataset), parameters(stretches))]


def not_taken(session: Session, dataset: str) -> list[Odd]:
    """Return the staged rows that the table holds otherwise. Comes after they were written."""
    return [Odd(*row) for row in session.execute(_not_taken(dataset))]


def _shown(alias: str) -> str:
    """Return the columns of `Odd` over rows of that alias."""
    said = f"(to_jsonb({alias}) - ARRAY['series_id', 'job_id', 'is_final', 'observed_at'])::text"
    sample = f"array_to_string((array_agg({said} ORDER BY {alias}.ts))[1:{_SHOWN}], E'\\n')"
    return f"series.instrument, count(*), min({alias}.ts), {sample}"


def _same_key(dataset: str, one: str, other: str) -> str:
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in table_of(dataset).primary_key.columns.keys())  # noqa: SIM118


@cache
def _not_answered(dataset: str) -> TextClause:
    return text(f"""
    WITH {ASKED}
    SELECT {_shown("there")} FROM asked JOIN {dataset} AS there ON there.series_id = asked.series_id
        AND there.ts >= asked.starts AND there.ts < asked.ends AND there.observed_at <= asked.observed_at
    JOIN series ON series.id = there.series_id
    WHERE there.series_id = ANY(:ids) AND there.ts >= :first AND there.ts < :last AND there.job_id = {FROM_FILE}
        AND NOT EXISTS (SELECT FROM {staging_name(dataset)} AS said WHERE {_same_key(dataset, "said", "there")})
    GROUP BY series.instrument ORDER BY series.instrument
    """)


@cache
def _not_taken(dataset: str) -> TextClause:
    differs = " OR ".join(f"said.{name} IS DISTINCT FROM there.{name}" for name in value_columns(dataset))
    return text(f"""
    SELECT {_shown("said")} FROM {staging_name(dataset)} AS said JOIN {dataset} AS there
        ON {_same_key(dataset, "said", "there")}
    JOIN series ON series.id = said.series_id WHERE {differs}
    GROUP BY series.instrument ORDER BY series.instrument
    """)
