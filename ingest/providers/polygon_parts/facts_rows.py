"""What the rows of polygon's news, economic tables and corporate actions mean.

Deliberately not here: prices (rows.py), which rows are asked for (../polygon.py). Invariant: a value is the text that
was sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ingest.market.records import Parsed
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.providers.polygon_parts.columns import Row, is_among, table
from ingest.providers.polygon_parts.tickers import SERIES, instrument_of

_NEWS_SHAPE = "expected an object with published_utc as 2024-06-24T18:33:53Z, and texts"
_FACT_SHAPE = "expected an object with an ISO date, and numbers or nulls"
_ACTION_SHAPE = "expected a split with execution_date or a dividend with ex_dividend_date, of the ticker asked for"
_PUBLISHED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def news(rows: Sequence[Any], instrument: str) -> Parsed:
    """Return the articles. Tickers that our grammar can't spell are left out of `instruments`."""
    texts = ("id", "title", "article_url", "author", "description")

    def read(row: Any) -> Row | None:
        ts = _published(row.get("published_utc")) if type(row) is dict else None
        if ts is None or not {type(row.get(name)) for name in texts} <= answers.TEXT_OR_NULL:
            return None
        publisher, tickers = row.get("publisher"), row.get("tickers")
        source = publisher.get("name") if type(publisher) is dict else None
        found = [instrument_of(one) for one in tickers if type(one) is str] if type(tickers) is list else []
        names = ",".join(dict.fromkeys(one for one in found if one))
        article, title, url, author, summary = (row.get(name) for name in texts)
        source = source if type(source) is str else None
        return instrument, ts, article, title, url, source, author, summary, names, _sentiments(row.get("insights"))

    columns = ("ts", "article_id", "title", "url", "source", "author", "summary", "instruments", "sentiments")
    return table(columns, rows, read, _NEWS_SHAPE, instrument, "us")


def observations(rows: Sequence[Any], instruments: Sequence[str]) -> Parsed:
    """Return a row for each date and series asked for that has a column there."""
    found: list[Any] = []
    for row in rows:
        found += [(row, name) for name in instruments if type(row) is not dict or SERIES[name][1] in row]

    def read(cell: tuple[Any, str]) -> Row | None:
        row, name = cell
        day = row.get("date") if type(row) is dict else None
        value = row[SERIES[name][1]] if type(day) is str and _DATE.fullmatch(day) else False
        return (name, day, value) if type(value) in answers.TEXT_OR_NULL else None

    return table(("ts", "value"), found, read, _FACT_SHAPE, None, "date")


def actions(rows: Sequence[Any], tickers: Mapping[str, str]) -> Parsed:
    """Return splits and dividends; which of the two a row is, its date's name tells."""
    plain = ("id", "cash_amount", "currency", "split_from", "split_to", "declaration_date", "record_date", "pay_date")

    def read(row: Any) -> Row | None:
        if type(row) is not dict or not is_among(row.get("ticker"), tickers):
            return None
        kind = "split" if "execution_date" in row else "dividend"
        day = row.get("execution_date" if kind == "split" else "ex_dividend_date")
        cells = [row.get(name) for name in plain]
        if type(day) is not str or not _DATE.fullmatch(day) or not set(map(type, cells)) <= answers.TEXT_OR_NULL:
            return None
        return tickers[row["ticker"]], day, kind, cells[0] or "", *cells[1:]

    columns = ("ts", "kind", "action_id", "amount", "currency", "split_from", "split_to")
    more = ("declared_on", "recorded_on", "paid_on")
    return table((*columns, *more), rows, read, _ACTION_SHAPE, None, "date")


def _published(text: Any) -> int | None:
    if type(text) is not str or not _PUBLISHED.fullmatch(text):
        return None
    try:
        return epoch_us(datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00"))
    except ValueError:
        return None


def _sentiments(insights: Any) -> str | None:
    """Return ticker -> label and reasoning; a ticker that our grammar can't spell keeps its own name."""
    found: dict[str, Any] = {}
    for one in insights if type(insights) is list else ():
        if type(one) is dict and type(one.get("ticker")) is str:
            said = {"label": one.get("sentiment"), "reasoning": one.get("sentiment_reasoning")}
            name = instrument_of(one["ticker"]) or one["ticker"]
            found[name] = {part: text for part, text in said.items() if type(text) is str}
    return answers.json_object(found)
