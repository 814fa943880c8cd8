"""The mock: an HTTP server of its own process that answers binance's klines, and coinbase's tickers, as prebuilt bytes.

`python -m benchmarks.kline_mock --port N`. Deliberately not here: faults, limits, other endpoints (the sandbox has
them, and is too slow to stand behind a throughput figure); what a ticker looks like (ticker_mock). Invariant: a window
asked twice gets the same bytes; every row lies in the window that was asked for, so that each (symbol, minute) exists
once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
from functools import cache
from urllib.parse import parse_qsl

from benchmarks.ticker_mock import answer as ticker
from local.port import LOOPBACK

PATH = "/binance/api/v3/klines"
MINUTE_MS = 60_000
#: Rows of a page; also how many rows a symbol's price walk has before it repeats.
PAGE_ROWS = 1_000
#: So many pages are kept, 300 MB: twice what a run of `ingest` asks for. The rest is built at each request, in 0.6 ms.
MOST_PAGES = 2_000
_HEAD = "HTTP/1.1 {status}\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {size}\r\n\r\n"


class KlineServer(asyncio.Protocol):
    """One connection: keep-alive, pipelining, GET only. Pages are kept by their target, shared by all connections."""

    def __init__(self, pages: dict[bytes, bytes]) -> None:
        self._pages = pages
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for request in requests:
            target = request.split(b" ", 2)[1]
            page = self._pages.get(target)
            if page is None:
                page = answer(target.decode())
                if len(self._pages) < MOST_PAGES:
                    self._pages[target] = page
            self._transport.write(page)


def answer(target: str) -> bytes:
    """Return the whole HTTP answer to a request target: the klines that open in [startTime, endTime], at most 1,000.

    Without a start the newest `limit` of them; a path that is not of klines may be a ticker's.
    """
    path, _, query = target.partition("?")
    if path != PATH:
        return ticker(target)
    asked = dict(parse_qsl(query))
    last = int(asked["endTime"]) // MINUTE_MS
    first = -(-int(asked["startTime"]) // MINUTE_MS) if "startTime" in asked else last + 1 - int(asked["limit"])
    last = min(last, first + PAGE_ROWS - 1)
    walk = _walk(asked["symbol"])
    body = ",".join([walk[at % PAGE_ROWS] % (at * MINUTE_MS, at * MINUTE_MS + 59_999) for at in range(first, last + 1)])
    head = _HEAD.format(status="200 OK", size=len(body) + 2)
    return f"{head}[{body}]".encode()


@cache
def _walk(symbol: str) -> list[str]:
    """Return a row per minute, with both times left open. Shape and width as in binance's documentation."""
    rng = random.Random(symbol)
    price, rows = rng.uniform(1, 50_000), []
    for _ in range(PAGE_ROWS):
        opened, price = price, price * rng.uniform(0.999, 1.001)
        low, high, volume = min(opened, price) * 0.9995, max(opened, price) * 1.0005, rng.uniform(0.1, 500)
        prices = ",".join(f'"{one:.8f}"' for one in (opened, high, low, price, volume))
        value = f'"{volume * price:.8f}",{rng.randrange(1, 5_000)},"{volume / 2:.8f}","{volume * price / 2:.8f}","0"'
        rows.append(f"[%d,{prices},%d,{value}]")
    return rows


async def _serve(port: int) -> None:
    pages: dict[bytes, bytes] = {}
    server = await asyncio.get_running_loop().create_server(lambda: KlineServer(pages), LOOPBACK, port)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="Serve klines as prebuilt bytes.")
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()
    os.environ.clear()  # it needs nothing of ours
    asyncio.run(_serve(asked.port))


if __name__ == "__main__":
    main()
