"""What runs when: ordinary Celery beat entries, one page, edited by hand.

`schedule` is seconds, a timedelta or a crontab. A fetch without `instruments` asks for all followed series of its
kind. What is ours rides in `options.headers.tickfarm`: `priority` 1 (first) to 5. Stock beat loads this page too.
"""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab

beat_schedule: dict[str, dict[str, Any]] = {
    # A quote is worth something while it is fresh: a poll nobody began within 5 s is dropped.
    "binance-quotes": {
        "task": "tasks.fetch.binance",
        "schedule": 1.0,
        "kwargs": {"dataset": "quotes"},
        "options": {"queue": "live", "expires": 5, "headers": {"tickfarm": {"priority": 1}}},
    },
    # The newest bars, forming one included: twice a minute, so that a closed bar is final within 35 s.
    "binance-bars-1m": {
        "task": "tasks.fetch.binance",
        "schedule": 30.0,
        "kwargs": {"dataset": "bars", "interval": "1m"},
        "options": {"queue": "live", "expires": 60, "headers": {"tickfarm": {"priority": 2}}},
    },
    # WIKI/PRICES stopped in 2018, so this costs one request a day and proves that nothing new came.
    "nasdaq-data-link-bars-1d": {
        "task": "tasks.fetch.nasdaq_data_link",
        "schedule": crontab(hour="6", minute="15"),
        "kwargs": {"dataset": "bars", "interval": "1d"},
        "options": {"queue": "standard", "expires": 43_200, "headers": {"tickfarm": {"priority": 3}}},
    },
}
