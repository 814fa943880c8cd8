"""The engine the mission starts from: one asyncio process, aiohttp with `TCPConnector(limit=5000, limit_per_host=100)`.

`python -m benchmarks.aiohttp_engine --port N --requests M` prints its figures as JSON. It decodes the answers and keeps
nothing. Deliberately not here: breaker, budget, retries, storage. Invariant: each connection is asked again as soon as
its answer is read, so that the connector's limit, and no batch, bounds it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator

import aiohttp

from benchmarks.tickers import urls

CONNECTIONS, PER_HOST = 5000, 100


async def run(addresses: list[str]) -> int:
    """Ask every address; return how many answers were tickers."""
    left = iter(addresses)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, limit_per_host=PER_HOST)
    ) as http:
        return sum(await asyncio.gather(*(_work(http, left) for _ in range(PER_HOST))))


async def _work(http: aiohttp.ClientSession, left: Iterator[str]) -> int:
    good = 0
    for url in left:
        async with http.get(url) as answer:
            ticker = await answer.json()
            good += answer.status == 200 and "bid" in ticker
    return good


def main() -> None:
    """Ask once to warm up, then measure."""
    parser = argparse.ArgumentParser(description="Fetch tickers with aiohttp.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True)
    asked = parser.parse_args()
    addresses = urls(asked.port, asked.requests)
    asyncio.run(run(addresses[:PER_HOST]))
    began, used = time.perf_counter(), time.process_time()
    good = asyncio.run(run(addresses))
    print(json.dumps({"good": good, "seconds": time.perf_counter() - began, "cpu_s": time.process_time() - used}))


if __name__ == "__main__":
    main()
