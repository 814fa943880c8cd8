"""Count what an app of X's spends: requests in windows of 15 minutes, and posts, each billed once a UTC day.

Deliberately not here: what a refusal looks like (`dialects/x.py`).
Invariant: a window begins with its first request and lasts 15 minutes, as `x-rate-limit-reset` says.
Source: https://github.com/xdevplatform/docs (rate-limits, pricing), 2026-08-22.
"""

WINDOW_S = 900
_DAY_S = 86_400


class Meter:
    """One app's meter."""

    def __init__(self) -> None:
        self._began_s = 0.0
        self._requests = 0
        self._day = 0
        self._today: set[int] = set()
        self.posts = 0

    def spend_request(self, limit: int, *, now_s: float) -> bool:
        """Count a request and say whether it may go; one that may not costs nothing."""
        if now_s >= self._began_s + WINDOW_S:
            self._began_s, self._requests = now_s, 0
        if self._requests >= limit:
            return False
        self._requests += 1
        return True

    def remaining(self, limit: int) -> int:
        return max(0, limit - self._requests)

    def reset_s(self) -> int:
        """Return when the window ends, rounded up: it is a whole number of seconds."""
        return -int(-(self._began_s + WINDOW_S) // 1)

    def bill(self, posts: list[int], *, now_s: float) -> None:
        """Count the posts that were not billed today: "deduplicated within a 24-hour UTC day window"."""
        if int(now_s // _DAY_S) != self._day:
            self._day, self._today = int(now_s // _DAY_S), set()
        new = set(posts) - self._today
        self._today |= new
        self.posts += len(new)
