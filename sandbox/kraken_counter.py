"""The call counter that Kraken limits requests with.

Deliberately not here: what a refusal looks like (`dialects/kraken.py`).
Invariant: whoever keeps to the decay, one call a second, is never refused.
Source: https://docs.kraken.com/exchange/guides/rest/ratelimits, read 2026-11-24. It gives the numbers of an account's
counter; how high that of the public endpoints may rise is not documented, so the lowest account's is taken for it.
"""


class CallCounter:
    """One counter a caller: each call raises it by one, time lowers it."""

    def __init__(self) -> None:
        self._counters: dict[str, tuple[float, float]] = {}

    def count(self, caller: str, *, highest: int, decay_per_s: int, now_s: float) -> bool:
        """Count a call; False where the counter is over the highest value.

        A refused call counts too ("possibly longer if calls continue to be made"), up to twice that value.
        """
        value, counted_at_s = self._counters.get(caller, (0.0, now_s))
        value = max(0.0, value - max(0.0, now_s - counted_at_s) * decay_per_s) + 1
        self._counters[caller] = (min(value, 2.0 * highest), now_s)
        return value <= highest

    def forget(self) -> None:
        self._counters.clear()
