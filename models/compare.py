"""What staged rows would change in a dataset's table: read only, by the rules of the write path (upsert).

Invariant: of each key the staged row observed last counts, and one that is older than the stored row changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.upsert import staging_name, table_of, value_columns


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that would be new (`old` None) or say something else; numbers are text with all their digits.

    `key` is what tells rows of one moment apart, as text, where there is such a thing (a trade's id).
    """

    series_id: int
    ts: datetime
    key: str | None
    old: Mapping[str, Any] | None
    new: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many rows there are of each kind, and the first of those that would change something.

    `superseded`: the stored row says something else and was observed later. `only_stored`: no staged row is of its key.
    """

    new: int = 0
    differing: int = 0
    identical: int = 0
    superseded: int = 0
    only_stored: int = 0
    rows: Sequence[Difference] = field(default=())


def compare(
    session: Session, dataset: str, *, series: Sequence[int], start: datetime, end: datetime, most_rows: int
) -> Comparison:
    """Compare what is staged in this transaction with what is stored of these series in `[start, end)`."""
    table = table_of(dataset)
    names = list(table.primary_key.columns.keys())
    said = [*value_columns(dataset), *(["is_final"] if "is_final" in table.c else [])]
    session.execute(text(f"ANALYZE {staging_name(dataset)}"))
    judged = _judged(dataset, names, said)
    verdicts = session.execute(text(f"{judged} SELECT verdict, count(*) FROM judged GROUP BY 1"))
    counts: dict[str, int] = {str(verdict): int(count) for verdict, count in verdicts}
    changed = session.execute(
        text(
            f"{judged} SELECT series_id, ts, key, old, new FROM judged WHERE verdict IN ('new', 'differing')"
            " ORDER BY series_id, ts, key LIMIT :most"
        ),
        {"most": most_rows},
    )
    rows = [
        Difference(
            one.series_id,
            one.ts,
            None if one.key is None else str(one.key),
            one.old and _said(one.old, said),
            _said(one.new, said),
        )
        for one in changed
    ]
    only_stored = text(
        f"SELECT count(*) FROM {dataset} AS stored WHERE series_id = ANY(:series) AND ts >= :start AND ts < :end"
        f" AND NOT EXISTS (SELECT FROM {staging_name(dataset)} AS staged"
        f" WHERE ({_of('staged', names)}) = ({_of('stored', names)}))"
    )
    bounds = {"series": list(series), "start": start, "end": end}
    return Comparison(**counts, only_stored=int(session.scalar(only_stored, bounds) or 0), rows=rows)


def _judged(dataset: str, names: Sequence[str], said: Sequence[str]) -> str:
    """Return the beginning of a query in which `judged` has a verdict on every staged row."""
    keys = ", ".join(names)
    same = " AND ".join(f"stored.{name} IS NOT DISTINCT FROM staged.{name}" for name in said)
    return (
        f"WITH staged AS (SELECT DISTINCT ON ({keys}) * FROM {staging_name(dataset)}"
        f" ORDER BY {keys}, observed_at DESC),"
        f" judged AS (SELECT staged.series_id, staged.ts, {_apart(names)} AS key,"
        " CASE WHEN stored.series_id IS NULL THEN 'new'"
        f" WHEN {same} THEN 'identical'"
        " WHEN stored.observed_at > staged.observed_at THEN 'superseded' ELSE 'differing' END AS verdict,"
        " to_jsonb(stored)::text AS old, to_jsonb(staged)::text AS new"
        f" FROM staged LEFT JOIN {dataset} AS stored USING ({keys}))"
    )


def _apart(names: Sequence[str]) -> str:
    """Return what tells rows of one series and moment apart, as one text; a number stays in its own order."""
    own = [f"staged.{name}" for name in names if name not in ("series_id", "ts")]
    return own[0] if len(own) == 1 else f"concat_ws(' ', {', '.join(own)})" if own else "NULL"


def _of(alias: str, names: Sequence[str]) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)


def _said(row: str, columns: Sequence[str]) -> dict[str, Any]:
    """Return what a row says; PostgreSQL's JSON keeps a NUMERIC's digits, and so does text."""
    found = json.loads(row, parse_float=str, parse_int=str)
    return {name: found[name] for name in columns}
