"""The datasets and the columns of a batch of each.

A batch is columnar from the provider's answer to the COPY: one list (or polars column) a field. Every value is text:
prices and sizes exactly as the provider wrote them (PostgreSQL turns them into NUMERIC), dates as `2024-05-31`, lists
joined by commas. Deliberately not here: polars, because provider files import this one and a worker's parent process
must not load polars before it forks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

Dataset = Literal["bars", "trades", "quotes", "books", "news", "observations", "posts", "actions"]
DATASETS: tuple[Dataset, ...] = ("bars", "trades", "quotes", "books", "news", "observations", "posts", "actions")

#: Every value column of a dataset, in table order; `instrument` and `ts` come before them in each batch.
VALUE_COLUMNS: Mapping[Dataset, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close", "volume", "adjusted_close", "quote_volume", "trade_count"),
    "trades": ("trade_id", "price", "size", "side"),
    "quotes": ("bid", "bid_size", "ask", "ask_size", "last"),
    "books": ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes", "sequence"),
    "news": (
        *("article_id", "title", "url", "source", "author", "summary", "language", "instruments"),
        *("sentiment", "sentiment_label", "sentiments"),
    ),
    "observations": ("vintage", "vintage_given", "value"),
    "posts": (
        *("post_id", "author_id", "author", "text", "language", "instruments"),
        *("likes", "reposts", "replies", "quotes", "bookmarks", "impressions"),
    ),
    "actions": (
        *("kind", "action_id", "amount", "currency", "split_from", "split_to"),
        *("declared_on", "recorded_on", "paid_on"),
    ),
}
#: A book's levels: one text a row, decimals joined by commas, the best price first; "" is a side without orders.
LEVEL_COLUMNS = ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
#: Levels a side that are asked for and kept, where the provider has as many.
BOOK_LEVELS = 100
#: How far back a series goes that names no `since`; None is as far as its provider does.
DEFAULT_SINCE: Mapping[Dataset, timedelta | None] = {
    # A year of minutes is half a million rows, and longer than most free plans reach.
    "bars": timedelta(days=365),
    # Our choice: a busy pair has millions a day, which nobody should get unasked.
    "trades": timedelta(days=7),
    # A quote and a book are of the moment: no provider here gives one back.
    "quotes": timedelta(0),
    "books": timedelta(0),
    # What free plans search is a month.
    "news": timedelta(days=30),
    # One job. A statistic is worth little without its past, and some providers hand out 90 days a request.
    "observations": timedelta(days=3650),
    # A recent search reaches back seven days, and each post costs.
    "posts": timedelta(days=7),
    # Prices of any age can only be adjusted with every split and dividend since.
    "actions": None,
}
#: What tells a dataset's rows apart beside series and time: many trades share a millisecond.
KEY_COLUMNS: Mapping[Dataset, tuple[str, ...]] = {
    "bars": (),
    "trades": ("trade_id",),
    "quotes": (),
    "books": (),
    "news": ("article_id",),
    "observations": ("vintage",),
    "posts": ("post_id",),
    "actions": ("kind", "action_id"),
}
#: Columns without which a row means nothing: a null there is a finding. A quote needs one of
#: its three prices: "no quote on that side" is what a provider says of a market that has none.
REQUIRED_COLUMNS: Mapping[Dataset, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close"),
    "trades": ("trade_id", "price", "size"),
    "quotes": ("bid", "ask", "last"),
    "books": LEVEL_COLUMNS,
    "news": ("article_id", "title", "url"),
    "observations": ("vintage",),
    "posts": ("post_id", "text"),
    "actions": ("kind", "action_id"),
}
#: Columns that are neither numbers, lists nor dates: any text, "" included. `sentiments` is a JSON object,
#: `vintage_given` is `true` or `false`.
TEXT_COLUMNS = frozenset(
    (
        *("side", "article_id", "title", "url", "source", "author", "summary", "language", "sentiment_label"),
        *("sentiments", "vintage_given", "post_id", "author_id", "text", "kind", "action_id", "currency"),
    )
)
#: What PostgreSQL's text can't hold. It also marks what has lost half a character on its way here.
UNSTORABLE = "\0"
#: ISO dates.
DATE_COLUMNS = frozenset({"vintage", "declared_on", "recorded_on", "paid_on"})
#: Instruments in our grammar, joined by commas; "" is none.
NAME_LISTS = frozenset({"instruments"})

TimeUnit = Literal["s", "ms", "us", "ns", "date"]


@dataclass(frozen=True, slots=True)
class Reject:
    """A row whose shape the provider's parser could not read: which, and why."""

    instrument: str | None
    rule: str
    reason: str
    row: str  # the row as the provider wrote it, cut to a readable length


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a provider's `parse` makes of one answer.

    `columns` holds equally long lists: `instrument` (our grammar), `ts` (integers of `time_unit`, or ISO dates for
    `date`; None throughout where the provider sends no time: then the receive time dates the row), and any of
    `VALUE_COLUMNS` of the dataset as text or None. Rows stand in the provider's order, repeats included.

    trades        `side` is the taker's, `buy` or `sell`; `trade_id` is the provider's own whole number
    news          `ts` is when it was published; `article_id` is the provider's own id, or the URL; `instruments` are
                  the tickers it is about; `sentiment` is the provider's score of the whole, `sentiments` a JSON object
                  of ticker -> {score, label, relevance, reasoning}, numbers as text (`answers.json_object`)
    observations  `ts` is the date it is of; `value` None is a missing one that the provider lists ("."); `vintage` is
                  the date from which on this value held, None where the provider does not say: then it is the day we
                  asked, and a value that is the known one makes no new row. `vintage_given` is filled in later
    posts         `instruments` are its cashtags; the counts are the public metrics at the time of asking
    actions       `ts` is the ex-date; `kind` is `split` (`split_to` shares for `split_from`) or `dividend` (`amount` a
                  share); `action_id` is the provider's own id or what tells two of one date apart, else ""
    """

    columns: Mapping[str, list[Any]]
    time_unit: TimeUnit
    rejects: tuple[Reject, ...] = field(default=())
