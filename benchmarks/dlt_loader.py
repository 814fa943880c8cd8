"""One process that loads history with dlt: its `rest_api` source into its PostgreSQL destination.

`python -m benchmarks.dlt_loader --port N --days D --database URL` prints its seconds. Not here: any tuning.
Invariant: only the address is the mock's, and the pages are Binance's, which none of dlt's own paginators knows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import dlt
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from dlt.sources.rest_api import rest_api_source
from sqlalchemy.engine import make_url

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


class Pages(BasePaginator):  # type: ignore[misc]
    """Windows of a page each, up to the end. Numbers alone, as dlt copies it."""

    def __init__(self, start: int, end: int) -> None:
        super().__init__()
        self._at, self._end = start, end

    def init_request(self, request: Any) -> None:
        """Ask for the first page."""
        self.update_request(request)

    def update_state(self, response: Any, data: list[Any] | None = None) -> None:
        """Go on to the next page."""
        self._at += PAGE_ROWS * MINUTE_MS
        self._has_next_page = self._at < self._end

    def update_request(self, request: Any) -> None:
        """Ask for a page."""
        last = min(self._at + PAGE_ROWS * MINUTE_MS, self._end) - 1
        request.params = {**(request.params or {}), "startTime": self._at, "endTime": last}


def load(port: int, days: int, database: str) -> float:
    """Load so many days and return the seconds it took."""
    klines = {
        "name": TABLE,
        "endpoint": {
            "path": "klines",
            "params": {"symbol": SYMBOL, "interval": INTERVAL, "limit": PAGE_ROWS},
            "paginator": Pages(*bounds_ms(days)),
            "data_selector": "$",
        },
        "processing_steps": [{"map": _named}],
    }
    config: Any = {"client": {"base_url": f"http://{LOOPBACK}:{port}/binance/api/v3/"}, "resources": [klines]}
    address = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    pipeline = dlt.pipeline("benchmark", destination=dlt.destinations.postgres(address), dataset_name=SCHEMA)
    began = time.perf_counter()
    pipeline.run(rest_api_source(config))
    return time.perf_counter() - began


def _named(row: list[Any]) -> Mapping[str, Any]:
    return dict(zip(("ts", "open", "high", "low", "close", "volume"), row, strict=False))


def main() -> None:
    """Load, and print the seconds it took."""
    asked = loader_options().parse_args()
    print(load(asked.port, asked.days, asked.database))


if __name__ == "__main__":
    main()
