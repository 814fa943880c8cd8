"""Series and findings as lists, a page at a time, for whoever looks.

Reads only. Deliberately not here: what is stored of a series (read), how complete it is (coverage). Invariant: ids
order a page, so that none comes twice and none is left out while more are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import case, func, select, true
from sqlalchemy.orm import Session

from ingest.market.records import DATASETS
from models import Finding, LedgerDay, Series
from models.upsert import table_of


@dataclass(frozen=True, slots=True)
class ListedSeries:
    """A series and what the ledger says is stored of it: rows, first and last day that has any; its newest row."""

    series: Series
    rows: int
    first_day: date | None
    last_day: date | None
    newest: datetime | None


def list_series(
    session: Session, where: Mapping[str, Any], *, behind_id: int | None = None, limit: int
) -> list[ListedSeries]:
    """Return the series whose columns are as `where` says, in the order of their ids, behind one of them.

    Cost: the ledger's days of those series, and an index look-up each.
    """
    stored = select(
        func.coalesce(func.sum(LedgerDay.stored), 0).label("rows"),
        func.min(LedgerDay.day).filter(LedgerDay.stored > 0).label("first"),
        func.max(LedgerDay.day).filter(LedgerDay.stored > 0).label("last"),
    )
    newest = case(
        {
            dataset: select(func.max(table.c.ts)).where(table.c.series_id == Series.id).scalar_subquery()
            for dataset, table in ((one, table_of(one)) for one in DATASETS)
        },
        value=Series.dataset,
    )
    of_it = stored.where(LedgerDay.series_id == Series.id).correlate(Series).lateral()
    query = select(Series, of_it.c.rows, of_it.c.first, of_it.c.last, newest).join(of_it, true())
    query = query.where(*(getattr(Series, name) == value for name, value in where.items()))
    query = query.order_by(Series.id).limit(limit)
    if behind_id is not None:
        query = query.where(Series.id > behind_id)
    return [
        ListedSeries(series, int(rows), first, last, newest)
        for series, rows, first, last, newest in session.execute(query)
    ]


def list_findings(
    session: Session, where: Mapping[str, Any], *, before_id: int | None = None, limit: int
) -> Sequence[Finding]:
    """Return the newest findings whose columns are as `where` says, newest first; `before_id`: those before that one.

    It goes back from the newest until it has `limit` of them: what is rare is looked for in the whole table.
    """
    query = select(Finding).filter_by(**where).order_by(Finding.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(Finding.id < before_id)
    return session.scalars(query).all()
