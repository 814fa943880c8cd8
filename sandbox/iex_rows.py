"""The rows that a whole copy of one of IEX Cloud's examples holds, from the market itself.

Deliberately not here: answers, which are never read for it. Invariant: digits are the market's own.
"""

from datetime import UTC, date, datetime, timedelta

from sandbox.contract import Example
from sandbox.iex_market import OTHER_SYMBOLS, IexMarket, price_text

Record = dict[str, str | None]
_TRADES, _ARTICLES = 500, 50


def expected_rows(market: IexMarket, example: Example, *, now_s: float) -> list[Record]:
    """Return the rows of the example's window, or the newest, oldest first."""
    name = example.instrument
    if example.dataset == "bars":
        start, end = datetime.fromisoformat(example.start), datetime.fromisoformat(example.end)
        found = _days(market, name) if example.interval == "1d" else _minutes(market, name, start, end, now_s)
        return [{"ts": ts.isoformat(), **cells} for ts, cells in found if start <= ts < end]
    if example.dataset == "quotes":
        return [_quote(market, name, now_s)]
    if example.dataset == "books":
        return [_book(market, name, now_s)]
    rows = _trades(market, name, now_s) if example.dataset == "trades" else _news(market, name, now_s)
    return sorted(rows, key=lambda row: str(row["ts"]))


def _days(market: IexMarket, name: str) -> list[tuple[datetime, Record]]:
    found: list[tuple[datetime, Record]] = []
    for day in market.days(name):
        cells: Record = {"open": day.open, "high": day.high, "low": day.low, "close": day.close}
        cells |= {"volume": day.volume, "adjusted_close": day.adjusted}
        found.append((datetime.fromisoformat(f"{day.date}T00:00:00+00:00"), cells))
    return found


def _minutes(
    market: IexMarket, name: str, start: datetime, end: datetime, now_s: float
) -> list[tuple[datetime, Record]]:
    """Return the minutes that had a trade."""
    found: list[tuple[datetime, Record]] = []
    first: date = start.date() - timedelta(days=1)
    for i in range((end.date() - first).days + 1):
        for one in market.minutes(name, first + timedelta(days=i), now_s):
            if one.prices is not None:
                cells: Record = dict(zip(("open", "high", "low", "close"), one.prices, strict=True))
                cells |= {"volume": one.volume, "trade_count": one.trades}
                found.append((datetime.fromtimestamp(one.at_s, UTC), cells))
    return found


def _quote(market: IexMarket, name: str, now_s: float) -> Record:
    top = market.top(name, now_s)
    texts = {"bid": top.bid, "bid_size": top.bid_size, "ask": top.ask, "ask_size": top.ask_size}
    return {
        "ts": _moment(top.updated_ms),
        **{column: None if text == "0" else text for column, text in texts.items()},
        "last": price_text(name, top.last.price),
    }


def _book(market: IexMarket, name: str, now_s: float) -> Record:
    bids, asks = market.book(name, now_s)
    row: Record = {"ts": _moment(max(one.at_ms for one in (*bids, *asks)))}
    for side, levels in (("bid", bids), ("ask", asks)):
        row |= {f"{side}_prices": ",".join(one.price for one in levels)}
        row |= {f"{side}_sizes": ",".join(one.size for one in levels)}
    return row


def _trades(market: IexMarket, name: str, now_s: float) -> list[Record]:
    return [
        {
            "ts": _moment(one.time_us // 1000),
            "trade_id": str(one.id),
            "price": price_text(name, one.price),
            "size": str(one.size),
        }
        for one in market.trades(name, _TRADES, now_s)
    ]


def _news(market: IexMarket, name: str, now_s: float) -> list[Record]:
    rows: list[Record] = []
    for one in market.articles(name, _ARTICLES, now_s):
        spelled = [symbol for symbol in str(one["related"]).split(",") if symbol not in OTHER_SYMBOLS[:2]]
        rows.append(
            {
                "ts": _moment(int(str(one["datetime"]))),
                "article_id": str(one["uuid"]),
                "title": str(one["headline"]),
                "url": str(one["url"]),
                "source": str(one["source"]),
                "summary": str(one["summary"]),
                "language": "en",
                "instruments": ",".join(spelled),
            }
        )
    return rows


def _moment(ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat()
