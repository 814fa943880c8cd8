"""Bars that still form are not final; once final, a correction keeps what they said before."""

from __future__ import annotations

import random
from datetime import timedelta

from ingest.market.times import epoch_us
from ingest.providers import get
from ingest.wire import Answer, Request
from tests.pipeline.farm import bars_call
from tests.pipeline.observed import OPEN, answer, kline, klines

CALL = bars_call("BTC-USDT", start=OPEN, minutes=10)
REQUEST = Request("/api/v3/klines", instruments=("BTC-USDT",))
SETTLE = timedelta(seconds=get("binance").facts.settle_s)
END = OPEN + timedelta(minutes=1)
BAR = "SELECT close::text, is_final FROM bars"


def observe(farm, close, after_end, *, minute=0):
    """Load a bar that says `close`, observed that long after its end."""
    opened = OPEN + timedelta(minutes=minute)
    page = klines(kline(opened, close=close))
    sent_at = END + timedelta(minutes=minute) + after_end
    return farm.load_answers("binance", CALL, answer(REQUEST, page, at=sent_at))


def test_a_poll_stores_the_newest_bars_and_only_ended_and_settled_ones_are_final(farm):
    farm.owe("binance", {"dataset": "bars", "instruments": ["BTC-USDT"], "interval": "1m"})
    farm.run_once()
    [sent_us] = {epoch_us(observed) for (observed,) in farm.select("SELECT observed_at FROM bars")}
    rows = farm.select("SELECT ts, is_final FROM bars ORDER BY ts")
    assert len(rows) == 5
    for ts, is_final in rows:
        assert is_final == (epoch_us(ts + timedelta(minutes=1) + SETTLE) <= sent_us)
    assert not rows[-1][1]
    assert rows[0][1]


def test_a_bar_that_still_forms_by_the_providers_clock_is_not_final(farm):
    """The provider's clock is five minutes behind: its newest bar is one that, by ours, was over long ago."""
    farm.sandbox.arm("binance", "clock_skew", times=None, args={"offset_s": -300})
    farm.owe("binance", {"dataset": "bars", "instruments": ["BTC-USDT"], "interval": "1m"})
    farm.run_once()
    rows = farm.select("SELECT ts, observed_at, is_final FROM bars ORDER BY ts")
    newest, asked_at, is_final = rows[-1]
    assert asked_at - newest > timedelta(minutes=4) + SETTLE
    assert not is_final
    assert rows[0][2]


def test_a_bar_that_is_final_is_not_replaced_by_one_that_forms_by_a_clock_that_is_behind(farm):
    poll = {"dataset": "bars", "instruments": ["BTC-USDT"], "interval": "1m"}
    request = Request("/api/v3/klines", instruments=("BTC-USDT",))

    def ask(minute, *closes):
        page = klines(*(kline(OPEN + timedelta(minutes=at), close=close) for at, close in enumerate(closes)))
        farm.load_answers("binance", poll, answer(request, page, at=OPEN + timedelta(minutes=minute)))

    ask(3, "1.1", "1.2", "1.3", "1.4")
    ask(6, "1.1", "1.0")  # its clock shows the second minute, which has just begun
    assert farm.select("SELECT close::text, is_final FROM bars ORDER BY ts")[:2] == [("1.1", True), ("1.2", True)]
    assert farm.select("SELECT * FROM revisions") == []


def test_the_newest_bar_of_a_page_that_was_kept_is_not_final(farm):
    """A cache says again what it said three minutes ago, dated anew: its newest bar formed then."""
    poll = {"dataset": "bars", "instruments": ["BTC-USDT"], "interval": "1m"}
    page = klines(*(kline(OPEN + timedelta(minutes=at)) for at in range(3)))
    request = Request("/api/v3/klines", instruments=("BTC-USDT",))
    farm.load_answers("binance", poll, answer(request, page, at=OPEN + timedelta(minutes=6)))
    assert farm.select("SELECT is_final FROM bars ORDER BY ts") == [(True,), (True,), (False,)]


def test_a_clock_that_is_days_behind_is_not_believed():
    now = OPEN + timedelta(minutes=1)
    for date in ("Mon, 01 Jan 2001 00:00:00 GMT", "yesterday"):
        assert Answer(REQUEST, 200, {"date": date}, b"", sent_at=now, received_at=now).said_at == now


def test_a_bar_becomes_final_with_the_first_observation_after_its_end_and_settling(farm):
    microsecond = timedelta(microseconds=1)
    observe(farm, "1.1", -timedelta(seconds=30))
    observe(farm, "1.2", SETTLE - microsecond)
    assert farm.select(BAR) == [("1.2", False)]
    assert farm.select("SELECT stored, final FROM ledger") == [(1, 0)]
    observe(farm, "1.3", SETTLE)
    assert farm.select(BAR) == [("1.3", True)]
    assert farm.select("SELECT stored, final FROM ledger") == [(1, 1)]
    assert farm.select("SELECT * FROM revisions") == []


def test_finality_follows_from_the_observation_not_from_when_it_is_stored(farm):
    observe(farm, "1.1", -timedelta(seconds=30))
    assert farm.select(BAR) == [("1.1", False)]  # although the bar ended years ago


def test_a_correction_of_a_final_bar_is_a_revision_with_the_old_digits_and_times(farm):
    observe(farm, "1.10", timedelta(minutes=1))
    result = observe(farm, "1.20", timedelta(hours=3))
    assert (result["updated"], result["revised"]) == (1, 1)
    assert farm.select(BAR) == [("1.20", True)]
    [(old, observed, superseded, job)] = farm.select(
        "SELECT old_row->>'close', known_since, superseded_at, job_id FROM revisions"
    )
    assert (old, observed, superseded) == ("1.10", END + timedelta(minutes=1), END + timedelta(hours=3))
    assert job == farm.value("SELECT max(id) FROM jobs")


def test_an_older_answer_that_is_stored_late_undoes_nothing(farm):
    observe(farm, "1.20", timedelta(hours=3))
    result = observe(farm, "1.10", timedelta(minutes=1))
    assert (result["inserted"], result["updated"], result["revised"]) == (0, 0, 0)
    assert farm.select(BAR) == [("1.20", True)]


def test_observations_stored_in_any_order_end_with_the_latest(farm):
    observations = [(f"1.{number}", timedelta(seconds=20 * number - 50)) for number in range(1, 8)]
    for seed in range(2):
        farm.change("DELETE FROM bars")
        for close, after_end in random.Random(seed).sample(observations, len(observations)):
            observe(farm, close, after_end)
        assert farm.select(BAR) == [("1.7", True)]


def test_loading_the_same_answers_again_changes_nothing(farm):
    page = klines(*[kline(OPEN + timedelta(minutes=minute), close=f"1.{minute}0") for minute in range(10)])
    kept = answer(REQUEST, page, at=END + timedelta(hours=1))
    assert farm.load_answers("binance", CALL, kept)["inserted"] == 10
    again = farm.load_answers("binance", CALL, kept)
    assert (again["rows"], again["inserted"], again["updated"], again["revised"]) == (10, 0, 0, 0)


def test_answers_of_several_times_in_one_payload_are_told_apart(farm):
    early = answer(REQUEST, klines(kline(close="1.1")), at=END - timedelta(seconds=1))
    late = answer(REQUEST, klines(kline(OPEN + timedelta(minutes=1), close="1.2")), at=END + timedelta(minutes=2))
    farm.load_answers("binance", CALL, early, late)
    assert farm.select(f"{BAR} ORDER BY ts") == [("1.1", False), ("1.2", True)]
