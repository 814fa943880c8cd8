"""Polygon's news, economic tables, splits and dividends in the sandbox.

Splits of AAPL and MSFT are the real ones; news, yields, indices and dividends are synthetic, functions of seed, name
and date. Deliberately not here: filters and paging (`dialects/polygon.py`).
Invariant: a row is the same whenever it is asked for, and exists only once its time has come.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

from sandbox.polygon_market import number, weekdays
from sandbox.price_walk import PriceWalk

#: An article every three hours since then.
NEWS_SINCE = datetime(2021, 1, 1, tzinfo=UTC)
_NEWS_EVERY = timedelta(hours=3)
#: What articles are about, in turn; the last is an option, the one before a class of preferred shares.
_ABOUT = (("AAPL",), ("MSFT", "AAPL"), ("X:BTCUSD",), ("GOOG", "KIMpL", "O:AAPL250117C00150000"), ("IBM",))
_MOODS = ("positive", "neutral", "negative")

#: Table -> column -> (the first year it has, its level in thousandths, how far it moves).
TABLES: Mapping[str, Mapping[str, tuple[int, int, int]]] = {
    "treasury-yields": {
        "yield_1_month": (2001, 2_000, 1_500),
        "yield_1_year": (1962, 3_200, 1_900),
        "yield_2_year": (1976, 3_300, 1_900),
        "yield_5_year": (1962, 3_800, 1_900),
        "yield_10_year": (1962, 4_060, 1_900),
        "yield_30_year": (1977, 4_500, 1_900),
    },
    "inflation": {
        "cpi": (1947, 231_224, 90_000),
        "cpi_core": (1957, 238_177, 90_000),
        "pce": (1959, 98_000, 20_000),
        "pce_core": (1959, 99_000, 20_000),
        "pce_spending": (1959, 12_313_100, 900_000),
    },
    "inflation-expectations": {
        "model_1_year": (1982, 2_600, 900),
        "model_10_year": (1982, 2_300, 700),
        "market_5_year": (2003, 2_000, 600),
        "market_10_year": (2003, 2_100, 600),
        "forward_years_5_to_10": (2003, 2_200, 500),
    },
    "labor-market": {
        "unemployment_rate": (1948, 5_600, 2_900),
        "labor_force_participation_rate": (1948, 62_800, 2_000),
        "avg_hourly_earnings": (2006, 25_000, 4_000),
        "job_openings": (2000, 6_500_000, 900_000),
    },
}
SPLITS: Mapping[str, tuple[tuple[str, int, int], ...]] = {
    "AAPL": (("2000-06-21", 1, 2), ("2005-02-28", 1, 2), ("2014-06-09", 1, 7), ("2020-08-31", 1, 4)),
    "MSFT": (("2003-02-18", 1, 2),),
    "KIMpL": (("2024-03-04", 10, 1),),
}
_PAYERS = {"AAPL": 220, "IBM": 1_660, "KIMpL": 320, "MSFT": 620}


def observations(walk: PriceWalk, table: str, first: date, last: date) -> list[dict[str, str]]:
    """Return a table's rows, ascending: yields of weekdays, the others of the first of a month."""
    days = weekdays(first, last) if table == "treasury-yields" else [day for day in _days(first, last) if day.day == 1]
    rows = []
    for day in days:
        row = {"date": f'"{day}"'}
        for column, (since, level, moves) in TABLES[table].items():
            if day.year >= since:
                drawn = walk.numbers(f"{column}/{day}", 1)[0]
                row[column] = number(level + (moves * drawn >> 16), 3).rstrip("0").rstrip(".")
        if len(row) > 1:
            rows.append(row)
    return rows


def articles(walk: PriceWalk, start: datetime, end: datetime) -> list[dict[str, object]]:
    """Return the articles of `[start, end)`, ascending."""
    nth = max(0, -((NEWS_SINCE - start) // _NEWS_EVERY))
    found = []
    while NEWS_SINCE + nth * _NEWS_EVERY < end:
        found.append(_article(walk, nth, NEWS_SINCE + nth * _NEWS_EVERY))
        nth += 1
    return [one for one in found if start <= moment_of(one) < end]


def moment_of(article: Mapping[str, object]) -> datetime:
    return datetime.fromisoformat(str(article["published_utc"]).replace("Z", "+00:00"))


def _article(walk: PriceWalk, nth: int, at: datetime) -> dict[str, object]:
    tickers = list(_ABOUT[nth % len(_ABOUT)])
    (drawn,) = walk.numbers(f"news/{nth}", 1)
    article: dict[str, object] = {
        "id": sha256(f"article {nth}".encode()).hexdigest(),
        "publisher": {"name": "The Sandbox Wire", "homepage_url": "https://wire.example/"},
        "title": f"Report {nth}: what moves {tickers[0]}",
        "author": f"Writer {drawn % 20}",
        "published_utc": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "article_url": f"https://wire.example/report-{nth}",
        "tickers": tickers,
    }
    if nth % 4:
        article["description"] = f'A synthetic article, "number {nth}", about {", ".join(tickers)}.'
    if nth % 3 == 0:
        article["insights"] = [
            {"ticker": tickers[0], "sentiment": _MOODS[drawn % 3], "sentiment_reasoning": f"Draw {drawn} said so."}
        ]
    return article


def splits(ticker: str) -> list[dict[str, str]]:
    """Return a share's splits as JSON texts, ascending."""
    rows = []
    for day, before, after in SPLITS.get(ticker, ()):
        row = {"execution_date": f'"{day}"', "id": f'"E{sha256(f"{ticker} {day}".encode()).hexdigest()}"'}
        rows.append(row | {"split_from": str(before), "split_to": str(after), "ticker": f'"{ticker}"'})
    return rows


def dividends(ticker: str, first: date, last: date) -> list[dict[str, str]]:
    """Return a share's dividends as JSON texts, ascending: on the first Friday of each second month of a quarter."""
    rows = []
    for day in _days(max(first, date(2004, 1, 1)), last):
        if ticker not in _PAYERS or day.month % 3 != 2 or day.weekday() != 4 or day.day > 7:
            continue
        row = {"cash_amount": number(_PAYERS[ticker] + day.year % 10, 3), "currency": '"USD"'}
        row |= {"declaration_date": f'"{day - timedelta(days=8)}"', "dividend_type": '"CD"', "frequency": "4"}
        row |= {"ex_dividend_date": f'"{day}"', "id": f'"E{sha256(f"{ticker} cash {day}".encode()).hexdigest()}"'}
        row |= {"pay_date": f'"{day + timedelta(days=6)}"', "record_date": f'"{day + timedelta(days=3)}"'}
        rows.append(row | {"ticker": f'"{ticker}"'})
    return rows


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]
