"""Every fault, seen the way a client meets it: through urllib3 or a bare socket."""

import gzip
import json
import socket
import time

import pytest
import urllib3

from sandbox.fault_rules import FAULT_NAMES
from tests.sandbox.conftest import TABLE

BARS = "/binance/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=1700000040000&limit=10"
DAYS = f"{TABLE}?ticker=IBM&qopts.per_page=10&api_key=sandbox-key"
TESTED_HERE = {
    *("status", "error_in_200", "html", "truncated", "cut", "not_json", "empty", "slow", "hang", "drip", "endless"),
    *("reset", "null_prices", "high_below_low", "future_timestamp", "wrong_unit", "misaligned", "repeated_row"),
    *("missing_row", "short_page", "empty_page", "reset_midway", "garbage", "quota_spent", "gzip_bomb", "redirect"),
    *("wrong_content_type", "repeated_page", "out_of_order"),
}
TESTED_WITH_WAITS = {"ban", "clock_skew"}


def rows_of(answer):
    body = json.loads(answer.data, parse_float=str)
    return body if isinstance(body, list) else body["datatable"]["data"]


def test_every_fault_has_a_test_here():
    assert set(FAULT_NAMES) == TESTED_HERE | TESTED_WITH_WAITS


def test_status_carries_any_status_body_and_retry_after(sandbox):
    arguments = {"status": 503, "retry_after": 7, "body": '{"code":-1008,"msg":"busy"}'}
    sandbox.arm("binance", "status", args=arguments)
    answer = sandbox.get(BARS)
    assert (answer.status, answer.headers["Retry-After"], json.loads(answer.data)["code"]) == (503, "7", -1008)
    assert sandbox.get(BARS).status == 200


@pytest.mark.parametrize(("url", "provider", "word"), [(BARS, "binance", "code"), (DAYS, "nasdaq_data_link", "quandl")])
def test_error_in_200_is_an_error_in_the_providers_own_shape(sandbox, url, provider, word):
    sandbox.arm(provider, "error_in_200")
    answer = sandbox.get(url)
    assert answer.status == 200
    assert word in next(iter(json.loads(answer.data)))


def test_html_is_a_page_with_200(sandbox):
    sandbox.arm("binance", "html")
    answer = sandbox.get(BARS)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.data.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("fault", ["truncated", "not_json", "empty"])
def test_a_broken_body_arrives_whole_and_is_no_json(sandbox, fault):
    sandbox.arm("binance", fault)
    answer = sandbox.get(BARS)
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(answer.data)))
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(answer.data)


def test_cut_closes_before_the_announced_length(sandbox):
    sandbox.arm("binance", "cut")
    with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
        sandbox.get(BARS)


def test_slow_answers_late_but_whole(sandbox):
    sandbox.arm("binance", "slow", args={"delay_s": 0.2})
    began = time.monotonic()
    assert len(rows_of(sandbox.get(BARS))) == 10
    assert time.monotonic() - began >= 0.2


def test_hang_never_answers_and_leaves_other_connections_alone(sandbox):
    sandbox.arm("binance", "hang", match="BTCUSDT")
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        sandbox.pool.request("GET", sandbox.url + BARS, timeout=0.2)
    assert sandbox.get(BARS).status == 200


def raw(sandbox, path):
    connection = socket.create_connection(("127.0.0.1", sandbox.port), timeout=5)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: sandbox\r\n\r\n".encode())
    return connection


def test_drip_sends_one_byte_at_a_time_until_the_body_is_whole(sandbox):
    sandbox.arm("binance", "drip", path="/api/v3/time", args={"interval_s": 0.01})
    with raw(sandbox, "/binance/api/v3/time") as connection:
        received, reads = b"", 0
        while not received.endswith(b"}"):
            received += connection.recv(4096)
            reads += 1
    assert reads > 5
    assert b'{"serverTime":' in received


def test_endless_never_stops_sending_chunks(sandbox):
    sandbox.arm("binance", "endless", args={"interval_s": 0})
    with raw(sandbox, BARS) as connection:
        received = 0
        while received < 1_000_000:
            chunk = connection.recv(65_536)
            assert chunk
            received += len(chunk)
    assert sandbox.get(BARS).status == 200


def test_reset_breaks_the_connection_with_rst(sandbox):
    sandbox.arm("binance", "reset")
    with raw(sandbox, BARS) as connection, pytest.raises(ConnectionResetError):
        connection.recv(4096)


def test_reset_midway_breaks_the_connection_in_the_body(sandbox):
    sandbox.arm("binance", "reset_midway")
    received = bytearray()

    def read_on(connection):
        while chunk := connection.recv(4096):
            received.extend(chunk)

    with raw(sandbox, BARS) as connection, pytest.raises(ConnectionResetError):
        read_on(connection)
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    assert 0 < len(body) < length


def test_garbage_begins_and_ends_like_json_and_is_none(sandbox):
    sandbox.arm("binance", "garbage")
    body = sandbox.get(BARS).data
    assert (body[:1], body[-1:]) == (b"[", b"]")
    with pytest.raises(ValueError, match=r"utf-8|Expecting"):
        json.loads(body)


def test_quota_spent_is_a_sentence_with_200(sandbox):
    sandbox.arm("binance", "quota_spent")
    answer = sandbox.get(BARS)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert b"limit of your plan" in answer.data


def test_a_gzip_bomb_is_small_on_the_wire_and_large_behind_it(sandbox):
    sandbox.arm("binance", "gzip_bomb", args={"mib": 8})
    answer = sandbox.pool.request("GET", sandbox.url + BARS, decode_content=False)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.data) < 100_000
    assert len(gzip.decompress(answer.data)) == 8 * 1024 * 1024


def test_a_redirect_leads_to_another_host_that_notes_who_followed_and_shows_no_key(sandbox):
    sandbox.control("DELETE", "elsewhere")
    sandbox.arm("binance", "redirect")
    answer = sandbox.pool.request("GET", sandbox.url + BARS, redirect=False)
    elsewhere = sandbox.control("GET", "elsewhere")[1]
    assert (answer.status, elsewhere["requests"]) == (302, [])
    assert answer.headers["Location"].startswith(elsewhere["url"])
    assert elsewhere["url"].rpartition(":")[0] == "http://localhost"
    followed = sandbox.pool.request("GET", f"{answer.headers['Location']}?api_key=k1", headers={"X-Api-Key": "k2"})
    assert followed.data == b"[]"
    [noted] = sandbox.control("GET", "elsewhere")[1]["requests"]
    assert (noted["path"], noted["headers"]["x-api-key"]) == ("/followed?api_key=***", "***")


def test_a_wrong_content_type_comes_with_the_true_body(sandbox):
    true = sandbox.get(BARS)
    sandbox.arm("binance", "wrong_content_type")
    answer = sandbox.get(BARS)
    assert answer.data == true.data
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_repeated_page_is_the_first_one_again(sandbox):
    sandbox.arm("binance", "repeated_page", times=2)
    first = rows_of(sandbox.get(BARS))
    following = BARS.replace("1700000040000", "1700000640000")
    assert rows_of(sandbox.get(following)) == first
    assert rows_of(sandbox.get(BARS)) == first  # this page is that one: nothing to change
    assert rows_of(sandbox.get(following)) == first
    assert sandbox.fired() == [2]
    assert rows_of(sandbox.get(following)) != first


def test_an_out_of_order_page_has_every_row_once(sandbox):
    true = rows_of(sandbox.get(BARS))
    sandbox.arm("binance", "out_of_order")
    assert rows_of(sandbox.get(BARS)) == [*true[1::2], *true[::2]]


# provider, url, open/high/low/close cells, time cells
PAGES = [("binance", BARS, (1, 2, 3, 4), (0, 6)), ("nasdaq_data_link", DAYS, (2, 3, 4, 5), (1,))]


@pytest.fixture(params=PAGES, ids=["binance", "nasdaq_data_link"])
def page(request, sandbox):
    """Return (spoil, prices, times): spoil gives the true rows and the rows with one fault."""
    provider, url, prices, times = request.param

    def spoil(fault, **arguments):
        true = rows_of(sandbox.get(url))
        sandbox.arm(provider, fault, args=arguments)
        spoilt = rows_of(sandbox.get(url))
        assert sandbox.fired() == [1]
        assert rows_of(sandbox.get(url)) == true
        return true, spoilt

    return spoil, prices, times


def changed_cells(true, spoilt):
    assert len(true) == len(spoilt)
    return {(i, j) for i, row in enumerate(true) for j, cell in enumerate(row) if spoilt[i][j] != cell}


def test_null_prices_empties_the_prices_of_one_row(page):
    spoil, prices, _ = page
    true, spoilt = spoil("null_prices", row=3)
    assert changed_cells(true, spoilt) == {(3, cell) for cell in prices}
    assert all(spoilt[3][cell] is None for cell in prices)


def test_high_below_low_touches_one_row_only(page):
    spoil, (_, high, low, _), _ = page
    true, spoilt = spoil("high_below_low")
    assert changed_cells(true, spoilt) == {(5, high), (5, low)}
    assert float(spoilt[5][high]) < float(spoilt[5][low])


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [("future_timestamp", {}), ("misaligned", {}), ("wrong_unit", {}), ("wrong_unit", {"unit": "s"})],
)
def test_a_wrong_time_touches_the_time_of_one_row_only(page, fault, arguments):
    spoil, _, times = page
    true, spoilt = spoil(fault, **arguments)
    assert changed_cells(true, spoilt) == {(5, cell) for cell in times}


def test_wrong_units_have_the_digits_of_microseconds_and_seconds(page):
    spoil, _, times = page
    assert len(str(spoil("wrong_unit")[1][5][times[0]])) in (15, 16)  # before and after September 2001


def test_repeated_missing_short_and_empty_pages_lose_or_gain_whole_rows(sandbox):
    true = rows_of(sandbox.get(BARS))
    expected = {
        "repeated_row": [*true[:6], *true[5:]],
        "missing_row": [*true[:5], *true[6:]],
        "short_page": true[:5],
        "empty_page": [],
    }
    for fault, rows in expected.items():
        sandbox.arm("binance", fault)
        assert rows_of(sandbox.get(BARS)) == rows


def test_the_cursor_of_an_empty_page_stays(sandbox):
    sandbox.arm("nasdaq_data_link", "empty_page")
    body = sandbox.read(DAYS)
    assert body["datatable"]["data"] == []
    assert body["meta"]["next_cursor_id"] is not None


def test_a_fault_meets_only_its_provider_path_and_match_and_only_so_often(sandbox):
    sandbox.arm("binance", "status", path="/api/v3/klines", match="symbol=BTCUSDT", times=2, args={"status": 502})
    asked = [DAYS, "/binance/api/v3/time", BARS.replace("BTC", "ETH"), BARS, BARS, BARS]
    assert [sandbox.get(path).status for path in asked] == [200, 200, 200, 502, 502, 200]
    assert sandbox.fired() == [2]


def test_a_fault_without_end_lasts_until_it_is_cleared(sandbox):
    sandbox.arm("binance", "status", times=None)
    assert [sandbox.get(BARS).status for _ in range(5)] == [500] * 5
    sandbox.control("DELETE", "faults")
    assert sandbox.get(BARS).status == 200


def test_a_row_fault_waits_for_a_page_of_rows(sandbox):
    sandbox.arm("binance", "missing_row")
    assert sandbox.get("/binance/api/v3/time").status == 200
    assert sandbox.fired() == [0]
    assert len(rows_of(sandbox.get(BARS))) == 9
    assert sandbox.fired() == [1]


@pytest.mark.parametrize(
    "wish",
    [
        {},
        [],
        {"provider": "nope", "fault": "reset"},
        {"provider": "binance", "fault": "nope"},
        {"provider": "binance", "fault": "reset", "times": 0},
        {"provider": "binance", "fault": "reset", "unknown": 1},
        {"provider": "binance", "fault": "status", "args": {"status": "500"}},
        {"provider": "binance", "fault": "status", "args": {"retry_after": "1\r\nX: y"}},
    ],
)
def test_a_wrong_wish_is_refused_with_what_is_expected(sandbox, wish):
    status, answer = sandbox.control("POST", "faults", wish)
    assert (status, list(answer)) == (400, ["error"])
    assert sandbox.fired() == []
