"""Pressure: how many messages history may have in flight, from how long small live stores took of late.

Pure but for its arguments. Deliberately not here: measuring (fetch), telling (workers), feeding (leader).
Invariant: at least one message and at most what the lane's children could have, whatever is told; with good news, or
none, all of it is back after as many steps.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from statistics import median_low

#: From slot to commit live data shall take 0.1 s at most. An idle farm needs 30 ms for the way to the transaction that
#: stores, so that half is left for it; it takes about 10 ms there.
TARGET_S = 0.05
#: A database that is far away is not a slow one: this many times the best of late is allowed in any case.
FAR = 3.0
#: The best of late is forgotten by so much a step, doubled in twelve minutes: who stays slow all the time, with one
#: message of history in flight, is not slow because of history.
FORGET_BEST = 1.001
#: Stores that are judged together: one commit that met a checkpoint is no news, two of three are.
JUDGED = 3
#: One step a second at most: what a step changes is seen when what is in flight has been stored.
STEP_EVERY = timedelta(seconds=1)
#: Polls that are rarer than this don't mind being late; where no store is told of for so long, nobody waits.
NEWS_LAST = timedelta(minutes=1)


class Pressure:
    """Remembers the stores that were told and what they left of history's room: halved if slow, else one more."""

    def __init__(self) -> None:
        self._took_s: deque[float] = deque(maxlen=JUDGED)
        self._is_news = False
        self._best_s: float | None = None
        self._room: int | None = None
        self._stepped_at = self._news_at = datetime.min.replace(tzinfo=UTC)

    def note(self, store_s: float) -> None:
        """Take note of how long the transaction of a small live store took."""
        self._took_s.append(store_s)
        self._is_news = True

    def room(self, full: int, now: datetime) -> int:
        """Return how many messages history may have in flight, of `full` that its children could."""
        if now - self._stepped_at >= STEP_EVERY:
            self._stepped_at = now
            self._step(full, now)
        return full if self._room is None else min(self._room, full)

    def _step(self, full: int, now: datetime) -> None:
        """Halve the room if stores are slow, else give one more back; change nothing where that is not known."""
        if self._is_news:
            self._news_at = now
        elif now - self._news_at < NEWS_LAST:
            return
        room = full if self._room is None else min(self._room, full)
        room = max(room // 2, 1) if self._is_news and self._is_slow() else room + 1
        self._room = room if room < full else None
        self._is_news = False

    def _is_slow(self) -> bool:
        took_s = median_low(self._took_s)
        self._best_s = took_s if self._best_s is None else min(took_s, self._best_s * FORGET_BEST)
        return took_s > max(TARGET_S, FAR * self._best_s)
