"""Count what callers spend: sliding windows that refuse, per caller.

Deliberately not here: what a refusal looks like; each provider words its own (`dialects/`).
Invariant: within any span of `window_s` seconds at most `limit` calls of one caller are granted.
"""

from collections import defaultdict, deque


class SlidingWindow:
    """Grant at most `limit` calls per caller in any `window_s` seconds; a refused call costs nothing."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._granted: defaultdict[str, deque[float]] = defaultdict(deque)

    def room(self, caller: str, limit: int, *, now_s: float) -> int:
        """Return how many calls the caller has left at `now_s`."""
        times = self._granted[caller]
        while times and times[0] <= now_s - self._window_s:
            times.popleft()
        return limit - len(times)

    def spend(self, caller: str, *, now_s: float) -> None:
        self._granted[caller].append(now_s)


class DailyCount:
    """Count calls per caller and UTC day."""

    def __init__(self) -> None:
        self._spent: dict[str, tuple[int, int]] = {}

    def room(self, caller: str, limit: int, *, now_s: float) -> int:
        """Return how many calls the caller has left on the day of `now_s`."""
        day, count = self._spent.get(caller, (0, 0))
        return limit - count if day == int(now_s // 86_400) else limit

    def spend(self, caller: str, *, now_s: float) -> None:
        today = int(now_s // 86_400)
        day, count = self._spent.get(caller, (today, 0))
        self._spent[caller] = (today, count + 1 if day == today else 1)
