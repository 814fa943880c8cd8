"""FMP's splits and dividends: what is asked for, ex-dates, split-adjusted amounts, two of one day."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ingest.errors import FixRequest
from ingest.providers import fmp
from tests.providers.fmp_replies import ACTIONS, DAY, HOUR, SPLITS, day, read, reply
from tests.providers.payloads import payload


def test_actions_are_one_request_for_dividends_and_one_for_splits_of_each_share_whatever_the_window():
    window = replace(ACTIONS, instruments=("AAPL", "BRK.B"), start=day("1990-01-01"))
    for query, bounds in ((window, (window.start, window.end)), (replace(window, start=None), (None, None))):
        requests = fmp.build(query)
        assert [(r.path, r.params) for r in requests] == [
            ("/dividends", (("symbol", "AAPL"),)),
            ("/splits", (("symbol", "AAPL"),)),
            ("/dividends", (("symbol", "BRK-B"),)),
            ("/splits", (("symbol", "BRK-B"),)),
        ]
        assert {(r.start, r.end) for r in requests} == {bounds}
        assert fmp.next_page(requests[0], reply(payload("fmp", "dividends"), query)) is None


def test_shares_of_other_countries_have_actions_and_pairs_and_indices_have_none():
    assert fmp.build(replace(ACTIONS, instruments=("TSCO.LON",)))[0].params == (("symbol", "TSCO.L"),)
    for name in ("EUR-USD", "INDEX.VIX"):
        with pytest.raises(FixRequest, match="of shares only"):
            fmp.build(replace(ACTIONS, instruments=(name,)))


def test_a_dividends_amount_is_the_one_adjusted_for_splits_and_its_empty_dates_are_none():
    parsed = read("dividends", ACTIONS)
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": ["AAPL"] * 3,
        "ts": ["2025-02-10", "2020-08-07", "1995-02-13"],
        "kind": ["dividend"] * 3,
        "action_id": [""] * 3,
        "amount": ["0.25", "0.2050", "0.00107143"],
        "split_from": [None] * 3,
        "split_to": [None] * 3,
        "declared_on": ["2025-01-30", "2020-07-30", None],
        "recorded_on": ["2025-02-10", "2020-08-10", "1995-02-17"],
        "paid_on": ["2025-02-13", "2020-08-13", "1995-03-10"],
    }


def test_a_split_gives_as_many_new_shares_as_its_numerator_for_the_denominators_old_ones():
    parsed = read("splits", SPLITS, nth=1)
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert (parsed.columns["kind"], parsed.columns["action_id"]) == (["split"] * 2, [""] * 2)
    assert parsed.columns["ts"] == ["2020-08-31", "2014-06-09"]
    assert (parsed.columns["split_from"], parsed.columns["split_to"]) == (["1", "1"], ["4", "7.000"])
    assert parsed.columns["amount"] == [None, None]


def test_a_window_keeps_the_ex_dates_whose_midnight_is_in_it():
    first = day("2020-08-07")
    for start, end, kept in ((first, first + HOUR, ["2020-08-07"]), (first + HOUR, first + DAY, [])):
        assert read("dividends", replace(ACTIONS, start=start, end=end)).columns["ts"] == kept
    splits = read("splits", replace(SPLITS, start=day("2014-06-09"), end=day("2020-08-31")), nth=1)
    assert splits.columns["ts"] == ["2014-06-09"]


def test_a_special_dividend_beside_the_quarters_is_told_by_its_frequency_and_a_repeat_is_not_told_apart():
    (row, *_) = json.loads(payload("fmp", "dividends"))
    special = row | {"adjDividend": 3, "frequency": "Irregular"}
    parsed = fmp.parse(ACTIONS, reply([row, special, row], ACTIONS))
    assert parsed.columns["action_id"] == ["", "Irregular", ""]
    assert parsed.columns["amount"] == ["0.25", "3", "0.25"]


def test_an_action_of_another_symbol_is_rejected():
    for name, nth in (("dividends", 0), ("splits", 1)):
        (row, *_) = json.loads(payload("fmp", name))
        parsed = fmp.parse(ACTIONS, reply([row | {"symbol": "MSFT"}, row], ACTIONS, nth=nth))
        assert (len(parsed.columns["ts"]), [r.rule for r in parsed.rejects]) == (1, ["unknown_symbol"])


@pytest.mark.parametrize(
    ("nth", "change"),
    [
        *((nth, change) for nth in (0, 1) for change in ({"date": ""}, {"date": None}, {"symbol": []})),
        *((0, change) for change in ({"adjDividend": True}, {"paymentDate": {}}, {"frequency": []})),
        *((1, change) for change in ({"numerator": []}, {"denominator": False})),
    ],
)
def test_an_action_of_wrong_shape_is_rejected_and_the_others_are_kept(nth, change):
    good, other, *_ = json.loads(payload("fmp", ("dividends", "splits")[nth]))
    parsed = fmp.parse(ACTIONS, reply([other | change, good, {"date": good["date"]}, 5], ACTIONS, nth=nth))
    assert (len(parsed.columns["ts"]), [r.rule for r in parsed.rejects]) == (1, ["wrong_shape"] * 3)


def test_a_null_amount_is_left_to_the_quality_rules_and_never_taken_from_the_unadjusted_one():
    (row, *_) = json.loads(payload("fmp", "dividends"))
    parsed = fmp.parse(ACTIONS, reply([row | {"adjDividend": None}], ACTIONS))
    assert (parsed.columns["amount"], parsed.rejects) == ([None], ())


def test_a_share_without_actions_is_an_empty_list_and_no_error():
    for nth in (0, 1):
        said = reply(b"[]", ACTIONS, nth=nth)
        assert (fmp.error_of(said), fmp.parse(ACTIONS, said).columns["ts"]) == (None, [])
