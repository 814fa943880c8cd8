"""One process that asks as much as ccxt lets it: klines and depth in turn, its own rate limiter on.

`python -m benchmarks.ccxt_caller --port N --seconds T`. Deliberately not here: anything to coordinate several of them,
because ccxt has nothing for that. Invariant: its settings are its own; only the address is the mock's.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import ccxt.async_support as ccxt

from local.port import LOOPBACK

#: Requests under way at once: more than its limiter lets go during an answer.
AT_ONCE = 20


async def run(port: int, seconds: float) -> None:
    """Ask until the time is over."""
    exchange = ccxt.binance({"enableRateLimit": True})
    exchange.urls["api"]["public"] = f"http://{LOOPBACK}:{port}/binance/api/v3"
    deadline = time.monotonic() + seconds
    try:
        await asyncio.gather(*(_work(exchange, deadline) for _ in range(AT_ONCE)))
    finally:
        await exchange.close()


async def _work(exchange: ccxt.binance, deadline: float) -> None:
    while time.monotonic() < deadline:
        for ask in (exchange.publicGetKlines, exchange.publicGetDepth):
            try:
                await ask({"symbol": "BTCUSDT", "interval": "1m", "limit": 100})
            except ccxt.NetworkError:  # what it makes of a 429: the mock has counted it
                continue


def main() -> None:
    """Run one client."""
    parser = argparse.ArgumentParser(description="Ask through ccxt.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()
    asyncio.run(run(asked.port, asked.seconds))


if __name__ == "__main__":
    main()
