"""The list of what is missing now, for people.

Deliberately not here: what is done about it (gaps). Invariant: it changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy.orm import Session

from ingest.pipeline.gaps import LOOKS
from ingest.pipeline.gaps_days import DayGaps
from ingest.pipeline.gaps_owed import Owed, plan_days
from ingest.pipeline.gaps_windows import merged
from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch `[start, end)` of a series in which `rows` are missing (0: nobody knows how many), known since `since`.

    `attempts` jobs were owed for its days so far; the next one may be at `next_at`, None is now.
    """

    provider: str
    dataset: str
    instrument: str
    interval: str
    start: datetime
    end: datetime
    rows: int
    state: str
    attempts: int
    since: datetime
    next_at: datetime | None


def missing_now(session: Session, config: Settings, now: datetime) -> list[Gap]:
    """Return what is missing now, by series and ascending.

    What came to be owed since the last check is among it: it is planned in the session, which the caller rolls back.
    """
    followed, _ = plan_days(session, config, now)
    return [gap for owed in followed if owed.dataset in LOOKS for gap in _of_series(session, owed, now)]


def _of_series(session: Session, owed: Owed, now: datetime) -> Iterator[Gap]:
    asked = (owed.facts.name, owed.dataset, owed.instrument, owed.interval)
    days = LOOKS[owed.dataset](session, owed, now, waiting_too=True)
    for (state, attempts, next_at), group in groupby(reversed(days), key=_what):
        alike = list(group)
        windows = [window for day in alike for window in day.windows]
        since = min(day.since for day in alike)
        for one in merged(windows, longest=timedelta.max, bridge=timedelta(0)):
            yield Gap(*asked, one.start, one.end, one.rows, state, attempts, since, next_at)


def _what(day: DayGaps) -> tuple[str, int, datetime | None]:
    return day.state, day.attempts, day.next_at
