"""What a spoilt page of the providers without such a test of their own becomes: findings, or its own values.

Each documented page has a part retyped, dropped, doubled or moved, and is cut anywhere. Deliberately not here: what a
sound page means (each provider's tests). Invariant: nothing but BadData is raised, and no value is invented.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, TickfarmError
from ingest.providers import get
from ingest.providers.contract import Query
from tests.providers import coinbase_replies, kraken_replies
from tests.providers.payloads import T0, answer, payload

MINUTE = timedelta(minutes=1)
PAIRS = ("BTC-USDT", "ETH-USDT")
SHARES = Query("bars", ("AAPL", "BRK.B"), "1d", datetime(2018, 3, 1, tzinfo=UTC), datetime(2018, 3, 28, tzinfo=UTC))
RETAIL = ("NDAQ.RTAT10.TSLA.ACTIVITY",)
GOLD = ("LBMA.GOLD.USDPM",)
PAGES = [
    ("binance", "klines", Query("bars", PAIRS, "1m", T0, T0 + 90 * MINUTE)),
    ("binance", "agg_trades", Query("trades", PAIRS, None, T0, T0 + MINUTE)),
    ("binance", "agg_trades", Query("trades", PAIRS)),
    ("binance", "book_ticker", Query("quotes", PAIRS[:1])),
    ("binance", "book_tickers", Query("quotes", PAIRS)),
    ("binance", "depth", Query("books", PAIRS)),
    ("coinbase", "candles", coinbase_replies.BARS),
    ("coinbase", "trades", coinbase_replies.TRADES),
    ("coinbase", "trades", replace(coinbase_replies.TRADES, start=None, end=None)),
    ("coinbase", "ticker", coinbase_replies.QUOTES),
    ("coinbase", "book", coinbase_replies.BOOKS),
    ("coinbase_advanced", "candles", Query("bars", PAIRS, "1h", T0, T0 + 90 * MINUTE)),
    ("coinbase_advanced", "ticker", Query("quotes", ("BTC-USD",))),
    ("coinbase_advanced", "book", Query("books", ("BTC-USD",))),
    ("kraken", "ohlc", kraken_replies.BARS),
    ("kraken", "ohlc", replace(kraken_replies.BARS, start=None)),
    ("kraken", "trades", kraken_replies.TRADES),
    ("kraken", "trades", kraken_replies.NEWEST),
    ("kraken", "trades_without_ids", kraken_replies.NEWEST),
    ("kraken", "tickers", kraken_replies.QUOTES),
    ("kraken", "depth", kraken_replies.BOOKS),
    ("nasdaq_data_link", "prices", SHARES),
    ("nasdaq_data_link", "prices_first_page", SHARES),
    ("nasdaq_data_link", "retail", Query("observations", RETAIL, None, SHARES.start, SHARES.end)),
    ("nasdaq_data_link", "gold", Query("observations", GOLD, None, SHARES.start, SHARES.end)),
]
#: Not as they were sent: our names, the taker's side, times of another unit (`test_<provider>.py` pin those).
DERIVED = {"instrument", "side", "ts"}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.from_regex(r"\d{1,20}", fullmatch=True),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from("abpqTs"), inner, max_size=4),
    max_leaves=10,
)


def parts_of(page):
    """Return every list and object of a page that has something in it."""
    below = page.values() if isinstance(page, dict) else page
    return [page, *(part for one in below if isinstance(one, list | dict) and one for part in parts_of(one))]


def spoil(page, data):
    """Change one place of the page."""
    part = data.draw(st.sampled_from(parts_of(page)))
    place = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    match data.draw(st.sampled_from(["retyped", "gone", "doubled", "moved"])):
        case "retyped":
            part[place] = data.draw(JSON)
        case "gone":
            del part[place]
        case "doubled" if isinstance(part, list):
            part.insert(place, part[place])
        case _:
            part[place] = data.draw(st.sampled_from(list(part.values()) if isinstance(part, dict) else part))


def leaves_of(page):
    """Return what a page holds, numbers as the text that was sent."""
    if isinstance(page, dict):
        page = list(page.values())
    return {page} if not isinstance(page, list) else set().union(*map(leaves_of, page))


def is_of(value, leaves, column):
    """Say whether a value stood in the page; a book's side is several, joined by commas."""
    if value is None or value in leaves:
        return True
    is_side = column in {"bid_prices", "bid_sizes", "ask_prices", "ask_sizes"}
    return is_side and (value == "" or leaves.issuperset(value.split(",")))


@pytest.mark.parametrize(("name", "document", "query"), PAGES)
@given(data=st.data())
def test_a_spoilt_page_gives_findings_bad_data_or_rows_of_its_own_values(name, document, query, data):
    provider, page = get(name), json.loads(payload(name, document))
    for _ in range(data.draw(st.integers(1, 3))):
        if page:
            spoil(page, data)
    text = json.dumps(page)
    cut = data.draw(st.just(len(text)) | st.integers(0, len(text)))
    received = T0 + timedelta(hours=1)
    said = replace(answer(text[:cut]), request=provider.build(query)[0], sent_at=received, received_at=received)
    assert isinstance(provider.error_of(said), TickfarmError | None)
    provider.next_page(said.request, said)
    try:
        parsed = provider.parse(query, said)
    except BadData:
        return
    assert {len(values) for values in parsed.columns.values()} == {len(parsed.columns["ts"])}
    leaves = leaves_of(json.loads(text[:cut], parse_int=str, parse_float=str, parse_constant=str))
    for column in parsed.columns.keys() - DERIVED:
        assert [value for value in parsed.columns[column] if not is_of(value, leaves, column)] == []
