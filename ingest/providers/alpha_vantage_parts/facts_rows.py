"""Alpha Vantage's answers that are no series: quotes, articles with their sentiment, economic observations.

Deliberately not here: what is asked (alpha_vantage.py). Invariant: scores and values stay the provider's own text.

Source: https://www.alphavantage.co/documentation (GLOBAL_QUOTE, CURRENCY_EXCHANGE_RATE, NEWS_SENTIMENT, economic
indicators), autumn 2026. That articles' times are UTC is not said there: unconfirmed.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from ingest.errors import BadData
from ingest.market.records import Parsed
from ingest.market.times import first_date
from ingest.providers import answers
from ingest.providers.alpha_vantage_parts import names
from ingest.providers.alpha_vantage_parts.times import second
from ingest.wire import Answer

PROVIDER = "alpha_vantage"
#: A poll's observations: the whole series comes each time, and the newest are those that are corrected.
NEWEST_OBSERVATIONS = 40

_QUOTE_SHAPE = "expected a price and its day or time as text under their labels"
_NEWS_SHAPE = "expected title, url and time_published as text, and lists of authors and of tickers with scores"
_VALUE_SHAPE = "expected a date and a value as text"
_LABEL = re.compile(r"\d+\. (.+)", re.ASCII)
_PUBLISHED = re.compile(r"\d{8}T\d{4}(?:\d\d)?", re.ASCII)
#: What stands where the bid or ask is not known.
_NONE = "-"
_DAY = len("2024-05-31")


def quotes(answer: Answer, instrument: str) -> Parsed:
    """Return the one quote: of a share its last price by the day, of a pair rate, bid and ask by the second."""
    page = answers.load(PROVIDER, answer, numbers_as_text=True)
    if type(page) is not dict:
        raise _bad_page("an object", answer)
    # "Global Quote - DATA DELAYED" is what some plans' delayed quote is called.
    shares = [page[name] for name in page if name.startswith("Global Quote")]
    pairs = [page[name] for name in page if name == "Realtime Currency Exchange Rate"]
    if len(shares) + len(pairs) != 1:
        raise _bad_page("a Global Quote or a Realtime Currency Exchange Rate", answer)
    row = _share_quote(shares[0]) if shares else _pair_quote(pairs[0])
    columns = ("ts", "last", "bid", "ask")
    parsed: dict[str, list[Any]] = {"instrument": [] if row is None else [instrument]}
    parsed |= {column: [] if row is None else [row[i]] for i, column in enumerate(columns)}
    bad = answers.reject(page, rule="wrong_shape", reason=_QUOTE_SHAPE, instrument=instrument)
    return Parsed(parsed, "date" if shares else "s", () if row is not None else (bad,))


def news(answer: Answer, instrument: str, limit: int) -> Parsed:
    """Return the articles of the request's part of the window, but for what the next page brings again."""
    feed = _feed(answer)
    start, end = answer.request.start, answer.request.end
    low, high = (None, None) if start is None or end is None else (_count(start), _count(end))
    if start is not None and len(feed) >= limit:
        following = next_second(answer, limit)
        if following is None:
            expected = f"fewer than {limit} articles in a minute, as what comes after them can't be asked for"
            raise _bad_page(expected, answer)
        high = following if high is None else min(high, following)
    rows, rejects = [], []
    for article in feed:
        row = _article(article)
        if row is None:
            bad = answers.reject(article, rule="wrong_shape", reason=_NEWS_SHAPE, instrument=instrument)
            rejects.append(bad)
        elif low is None or high is None or low <= row["ts"] < high:
            rows.append(row)
    columns = {name: [row[name] for row in rows] for name in _ARTICLE}
    return Parsed({"instrument": [instrument] * len(rows), **columns}, "s", tuple(rejects))


def next_second(answer: Answer, limit: int) -> int | None:
    """Return the second of a full page's last article, from which the next page goes on; None after the last page.

    None, too, where the page begins and ends within one minute: the API can't be asked for a part of one.
    """
    request = answer.request
    if request.start is None:
        return None
    try:
        feed = _feed(answer)
    except BadData:
        return None
    times = [ts for ts in map(_published, feed) if ts is not None]
    if len(feed) < limit or not times or max(times) // 60 * 60 <= _count(request.start):
        return None
    return max(times)


def observations(answer: Answer, instrument: str) -> Parsed:
    """Return the values of the window's dates, "." as None; without a window the newest. Raises BadData."""
    page = answers.load(PROVIDER, answer, numbers_as_text=True)
    data = page.get("data") if type(page) is dict else None
    if type(data) is not list:
        raise _bad_page("data, a list of dates and values", answer)
    rows, rejects = answers.sound_rows(data, _observation, _VALUE_SHAPE, instrument)
    start, end = answer.request.start, answer.request.end
    if start is None or end is None:
        first = sorted(row[0] for row in rows)[-NEWEST_OBSERVATIONS:][:1]
        rows = [row for row in rows if row[0] >= first[0]]
    else:
        low, high = first_date(start).isoformat(), first_date(end).isoformat()
        rows = [row for row in rows if low <= row[0] < high]
    columns = {"ts": [row[0] for row in rows], "value": [row[1] for row in rows]}
    return Parsed({"instrument": [instrument] * len(rows), **columns}, "date", rejects)


def _share_quote(quote: Any) -> tuple[Any, ...] | None:
    cells = _by_words(quote)
    day, price = cells.get("latest trading day"), cells.get("price")
    return (day, price, None, None) if _is_day(day) and type(price) is str else None


def _pair_quote(quote: Any) -> tuple[Any, ...] | None:
    cells = _by_words(quote)
    ts = second(cells.get("Last Refreshed"), cells.get("Time Zone"))
    prices = [cells.get(words) for words in ("Exchange Rate", "Bid Price", "Ask Price")]
    if ts is None or type(prices[0]) is not str or not set(map(type, prices)) <= answers.TEXT_OR_NULL:
        return None
    return (ts, *(None if price == _NONE else price for price in prices))


def _by_words(quote: Any) -> dict[str, Any]:
    """Return the cells by the words of their labels: `05. price` is `price`."""
    if type(quote) is not dict:
        return {}
    return {match[1]: value for label, value in quote.items() if (match := _LABEL.fullmatch(label)) is not None}


_ARTICLE = (
    *("ts", "article_id", "url", "title", "source", "author", "summary"),
    *("instruments", "sentiment", "sentiment_label", "sentiments"),
)


def _article(article: Any) -> dict[str, Any] | None:
    ts = _published(article)
    if ts is None:
        return None
    texts = [article.get(name) for name in ("title", "url", "source", "summary")]
    score, label = article.get("overall_sentiment_score"), article.get("overall_sentiment_label")
    authors, about = article.get("authors", []), article.get("ticker_sentiment", [])
    if not set(map(type, (*texts, score, label))) <= answers.TEXT_OR_NULL or None in texts[:2]:
        return None
    if type(authors) is not list or any(type(one) is not str for one in authors) or not _are_tickers(about):
        return None
    tickers = {names.instrument_of(one["ticker"]) or one["ticker"]: one for one in about}
    listed = dict.fromkeys(found for one in about if (found := names.instrument_of(one["ticker"])) is not None)
    title, url, source, summary = texts
    return {
        "ts": ts,
        "article_id": url,
        "url": url,
        "title": title,
        "source": source,
        "author": ", ".join(authors) or None,
        "summary": summary,
        "instruments": ",".join(listed),
        "sentiment": score,
        "sentiment_label": label,
        "sentiments": answers.json_object({ticker: _scores(one) for ticker, one in tickers.items()}),
    }


def _are_tickers(about: Any) -> bool:
    return type(about) is list and all(type(one) is dict and type(one.get("ticker")) is str for one in about)


def _scores(ticker: dict[str, Any]) -> dict[str, str]:
    named = {"score": "ticker_sentiment_score", "label": "ticker_sentiment_label", "relevance": "relevance_score"}
    return {ours: ticker[theirs] for ours, theirs in named.items() if type(ticker.get(theirs)) is str}


def _feed(answer: Answer) -> list[Any]:
    page = answers.load(PROVIDER, answer, numbers_as_text=True)
    feed = page.get("feed") if type(page) is dict else None
    if type(feed) is not list:
        raise _bad_page("feed, a list of articles", answer)
    return feed


def _published(article: Any) -> int | None:
    text = article.get("time_published") if type(article) is dict else None
    if type(text) is not str or _PUBLISHED.fullmatch(text) is None:
        return None
    try:
        return _count(datetime.fromisoformat(text).replace(tzinfo=UTC))
    except ValueError:
        return None


def _observation(row: Any) -> tuple[str, str | None] | None:
    day, value = (row.get("date"), row.get("value")) if type(row) is dict else (None, None)
    if not _is_day(day) or type(value) not in answers.TEXT_OR_NULL:
        return None
    return str(day), None if value == "." else value


def _is_day(text: Any) -> bool:
    try:
        return type(text) is str and len(text) == _DAY and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _count(moment: datetime) -> int:
    """Return whole seconds since 1970, rounded up: articles are dated by the second."""
    return -int((datetime(1970, 1, 1, tzinfo=UTC) - moment).total_seconds() // 1)


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{PROVIDER} sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider=PROVIDER, status=answer.status)
