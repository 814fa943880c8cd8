"""The mock of a limit: so much weight in any window of so long, counted when a request arrives, with no tolerance.

`python -m benchmarks.weight_mock --port N --weight W --window-s S --latency-ms M`. It answers Binance's klines and
depth; what is too much gets a 429 and counts as a violation, not as used. `/told` says what it has seen. Deliberately
not here: bans. Invariant: the limit is checked in a sliding window, to the microsecond, whoever asks.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import deque
from collections.abc import Sequence

from benchmarks.wire_server import WireServer, http_answer

#: Weight by endpoint. Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api, 2026-11-24:
#: klines 2; depth 5 where `limit` is 1 to 100.
WEIGHTS = {b"klines": 2, b"depth": 5}
TOLD = b"/told"
_PAGES = {
    b"klines": http_answer("200 OK", '[[1704067200000,"1","1","1","1","1",1704067259999,"1",1,"1","1","0"]]'),
    b"depth": http_answer("200 OK", '{"lastUpdateId":1,"bids":[["1","1"]],"asks":[["2","1"]]}'),
}
_TOO_MUCH = http_answer("429 Too Many Requests", '{"code":-1003,"msg":"Too many requests"}', "Retry-After: 1\r\n")
_UNKNOWN = http_answer("404 Not Found", "{}")


class WeightLimit:
    """What arrived within the limit, and what did not."""

    def __init__(self, amount: int, window_s: float) -> None:
        self.amount, self.window_s = amount, window_s
        self.accepted: list[tuple[float, int]] = []
        self.violations = 0
        self.asked = 0
        self._recent: deque[tuple[float, int]] = deque()
        self._used = 0

    def take(self, weight: int, now: float) -> bool:
        """Count an arrival; say whether it is within the limit. `now` in seconds, of any clock that never goes back."""
        self.asked += weight
        while self._recent and self._recent[0][0] <= now - self.window_s:
            self._used -= self._recent.popleft()[1]
        if self._used + weight > self.amount:
            self.violations += 1
            return False
        self._used += weight
        self._recent.append((now, weight))
        self.accepted.append((now, weight))
        return True


def used_pct(accepted: Sequence[tuple[float, int]], amount: int, window_s: float) -> float:
    """Return how full the window was, in percent of the limit: the mean over every place it had from first to last.

    The mean, because grants come in bursts: a count between two moments would depend on where in a burst they lie.
    """
    first, last = accepted[0][0], accepted[-1][0] - window_s
    if last <= first:
        raise ValueError(f"expected arrivals over more than two windows of {window_s:g} s")
    covered = (weight * max(0.0, min(at, last) - max(at - window_s, first)) for at, weight in accepted)
    return 100 * sum(covered) / (last - first) / amount


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="Enforce a weight limit.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--weight", type=int, required=True)
    parser.add_argument("--window-s", type=float, required=True)
    parser.add_argument("--latency-ms", type=float, required=True)
    asked = parser.parse_args()
    os.environ.clear()  # it needs nothing of ours
    limit = WeightLimit(asked.weight, asked.window_s)

    def answer(target: bytes) -> bytes:
        if target == TOLD:
            return http_answer("200 OK", json.dumps(_told(limit)))
        endpoint = target.partition(b"?")[0].rpartition(b"/")[2]
        if endpoint not in WEIGHTS:
            return _UNKNOWN
        return _PAGES[endpoint] if limit.take(WEIGHTS[endpoint], time.monotonic()) else _TOO_MUCH

    WireServer(asked.port, answer, latency_s=asked.latency_ms / 1000).serve()


def _told(limit: WeightLimit) -> dict[str, float]:
    weight = sum(one for _, one in limit.accepted)
    seconds = limit.accepted[-1][0] - limit.accepted[0][0] if limit.accepted else 0.0
    told = {"requests": len(limit.accepted), "weight": weight, "violations": limit.violations, "seconds": seconds}
    if seconds > 2 * limit.window_s:
        told["asked_pct"] = 100 * limit.asked * limit.window_s / (seconds + limit.window_s) / limit.amount
        told["used_pct"] = used_pct(limit.accepted, limit.amount, limit.window_s)
    return told


if __name__ == "__main__":
    main()
