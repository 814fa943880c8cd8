"""The mock of quotes: coinbase's ticker of any product, as prebuilt bytes, at once or after a fixed latency.

`python -m benchmarks.ticker_mock --port N [--latency-ms M]`. Deliberately not here: faults, limits, other endpoints.
Invariant: a product asked twice gets the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re

from benchmarks.wire_server import WireServer, http_answer

#: What the provider's own edge adds to each answer: a client reads these too.
_EDGE = (
    "Date: Tue, 24 Nov 2026 12:00:00 GMT\r\nConnection: keep-alive\r\nCache-Control: no-store\r\n"
    "Strict-Transport-Security: max-age=15552000; includeSubDomains\r\nX-Content-Type-Options: nosniff\r\n"
    "CF-Cache-Status: DYNAMIC\r\n"
)
_TICKER = re.compile(r"/coinbase/products/([A-Z0-9]+-[A-Z]+)/ticker")


def answer(target: str) -> bytes:
    """Return the whole HTTP answer to a request target. Shape and width as in the provider's documentation."""
    found = _TICKER.fullmatch(target)
    if found is None:
        return http_answer("404 Not Found", '{"message":"NotFound"}')
    dice = random.Random(found[1])
    price = dice.uniform(1, 50_000)
    body = {
        "ask": f"{price * 1.0001:.2f}",
        "bid": f"{price:.2f}",
        "volume": f"{dice.uniform(10, 9_000):.8f}",
        "trade_id": dice.randrange(10**8),
        "price": f"{price:.2f}",
        "size": f"{dice.uniform(0.0001, 2):.8f}",
        "time": "2026-11-24T12:00:00.123456Z",
        "rfq_volume": f"{dice.uniform(10, 900):.6f}",
    }
    return http_answer("200 OK", json.dumps(body, separators=(",", ":")), _EDGE)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="Serve tickers as prebuilt bytes.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    asked = parser.parse_args()
    os.environ.clear()  # it needs nothing of ours
    pages: dict[bytes, bytes] = {}

    def prebuilt(target: bytes) -> bytes:
        page = pages.get(target)
        if page is None:
            page = pages[target] = answer(target.decode())
        return page

    WireServer(asked.port, prebuilt, latency_s=asked.latency_ms / 1000).serve()


if __name__ == "__main__":
    main()
