"""Bans, waits a client was told, and wrong clocks: faults that remember, seen the way a client meets them."""

import json
import time
from email.utils import parsedate_to_datetime

from tests.sandbox.test_faults import BARS, rows_of
from tests.waiting import until

QUOTE = "/binance/api/v3/ticker/bookTicker?symbol=ETHUSDT"
OTHER = "/coinbase/products/BTC-USD/ticker"


def held(sandbox):
    [rule] = sandbox.control("GET", "faults")[1]["faults"]
    return rule["sent_while_held"]


def test_a_ban_refuses_everything_until_it_is_over_and_counts_who_goes_on(sandbox):
    sandbox.arm("binance", "ban", path="/api/v3/klines", args={"seconds": 1.2, "in_flight_s": 0})
    assert sandbox.get(QUOTE).status == 200  # armed, and not begun
    began = time.time()
    first = sandbox.get(BARS)
    assert (first.status, first.headers["Retry-After"]) == (418, "2")
    said = json.loads(first.data)
    assert said["code"] == -1003
    until_ms = int(said["msg"].partition("until ")[2][:13])
    assert 1190 <= until_ms - began * 1000 <= 1700
    assert [sandbox.get(path).status for path in (QUOTE, BARS, OTHER)] == [418, 418, 200]
    assert held(sandbox) == 2
    until(lambda: time.time() * 1000 >= until_ms, what="the ban's end")
    assert [sandbox.get(path).status for path in (BARS, QUOTE)] == [200, 200]
    assert held(sandbox) == 2


def test_what_was_on_its_way_when_a_ban_began_is_refused_and_not_counted(sandbox):
    sandbox.arm("binance", "ban", args={"in_flight_s": 30})
    assert sandbox.get(BARS).status == 418
    sandbox.pool.clear()  # another connection: nobody was told on it
    assert sandbox.get(BARS).status == 418
    assert held(sandbox) == 0
    assert sandbox.get(BARS).status == 418  # on the same one the answer before must have been read
    assert held(sandbox) == 1


def test_a_provider_that_bans_nobody_refuses_the_wish_and_names_one_that_does(sandbox):
    status, answer = sandbox.control("POST", "faults", {"provider": "coinbase", "fault": "ban"})
    assert status == 400
    assert "binance" in answer["error"]


def test_requests_before_a_told_retry_after_is_over_are_counted(sandbox):
    sandbox.arm("binance", "status", args={"status": 429, "retry_after": 30, "in_flight_s": 0})
    assert sandbox.get(BARS).status == 429
    assert sandbox.get(QUOTE).status == 200
    assert sandbox.get(OTHER).status == 200
    assert held(sandbox) == 1


def test_a_wrong_clock_dates_the_answer_and_the_providers_own_time(sandbox):
    sandbox.arm("binance", "clock_skew", times=2, args={"offset_s": -300})
    answer = sandbox.get("/binance/api/v3/time")
    now = time.time()
    assert abs(parsedate_to_datetime(answer.headers["Date"]).timestamp() - (now - 300)) < 3
    assert abs(json.loads(answer.data)["serverTime"] / 1000 - (now - 300)) < 3
    assert len(rows_of(sandbox.get(BARS))) == 10
    assert sandbox.fired() == [2]
    assert abs(parsedate_to_datetime(sandbox.get(BARS).headers["Date"]).timestamp() - time.time()) < 3


def test_a_wrong_clock_writes_the_retry_after_of_another_fault(sandbox):
    sandbox.arm("binance", "clock_skew", times=None, args={"offset_s": -300})
    sandbox.arm("binance", "status", args={"status": 429, "retry_after_date_s": 20})
    answer = sandbox.get(BARS)
    told, said = (parsedate_to_datetime(answer.headers[name]) for name in ("Retry-After", "Date"))
    assert 18 <= (told - said).total_seconds() <= 21
    assert told.timestamp() < time.time()
