"""What was stored last, of whatever series. Reads only.

Deliberately not here: rows of one series (read). Invariant: the cost follows how many rows are asked for and how many
days the ledger has, never how many rows are stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest.errors import FixRequest
from ingest.market.records import DATASETS, VALUE_COLUMNS

MOST_RECENT = 1_000
_WRITTEN = """
    SELECT series.id, provider, instrument, interval, day FROM ledger JOIN series ON series.id = ledger.series_id
    WHERE dataset = :dataset AND stored > 0 AND deleted_at IS NULL ORDER BY ledger.updated_at DESC LIMIT :most
"""


@dataclass(frozen=True, slots=True)
class Recent:
    """A row that was stored lately. `values` are those of its dataset, numbers as decimals."""

    provider: str
    dataset: str
    instrument: str
    interval: str
    ts: datetime
    observed_at: datetime
    values: Mapping[str, Any]


def recent(session: Session, max_items: int) -> list[Recent]:
    """Return the newest rows of the days that were written to last, over all series, the last observed first.

    Of a day that holds more than `max_items` rows the newest by their own time are looked at. One query a dataset.
    """
    if not 1 <= max_items <= MOST_RECENT:
        raise FixRequest(f"max_items is a number of rows from 1 to {MOST_RECENT:,}, given: {max_items}")
    found = [row for dataset in DATASETS for row in _of(session, dataset, max_items)]
    return sorted(found, key=lambda row: (row.observed_at, row.ts), reverse=True)[:max_items]


def _of(session: Session, dataset: str, most: int) -> list[Recent]:
    query = text(f"""
        SELECT written.provider, written.instrument, written.interval, found.ts, found.observed_at,
            row_to_json(found)::text
        FROM ({_WRITTEN}) AS written CROSS JOIN LATERAL (
            SELECT * FROM {dataset} WHERE series_id = written.id AND ts >= written.day::timestamp AT TIME ZONE 'UTC'
                AND ts < (written.day + 1)::timestamp AT TIME ZONE 'UTC' ORDER BY ts DESC LIMIT :most
        ) AS found ORDER BY found.observed_at DESC, found.ts DESC LIMIT :most
    """)
    names = VALUE_COLUMNS[dataset]  # type: ignore[index]
    rows = []
    for provider, instrument, interval, ts, observed_at, printed in session.execute(
        query, {"dataset": dataset, "most": most}
    ):
        values = json.loads(printed, parse_float=Decimal, parse_int=Decimal)
        kept = {name: values[name] for name in names}
        rows.append(Recent(provider, dataset, instrument, interval, ts, observed_at, kept))
    return rows
