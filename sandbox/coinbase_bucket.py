"""The token bucket that Coinbase counts requests with.

Deliberately not here: what a refusal looks like (`dialects/coinbase.py`).
Invariant: a caller is granted at most `burst + rate_per_s * seconds` requests in any span of time.
Source: https://docs.cdp.coinbase.com/exchange/rest-api/rate-limits, "How Rate Limits Work", read 2026-11-24.
"""


class TokenBuckets:
    """One lazily filled bucket per caller; each begins full."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, *, burst: int, rate_per_s: int, now_s: float) -> bool:
        """Fill the caller's bucket up to now, then take a token; False where there is none, which costs nothing."""
        tokens, filled_at_s = self._buckets.get(caller, (float(burst), now_s))
        tokens = min(burst, tokens + max(0.0, now_s - filled_at_s) * rate_per_s)
        granted = tokens >= 1
        self._buckets[caller] = (tokens - 1 if granted else tokens, now_s)
        return granted

    def forget(self) -> None:
        self._buckets.clear()
