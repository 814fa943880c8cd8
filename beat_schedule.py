"""What runs when: ordinary Celery beat entries, one page, edited by hand. Saving it is enough: no restart.

`schedule` is seconds, a timedelta or a crontab. A fetch without `instruments` asks for all followed series of its
kind. What is ours rides in `options.headers.tickfarm`: `priority` 1 (first) to 5, `enabled`, `timeout_s`, `retries`,
`per_minute` (requests its jobs may send together), `after` (another entry), `overlap` (off: a slot is skipped while
the run before it is at work), `catch_up` (`skip`, `latest`, `all` with `catch_up_limit`), `timezone`, `offset`,
`window`. Stock beat loads this page too. `tickfarm schedule` changes entries from outside; that wins until `reset`.
"""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab


def _live(task: str, every_s: float, *, dataset: str, priority: int, expires_s: float, **kwargs: str) -> dict[str, Any]:
    """A poll for the newest rows. One nobody began within `expires_s` is dropped: the next asks for the same."""
    return {
        "task": f"tasks.fetch.{task}",
        "schedule": every_s,
        "kwargs": {"dataset": dataset, **kwargs},
        "options": {"queue": "live", "expires": expires_s, "headers": {"tickfarm": {"priority": priority}}},
    }


beat_schedule: dict[str, dict[str, Any]] = {
    # Quotes as fast as a provider permits: where it answers slower than the cadence, slots are skipped by themselves.
    # Binance takes 100 pairs in one request and allows 1,500 such a minute; twice a second is all a person can use.
    "binance-quotes": _live("binance", 0.5, dataset="quotes", priority=1, expires_s=2),
    # Coinbase takes one product a request and allows 10 requests a second: five products fill half of that.
    "coinbase-quotes": _live("coinbase", 1.0, dataset="quotes", priority=1, expires_s=5),
    # Kraken allows about 1 request a second for everything: half for quotes, half for bars, trades and books.
    "kraken-quotes": _live("kraken", 2.0, dataset="quotes", priority=1, expires_s=5),
    # The newest bars, the forming one included: twice a minute, so that a closed bar is final within 35 s.
    "binance-bars-1m": _live("binance", 30.0, dataset="bars", priority=2, expires_s=60, interval="1m"),
    "coinbase-bars-1m": _live("coinbase", 30.0, dataset="bars", priority=2, expires_s=60, interval="1m"),
    "kraken-bars-1m": _live("kraken", 60.0, dataset="bars", priority=2, expires_s=120, interval="1m"),
    # The newest 1,000 trades: polls overlap, and what is stored already costs nothing.
    "binance-trades": _live("binance", 5.0, dataset="trades", priority=2, expires_s=20),
    "coinbase-trades": _live("coinbase", 10.0, dataset="trades", priority=2, expires_s=40),
    "kraken-trades": _live("kraken", 15.0, dataset="trades", priority=3, expires_s=60),
    # The best 100 levels a side.
    "binance-books": _live("binance", 10.0, dataset="books", priority=3, expires_s=30),
    "coinbase-books": _live("coinbase", 30.0, dataset="books", priority=3, expires_s=60),
    "kraken-books": _live("kraken", 30.0, dataset="books", priority=3, expires_s=60),
    # Changes of the providers' health are reported within two checks: half a minute. One costs some milliseconds.
    "health": {
        "task": "tasks.health",
        "schedule": 15.0,
        "options": {"queue": "maintenance", "expires": 15, "headers": {"tickfarm": {"priority": 4}}},
    },
    # What is old enough goes, a share each hour. It comes last: nothing waits for it.
    "retention": {
        "task": "tasks.retention",
        "schedule": crontab(minute="17"),
        "options": {"queue": "maintenance", "expires": 3_000, "headers": {"tickfarm": {"priority": 5}}},
    },
    # WIKI/PRICES stopped in 2018, so this costs one request a day and proves that nothing new came.
    "nasdaq-data-link-bars-1d": {
        "task": "tasks.fetch.nasdaq_data_link",
        "schedule": crontab(hour="6", minute="15"),
        "kwargs": {"dataset": "bars", "interval": "1d"},
        "options": {"queue": "standard", "expires": 43_200, "headers": {"tickfarm": {"priority": 3}}},
    },
}
