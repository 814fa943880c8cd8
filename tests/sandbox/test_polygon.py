"""Polygon as documented: key, bounds, shapes, cursors, units, errors and five calls a minute (read autumn 2026)."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

import pytest

from sandbox.contract import Answer, Conforming, Dialect, Request
from sandbox.dialects.polygon import SANDBOX_KEY, Polygon
from sandbox.polygon_market import ITEMS, PolygonMarket, day_ms, is_traded, session_minutes
from sandbox.price_walk import aggregate

NOW_S = 1_795_541_412.5  # 2026-11-24 17:30:12.5 UTC
RANGE = "/v2/aggs/ticker/{}/range/{}/{}/{}"


@pytest.fixture(scope="module")
def loaded():
    return Polygon(7)


@pytest.fixture
def dialect(loaded):
    loaded.forget_spending()
    loaded.limits |= {"calls_per_minute": 10**9, "bases_a_page": 5_000, "rows_a_page": 1_000, "todays_market": 0}
    return loaded


def ask(dialect, path, *, key=SANDBOX_KEY, now_s=NOW_S, headers=None, **query):
    texts = {name.replace("__", "."): str(value) for name, value in query.items()}
    headers = {"authorization": f"Bearer {key}"} if headers is None else headers
    said = dialect.answer(Request(path, texts, headers, "127.0.0.1", now_s))
    return said if isinstance(said, Answer) else said()


def read(dialect, path, **query):
    said = ask(dialect, path, **query)
    assert said.status == 200, said.body
    return json.loads(said.body, parse_float=Decimal)


def read_all(dialect, path, **query):
    """Return the rows of all pages, following next_url as it is given, and their number."""
    rows, pages, page = [], 1, read(dialect, path, **query)
    rows += page.get("results", [])
    while "next_url" in page:
        address = urlsplit(page["next_url"])
        assert "apikey" not in address.query.lower()
        pages, page = pages + 1, read(dialect, address.path, **dict(parse_qsl(address.query)))
        rows += page["results"]
    return rows, pages


def refusal(dialect, path, **query):
    said = ask(dialect, path, **query)
    body = json.loads(said.body)
    return said.status, body["status"], body.get("error") or body.get("message")


def test_it_is_a_dialect_that_says_itself_what_must_come_of_it(dialect):
    assert isinstance(dialect, Conforming)
    assert all(hasattr(dialect, part) for part in Dialect.__annotations__)
    assert dialect.page(b'{"results":[]}') is None
    assert set(dialect.truth()) == set(ITEMS)
    assert len(dialect.error_cases()) >= 3


def test_the_key_goes_into_the_header_or_the_query_and_another_is_refused(dialect):
    path = "/v2/last/nbbo/AAPL"
    assert ask(dialect, path).status == 200
    assert ask(dialect, path, headers={}, apiKey=SANDBOX_KEY).status == 200
    for headers in ({}, {"authorization": "Bearer nope"}):
        said = ask(dialect, path, headers=headers)
        assert (said.status, json.loads(said.body)["error"]) == (401, "Unknown API Key")


def test_the_sixth_call_of_a_minute_is_refused(dialect):
    dialect.limits["calls_per_minute"] = 5
    said = [ask(dialect, "/v2/last/nbbo/AAPL", now_s=NOW_S + i).status for i in range(6)]
    assert said == [200] * 5 + [429]
    assert ask(dialect, "/v2/last/nbbo/AAPL", now_s=NOW_S + 60).status == 200


def test_a_daily_bar_carries_midnight_in_new_york_and_its_raw_prices(dialect):
    page = read(dialect, RANGE.format("AAPL", 1, "day", "2005-02-25/2005-02-28"), adjusted="false")
    assert (page["ticker"], page["adjusted"], page["resultsCount"], page["status"]) == ("AAPL", False, 2, "OK")
    assert [row["c"] for row in page["results"]] == [Decimal("88.99"), Decimal("44.86")]
    assert datetime.fromtimestamp(page["results"][0]["t"] / 1000, UTC) == datetime(2005, 2, 25, 5, tzinfo=UTC)
    assert "n" not in page["results"][0]


def test_bars_are_adjusted_for_later_splits_by_default(dialect):
    page = read(dialect, RANGE.format("AAPL", 1, "day", "2005-02-25/2005-02-28"))
    assert page["adjusted"] is True
    assert page["results"][0]["c"] == (Decimal("88.99") / 56).quantize(Decimal("0.0001"))
    assert page["results"][1]["c"] == (Decimal("44.86") / 28).quantize(Decimal("0.0001"))


def test_volume_may_have_an_exponent(dialect):
    said = ask(dialect, RANGE.format("AAPL", 1, "day", "2010-01-27/2010-01-29"))
    assert b"e+07" in said.body


def test_the_limit_counts_base_aggregates_and_pages_end_between_bars(dialect):
    path = RANGE.format("X:BTCUSD", 5, "minute", "2026-03-02/2026-03-02")
    whole = read(dialect, path)["results"]
    assert len(whole) == 288
    page = read(dialect, path, limit=100)
    assert page["queryCount"] <= 100
    assert 19 <= len(page["results"]) <= 20
    rows, pages = read_all(dialect, path, limit=100)
    assert rows == whole
    assert pages > 10
    dialect.limits["bases_a_page"] = 2
    assert len(read(dialect, path)["results"]) == 1


def test_a_wider_bar_is_the_aggregate_of_the_minutes_that_are_served(dialect):
    bounds = "1772460000000/1772463599999"
    minutes = read(dialect, RANGE.format("C:EURUSD", 1, "minute", bounds))["results"]
    (hour,) = read(dialect, RANGE.format("C:EURUSD", 1, "hour", bounds))["results"]
    assert (hour["o"], hour["c"]) == (minutes[0]["o"], minutes[-1]["c"])
    assert hour["h"] == max(row["h"] for row in minutes)
    assert hour["v"] == hour["n"] == sum(row["v"] for row in minutes)
    assert len(minutes) == 59  # one of them has no quotes, and no bar


def test_bounds_stretch_to_the_bars_they_lie_in_and_may_be_sorted_descending(dialect):
    rows = read(dialect, RANGE.format("X:BTCUSD", 1, "hour", "1772461800000/1772465400000"), sort="desc")["results"]
    assert [row["t"] for row in rows] == [1772463600000, 1772460000000]


def test_shares_have_minutes_of_their_session_only_and_an_index_has_no_volume(dialect):
    rows, _ = read_all(dialect, RANGE.format("AAPL", 1, "minute", "2026-03-06/2026-03-09"))
    local = [datetime.fromtimestamp(row["t"] / 1000, UTC).hour for row in rows]
    assert min(local) >= 0
    days = {datetime.fromtimestamp(row["t"] / 1000 - 5 * 3600, UTC).date() for row in rows}
    assert days == {date(2026, 3, 6), date(2026, 3, 9)}
    assert set(read(dialect, RANGE.format("I:SPX", 30, "minute", "2026-03-06/2026-03-06"))["results"][0]) == set(
        "ohlct"
    )


def test_nothing_is_an_answer_without_results(dialect):
    for path in (
        RANGE.format("NONE", 1, "day", "2020-01-01/2020-01-31"),
        RANGE.format("aapl", 1, "day", "2005-01-03/2005-01-05"),
    ):
        page = read(dialect, path)
        assert (page["resultsCount"], page["status"], "results" in page) == (0, "OK", False)


@pytest.mark.parametrize("bounds", ["2020-01-02/2020-01-01", "yesterday/2020-01-01", "2020-13-01/2020-12-31"])
def test_a_bad_range_is_a_400(dialect, bounds):
    assert refusal(dialect, RANGE.format("AAPL", 1, "day", bounds))[:2] == (400, "ERROR")
    assert refusal(dialect, RANGE.format("AAPL", 1, "minute", bounds))[:2] == (400, "ERROR")


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/v2/aggs/ticker/AAPL/range/1/day/2005-01-03/2005-01-05", 50_001), ("/v3/trades/AAPL", 50_001),
     ("/v2/reference/news", 1_001), ("/v3/reference/splits", 0), ("/fed/v1/inflation", "x")],
)  # fmt: skip
def test_a_limit_beyond_the_documented_one_is_a_400(dialect, path, limit):
    assert refusal(dialect, path, limit=limit)[:2] == (400, "ERROR")


def test_a_whole_markets_day_has_every_ticker_and_the_closes_time(dialect):
    page = read(dialect, "/v2/aggs/grouped/locale/us/market/stocks/2012-03-09", adjusted="false")
    assert {row["T"] for row in page["results"]} == {"AAPL", "GOOG", "IBM", "MSFT"}
    assert {row["t"] for row in page["results"]} == {1331326800000}  # 16:00 in New York
    money = read(dialect, "/v2/aggs/grouped/locale/global/market/fx/2026-03-07")
    assert {row["t"] for row in money["results"]} == {day_ms(ITEMS["C:EURUSD"], date(2026, 3, 8)) - 1}
    assert "results" not in read(dialect, "/v2/aggs/grouped/locale/us/market/stocks/2012-03-10")


def test_todays_whole_market_is_for_other_plans(dialect):
    path = "/v2/aggs/grouped/locale/us/market/stocks/2026-11-24"
    code, status, text = refusal(dialect, path)
    assert (code, status) == (403, "NOT_AUTHORIZED")
    assert "before end of day" in text
    dialect.limits["todays_market"] = 1
    assert read(dialect, path)["resultsCount"] > 0


def test_trades_are_nanoseconds_newest_first_unless_asked_otherwise_and_page_by_cursor(dialect):
    bounds = {"timestamp__gte": "1772722800000000000", "timestamp__lt": "1772722860000000000"}
    newest = read(dialect, "/v3/trades/AAPL", limit=10, **bounds)["results"]
    assert [row["sip_timestamp"] for row in newest] == sorted((r["sip_timestamp"] for r in newest), reverse=True)
    rows, pages = read_all(dialect, "/v3/trades/AAPL", order="asc", limit=50, **bounds)
    assert pages > 2
    numbers = [row["sequence_number"] for row in rows]
    assert numbers == sorted(set(numbers))
    assert all(1772722800000000000 <= row["sip_timestamp"] < 1772722860000000000 for row in rows)
    assert any("decimal_size" in row for row in rows)
    coin = read(dialect, "/v3/trades/X:BTC-USD", limit=1)["results"][0]
    assert "sip_timestamp" not in coin
    assert coin["conditions"] in ([1], [2])


def test_ticks_want_a_hyphen_between_the_legs_of_a_pair_and_bars_want_none(dialect):
    assert read(dialect, "/v3/trades/X:BTCUSD")["results"] == []
    assert len(read(dialect, "/v3/quotes/C:EUR-USD", limit=1)["results"]) == 1
    assert "results" not in read(dialect, RANGE.format("X:BTC-USD", 1, "day", "2026-03-02/2026-03-02"))


def test_the_trades_of_a_minute_make_up_its_bar(dialect):
    market, item, minute = PolygonMarket(7), ITEMS["X:BTCUSD"], 1772722800 // 60
    assert is_traded(item, minute)
    trades = market.trades(item, minute * 60 * 10**9, (minute + 1) * 60 * 10**9, now_ms=int(NOW_S * 1000))
    ((_, bar),) = market.minutes(item, minute, minute + 1, now_ms=int(NOW_S * 1000))
    assert (trades[0].price, trades[-1].price, sum(one.size for one in trades)) == (bar.open, bar.close, bar.volume)
    start, end = session_minutes(item, date(2026, 3, 5))
    assert aggregate([bar for _, bar in market.minutes(item, start, end, now_ms=int(NOW_S * 1000))]).high >= bar.high


def test_the_last_quote_and_the_book_exist_for_tickers_that_exist(dialect):
    quote = read(dialect, "/v2/last/nbbo/AAPL")["results"]
    assert quote["p"] < quote["P"]
    assert len(str(quote["t"])) == 19
    data = read(dialect, "/v2/snapshot/locale/global/markets/crypto/tickers/X:BTCUSD/book")["data"]
    assert len(str(data["updated"])) == 13
    assert [len(level["x"]) for level in data["bids"][:4]] == [2, 1, 1, 2]
    assert data["bidCount"] == sum(share for level in data["bids"] for share in level["x"].values())
    for path in ("/v2/last/nbbo/NONE", "/v2/snapshot/locale/global/markets/crypto/tickers/X:NONE/book"):
        assert refusal(dialect, path)[:2] == (404, "NOT_FOUND")


def test_news_are_filtered_by_ticker_and_time_and_newest_first_ten_at_a_time(dialect):
    newest = read(dialect, "/v2/reference/news", ticker="AAPL")
    assert newest["count"] == 10
    stamps = [row["published_utc"] for row in newest["results"]]
    assert stamps == sorted(stamps, reverse=True)
    assert all("AAPL" in row["tickers"] for row in newest["results"])
    bounds = {"published_utc__gte": "2025-01-01T00:00:00Z", "published_utc__lt": "2025-02-01"}
    rows, pages = read_all(dialect, "/v2/reference/news", order="asc", limit=50, **bounds)
    assert (len(rows), pages) == (248, 5)
    assert rows[0]["published_utc"] == "2025-01-01T00:00:00Z"


def test_economic_tables_leave_out_what_does_not_exist_yet(dialect):
    rows = read(dialect, "/fed/v1/treasury-yields", date__gte="1970-01-01", date__lt="1970-02-01")["results"]
    assert set(rows[0]) == {"date", "yield_1_year", "yield_5_year", "yield_10_year"}
    assert (
        read(dialect, "/fed/v1/inflation", date__gte="2024-01-01", sort="date.desc")["results"][0]["date"]
        == "2026-11-01"
    )
    assert refusal(dialect, "/fed/v1/nothing") == (404, "NOT_FOUND", "Data not found.")


def test_splits_and_dividends_have_a_ratio_or_an_amount_and_their_dates(dialect):
    splits = read(dialect, "/v3/reference/splits", ticker="AAPL")["results"]
    assert [(row["execution_date"], row["split_to"]) for row in splits][:2] == [("2020-08-31", 4), ("2014-06-09", 7)]
    rows, _ = read_all(
        dialect, "/v3/reference/dividends", ticker="AAPL", order="asc", ex_dividend_date__gte="2024-01-01"
    )
    assert rows[0]["ex_dividend_date"] == "2024-02-02"
    assert all(row["declaration_date"] < row["ex_dividend_date"] < row["record_date"] < row["pay_date"] for row in rows)


def test_tickers_are_searched_by_name_and_pairs_tell_their_legs(dialect):
    (euro,) = read(dialect, "/v3/reference/tickers", search="euro")["results"]
    assert (euro["base_currency_symbol"], euro["currency_symbol"]) == ("EUR", "USD")
    assert len(read(dialect, "/v3/reference/tickers")["results"]) == len(ITEMS)


def test_an_unknown_path_is_a_404_that_is_no_json(dialect):
    assert ask(dialect, "/v9/nothing").body == b"404 page not found"
