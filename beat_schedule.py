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

_NEW_YORK = "America/New_York"


def _live(task: str, every_s: float, *, dataset: str, priority: int, expires_s: float, **kwargs: str) -> dict[str, Any]:
    """A poll for the newest rows. One nobody began within `expires_s` is dropped: the next asks for the same."""
    return {
        "task": f"tasks.fetch.{task}",
        "schedule": every_s,
        "kwargs": {"dataset": dataset, **kwargs},
        "options": {"queue": "live", "expires": expires_s, "headers": {"tickfarm": {"priority": priority}}},
    }


def _daily(
    task: str, when: crontab, *, dataset: str, zone: str = "UTC", expires_s: float = 21_600, **kwargs: str
) -> dict[str, Any]:
    """A fetch of what comes once a day or less, by the clock of `zone`."""
    return {
        "task": f"tasks.fetch.{task}",
        "schedule": when,
        "kwargs": {"dataset": dataset, **kwargs},
        "options": {
            "queue": "standard",
            "expires": expires_s,
            "headers": {"tickfarm": {"priority": 3, "timezone": zone}},
        },
    }


beat_schedule: dict[str, dict[str, Any]] = {
    # --- Exchanges: quotes first, then books, one-minute bars and trades, five-minute bars.
    # Quotes as fast as a provider permits: where it answers slower than the cadence, slots are skipped by themselves.
    # Binance takes 100 pairs in one request and allows 1,500 such a minute; twice a second is all a person can use.
    "binance-quotes": _live("binance", 0.5, dataset="quotes", priority=1, expires_s=2),
    # Coinbase takes one product a request and allows 10 requests a second: five products fill half of that.
    "coinbase-quotes": _live("coinbase", 1.0, dataset="quotes", priority=1, expires_s=5),
    # Kraken allows about 1 request a second for everything: half for quotes, half for bars, trades and books.
    "kraken-quotes": _live("kraken", 2.0, dataset="quotes", priority=1, expires_s=5),
    # Bitfinex limits each endpoint by itself: 90 ticker requests a minute, 100 pairs in one.
    "bitfinex-quotes": _live("bitfinex", 5.0, dataset="quotes", priority=1, expires_s=15),
    # The best 100 levels a side.
    "binance-books": _live("binance", 10.0, dataset="books", priority=2, expires_s=30),
    "coinbase-books": _live("coinbase", 30.0, dataset="books", priority=2, expires_s=60),
    "kraken-books": _live("kraken", 30.0, dataset="books", priority=2, expires_s=60),
    "bitfinex-books": _live("bitfinex", 30.0, dataset="books", priority=2, expires_s=60),
    # The newest bars, the forming one included: twice a minute, so that a closed bar is final within 35 s.
    "binance-bars-1m": _live("binance", 30.0, dataset="bars", priority=3, expires_s=60, interval="1m"),
    "coinbase-bars-1m": _live("coinbase", 30.0, dataset="bars", priority=3, expires_s=60, interval="1m"),
    "coinbase-advanced-bars-1m": _live(
        "coinbase_advanced", 30.0, dataset="bars", priority=3, expires_s=60, interval="1m"
    ),
    "kraken-bars-1m": _live("kraken", 60.0, dataset="bars", priority=3, expires_s=120, interval="1m"),
    # One pair a request, 30 requests for candles a minute: 20 pairs with both intervals.
    "bitfinex-bars-1m": _live("bitfinex", 60.0, dataset="bars", priority=3, expires_s=120, interval="1m"),
    "binance-bars-5m": _live("binance", 300.0, dataset="bars", priority=4, expires_s=300, interval="5m"),
    "coinbase-bars-5m": _live("coinbase", 300.0, dataset="bars", priority=4, expires_s=300, interval="5m"),
    "coinbase-advanced-bars-5m": _live(
        "coinbase_advanced", 300.0, dataset="bars", priority=4, expires_s=300, interval="5m"
    ),
    "kraken-bars-5m": _live("kraken", 300.0, dataset="bars", priority=4, expires_s=300, interval="5m"),
    "bitfinex-bars-5m": _live("bitfinex", 300.0, dataset="bars", priority=4, expires_s=300, interval="5m"),
    # The newest 1,000 trades: polls overlap, and what is stored already costs nothing. Bitfinex: 15 requests a minute.
    "binance-trades": _live("binance", 5.0, dataset="trades", priority=3, expires_s=20),
    "coinbase-trades": _live("coinbase", 10.0, dataset="trades", priority=3, expires_s=40),
    "kraken-trades": _live("kraken", 15.0, dataset="trades", priority=3, expires_s=60),
    "bitfinex-trades": _live("bitfinex", 60.0, dataset="trades", priority=3, expires_s=120),
    # --- Shares. What a free key allows; with a plan: `tickfarm schedule set NAME --every ..`, and `schedule load` says
    # what fits. Daily bars come after the close in New York, where the provider has them by then.
    # Yahoo: an instrument a request, a request a second (our own limit): 25 instruments fill half of it.
    "yahoo-quotes": _live("yahoo", 60.0, dataset="quotes", priority=1, expires_s=60),
    "yahoo-bars-1m": _live("yahoo", 60.0, dataset="bars", priority=3, expires_s=120, interval="1m"),
    "yahoo-bars-5m": _live("yahoo", 300.0, dataset="bars", priority=4, expires_s=300, interval="5m"),
    "yahoo-bars-1d": _daily("yahoo", crontab(hour="16", minute="20"), dataset="bars", interval="1d", zone=_NEW_YORK),
    "yahoo-actions": _daily("yahoo", crontab(hour="18", minute="0"), dataset="actions", zone=_NEW_YORK),
    # Finnhub: 60 a minute, one instrument each: ten instruments are 40.
    "finnhub-quotes": _live("finnhub", 15.0, dataset="quotes", priority=1, expires_s=30),
    "finnhub-news": _live("finnhub", 900.0, dataset="news", priority=4, expires_s=900),
    # Alpha Vantage: 25 a day, one instrument each. Every five minutes takes a plan of 75 a minute; free, a quote and an
    # article's series every four and six hours, and four daily series, are 16.
    "alpha-vantage-quotes": _live("alpha_vantage", 14_400.0, dataset="quotes", priority=4, expires_s=14_400),
    "alpha-vantage-news": _live("alpha_vantage", 21_600.0, dataset="news", priority=4, expires_s=21_600),
    "alpha-vantage-bars-1d": _daily(
        "alpha_vantage", crontab(hour="20", minute="30"), dataset="bars", interval="1d", zone=_NEW_YORK
    ),
    "alpha-vantage-observations": _daily("alpha_vantage", crontab(hour="7", minute="0"), dataset="observations"),
    # Financial Modeling Prep: 250 a day. Ten quotes every two hours are 120, their days 10.
    "fmp-quotes": _live("fmp", 7_200.0, dataset="quotes", priority=4, expires_s=7_200),
    "fmp-news": _live("fmp", 3_600.0, dataset="news", priority=4, expires_s=3_600),
    "fmp-bars-1d": _daily("fmp", crontab(hour="17", minute="30"), dataset="bars", interval="1d", zone=_NEW_YORK),
    "fmp-observations": _daily("fmp", crontab(hour="8", minute="0"), dataset="observations"),
    "fmp-actions": _daily("fmp", crontab(hour="9", minute="0", day_of_week="6"), dataset="actions"),
    # Polygon: five a minute, days that are over only: a whole market's day is one request, whatever is followed.
    "polygon-bars-1d": _daily("polygon", crontab(hour="6", minute="30"), dataset="bars", interval="1d"),
    "polygon-actions": _daily("polygon", crontab(hour="7", minute="0"), dataset="actions"),
    "polygon-observations": _daily("polygon", crontab(hour="12", minute="0"), dataset="observations"),
    "polygon-news": _live("polygon", 900.0, dataset="news", priority=4, expires_s=900),
    # Marketstack: 100 symbols a month: two on each weekday are 46, their actions once a month 4.
    "marketstack-bars-1d": _daily(
        "marketstack", crontab(hour="23", minute="30", day_of_week="1-5"), dataset="bars", interval="1d"
    ),
    "marketstack-actions": _daily("marketstack", crontab(hour="4", minute="0", day_of_month="1"), dataset="actions"),
    # WIKI/PRICES stopped in 2018, so this costs one request a day and proves that nothing new came.
    "nasdaq-data-link-bars-1d": _daily(
        "nasdaq_data_link", crontab(hour="6", minute="15"), dataset="bars", interval="1d", expires_s=43_200
    ),
    "nasdaq-data-link-observations": _daily("nasdaq_data_link", crontab(hour="6", minute="20"), dataset="observations"),
    # --- Economic series, rates, news, posts.
    # FRED: 120 a minute.
    "fred-observations": _live("fred", 3_600.0, dataset="observations", priority=3, expires_s=3_600),
    # The bank's rates appear about 16:00 in Frankfurt, late at times.
    "frankfurter-observations": _daily(
        "frankfurter", crontab(hour="15,17,20", minute="20"), dataset="observations", expires_s=7_200
    ),
    # GDELT's grid is a quarter of an hour; a topic is one request of the 128 that such a one allows.
    "gdelt-news": _live("gdelt", 900.0, dataset="news", priority=4, expires_s=900),
    # NewsAPI: 100 a day, 50 in twelve hours: two topics an hour are 48.
    "newsapi-news": _live("newsapi", 3_600.0, dataset="news", priority=4, expires_s=3_600),
    # X: each post costs. Ten of a subject every two hours are 3,600 a month, 18 USD; nothing is asked without a cap.
    "x-posts": _live("x", 7_200.0, dataset="posts", priority=4, expires_s=7_200),
    # --- The farm itself.
    # Changes of the providers' health are reported within two checks: half a minute. One costs some milliseconds.
    "health": {
        "task": "tasks.health",
        "schedule": 15.0,
        "options": {"queue": "maintenance", "expires": 15, "headers": {"tickfarm": {"priority": 4}}},
    },
    # What is owed and not there becomes jobs. What failed is looked for at once; this finds the rest.
    "gaps": {
        "task": "tasks.gaps",
        "schedule": 900.0,
        "options": {"queue": "maintenance", "expires": 900, "headers": {"tickfarm": {"priority": 4}}},
    },
    # Stored rows are read again, each day's once a week, and compared with what was written.
    "scrub": {
        "task": "tasks.scrub",
        "schedule": crontab(minute="47"),
        "options": {"queue": "maintenance", "expires": 3_000, "headers": {"tickfarm": {"priority": 5}}},
    },
    # What is old enough goes, a share each hour. It comes last: nothing waits for it.
    "retention": {
        "task": "tasks.retention",
        "schedule": crontab(minute="17"),
        "options": {"queue": "maintenance", "expires": 3_000, "headers": {"tickfarm": {"priority": 5}}},
    },
}
