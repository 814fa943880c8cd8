"""Open days of a series: those that the ledger has not settled, and what a look at one finds.

Deliberately not here: how each kind is looked at (gaps_grid, gaps_trades). Invariant: it only reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest.pipeline.gaps_owed import Owed
from ingest.pipeline.gaps_windows import Window
from models.ledger import SETTLED

#: Rows are there, but not as answered, or on nobody's word: such a day is asked for whole.
DOUBTED = ("suspect", "imported")
_OPEN_DAYS = text(f"""
    SELECT day, expected, stored, final, confirmed, state, attempts, next_at, job_id, updated_at,
        once::text AS once, twice::text AS twice
    FROM ledger WHERE series_id = :series AND state NOT IN {SETTLED} AND day <= :today
        AND (next_at IS NULL OR next_at <= :until) ORDER BY day DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class DayGaps:
    """An open day: what is missing of it, by now, and what the ledger said. `later`: not to be asked for yet.

    `is_whole`: nothing is missing but `confirmed`; `is_over`: the day has settled, and none of it is out of reach.
    """

    day: date
    state: str
    windows: Sequence[Window]
    attempts: int
    next_at: datetime | None
    since: datetime
    stored: int = 0
    known_confirmed: int = 0
    confirmed: int = 0
    is_whole: bool = False
    is_over: bool = False


def open_days(session: Session, owed: Owed, now: datetime, *, most: int, waiting_too: bool) -> Sequence[Any]:
    """Return rows of the ledger, newest first: `most` of those whose turn it is, or (`waiting_too`) all."""
    until = datetime.max.replace(tzinfo=UTC) if waiting_too else now
    asked = {"series": owed.id, "today": now.date(), "until": until, "most": None if waiting_too else most}
    return session.execute(_OPEN_DAYS, asked).all()
