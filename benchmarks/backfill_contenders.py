"""What people load history with: ccxt's pages through pandas' `to_sql`, and dlt's `rest_api` into PostgreSQL.

`python -m benchmarks.backfill_contenders NAME --port N --days D --database URL` is one of them, in a process of its
own, and prints the seconds it took. Deliberately not here: any tuning. Invariant: each is as its documentation shows
it; only addresses are the mock's; its time begins after its imports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy

from benchmarks.stage import Stage
from ingest.settings import CHECKOUT
from local.port import LOOPBACK

INTERVAL, PAGE_ROWS = "1m", 1_000
START = datetime(2024, 1, 1, tzinfo=UTC)
_MINUTE_MS = 60_000
_TABLE = "klines"
_SCHEMA = "contender"
PATIENCE_S = 600


def rows_s(where: Stage, port: int, name: str, days: int) -> float:
    """Return how many rows a second one of them brings. Raises RuntimeError where rows are missing."""
    engine = sqlalchemy.create_engine(where.urls.database_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE"))
        connection.execute(sqlalchemy.text(f"CREATE SCHEMA {_SCHEMA}"))
    engine.dispose()
    argv = [sys.executable, "-m", "benchmarks.backfill_contenders", name, "--port", str(port), "--days", str(days)]
    argv += ["--database", where.urls.database_url]
    env = {**os.environ, "HOME": str(where.home), "DLT_DATA_DIR": str(where.home / "dlt")}
    done = subprocess.run(argv, cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
    found = where.number(f"SELECT count(*) FROM {_SCHEMA}.{_TABLE}")
    if found != days * 1_440:
        raise RuntimeError(f"{name}: expected {days * 1_440} rows, found {found}")
    return days * 1_440 / float(done.stdout.split()[-1])


def _ccxt(port: int, days: int, database: str) -> float:
    """ccxt's documented loop over pages, each appended by pandas."""
    import ccxt  # noqa: PLC0415 - the other contender's process does not load it
    import pandas  # noqa: PLC0415 - the same

    exchange = ccxt.binance({"enableRateLimit": False})
    exchange.urls["api"]["public"] = f"http://{LOOPBACK}:{port}/binance/api/v3"
    engine = sqlalchemy.create_engine(database)
    at, end = _ms(START), _ms(START + timedelta(days=days))
    began = time.perf_counter()
    while at < end:
        until_ms = min(at + PAGE_ROWS * _MINUTE_MS, end) - 1
        asked = {"symbol": "BTCUSDT", "interval": INTERVAL, "limit": PAGE_ROWS, "startTime": at, "endTime": until_ms}
        page = [exchange.parse_ohlcv(row) for row in exchange.publicGetKlines(asked)]
        frame = pandas.DataFrame(page, columns=["ts", "open", "high", "low", "close", "volume"])
        frame.to_sql(_TABLE, engine, schema=_SCHEMA, if_exists="append", index=False)
        at = page[-1][0] + _MINUTE_MS
    return time.perf_counter() - began


def _dlt(port: int, days: int, database: str) -> float:
    """dlt's `rest_api` source with a paginator for Binance's pages."""
    import dlt  # noqa: PLC0415 - the other contender's process does not load it
    from dlt.sources.rest_api import rest_api_source  # noqa: PLC0415 - the same

    config: Any = {
        "client": {"base_url": f"http://{LOOPBACK}:{port}/binance/api/v3/"},
        "resources": [
            {
                "name": _TABLE,
                "endpoint": {
                    "path": "klines",
                    "params": {"symbol": "BTCUSDT", "interval": INTERVAL, "limit": PAGE_ROWS},
                    "paginator": _paginator(_ms(START), _ms(START + timedelta(days=days))),
                    "data_selector": "$",
                },
                "processing_steps": [{"map": _named}],
            }
        ],
    }
    address = sqlalchemy.engine.make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    destination = dlt.destinations.postgres(address)
    pipeline = dlt.pipeline("benchmark", destination=destination, dataset_name=_SCHEMA)
    began = time.perf_counter()
    pipeline.run(rest_api_source(config))
    return time.perf_counter() - began


def _named(row: list[Any]) -> Mapping[str, Any]:
    return dict(zip(("ts", "open", "high", "low", "close", "volume"), row, strict=False))


def _paginator(start: int, end: int) -> Any:
    from dlt.sources.helpers.rest_client.paginators import BasePaginator  # noqa: PLC0415 - only dlt's process has it

    class Pages(BasePaginator):  # type: ignore[misc]
        """Windows of a page each, up to the end. Numbers alone, as dlt copies it."""

        def __init__(self) -> None:
            super().__init__()
            self._at = start

        def init_request(self, request: Any) -> None:
            self.update_request(request)

        def update_state(self, response: Any, data: list[Any] | None = None) -> None:
            self._at += PAGE_ROWS * _MINUTE_MS
            self._has_next_page = self._at < end

        def update_request(self, request: Any) -> None:
            last = min(self._at + PAGE_ROWS * _MINUTE_MS, end) - 1
            request.params = {**(request.params or {}), "startTime": self._at, "endTime": last}

    return Pages()


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def main() -> None:
    """Run one of them and print its seconds."""
    parser = argparse.ArgumentParser(description="Load one symbol's minutes as people do.")
    parser.add_argument("name", choices=("ccxt", "dlt"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--days", type=int, required=True)
    parser.add_argument("--database", required=True)
    asked = parser.parse_args()
    load = {"ccxt": _ccxt, "dlt": _dlt}[asked.name]
    print(load(asked.port, asked.days, asked.database))


if __name__ == "__main__":
    main()
