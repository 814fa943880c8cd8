"""One process that loads history as ccxt's documentation shows it: page after page, each appended by pandas.

`python -m benchmarks.ccxt_loader --port N --days D --database URL` prints its seconds. Not here: any tuning.
Invariant: only the address is the mock's; its own limiter is off, because nobody here is to be spared.
"""

from __future__ import annotations

import time

import ccxt
import pandas as pd
import sqlalchemy

from benchmarks.backfill_contenders import (
    INTERVAL,
    MINUTE_MS,
    PAGE_ROWS,
    SCHEMA,
    SYMBOL,
    TABLE,
    bounds_ms,
    loader_options,
)
from local.port import LOOPBACK


def load(port: int, days: int, database: str) -> float:
    """Load so many days and return the seconds it took."""
    exchange = ccxt.binance({"enableRateLimit": False})
    exchange.urls["api"]["public"] = f"http://{LOOPBACK}:{port}/binance/api/v3"
    engine = sqlalchemy.create_engine(database)
    at, end = bounds_ms(days)
    began = time.perf_counter()
    while at < end:
        last = min(at + PAGE_ROWS * MINUTE_MS, end) - 1
        asked = {"symbol": SYMBOL, "interval": INTERVAL, "limit": PAGE_ROWS, "startTime": at, "endTime": last}
        page = [exchange.parse_ohlcv(row) for row in exchange.publicGetKlines(asked)]
        frame = pd.DataFrame(page, columns=["ts", "open", "high", "low", "close", "volume"])
        frame.to_sql(TABLE, engine, schema=SCHEMA, if_exists="append", index=False)
        at = page[-1][0] + MINUTE_MS
    return time.perf_counter() - began


def main() -> None:
    """Load, and print the seconds it took."""
    asked = loader_options().parse_args()
    print(load(asked.port, asked.days, asked.database))


if __name__ == "__main__":
    main()
