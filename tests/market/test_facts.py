"""The rules about news, observations, posts and actions: each catches its fault and no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from ingest.market.quality import check
from ingest.market.records import VALUE_COLUMNS, Parsed
from ingest.pipeline.frames import batch, to_csv

T0 = datetime(2024, 1, 2, tzinfo=UTC)
ROWS = {
    "news": {"article_id": "a", "title": 'T, "quoted"\nand broken', "url": "https://example.com", "instruments": ""},
    "observations": {"vintage": "2024-01-02", "vintage_given": "true", "value": "4.10"},
    "posts": {"post_id": "1799999999999999999", "text": "t", "instruments": "AAPL", "likes": "3"},
    "actions": {"kind": "split", "action_id": "", "split_from": "1", "split_to": "4"},
}


def found(dataset, **changes):
    row = {"instrument": "AAPL", "ts": T0, **ROWS[dataset], **changes}
    schema = {
        "instrument": pl.String,
        "ts": pl.Datetime("us", "UTC"),
        **dict.fromkeys(VALUE_COLUMNS[dataset], pl.String),
    }
    frame = pl.DataFrame([row], schema=schema)
    good, findings = check(frame, dataset=dataset, interval=None, start=None, end=None, observed_at=T0)
    assert good.height == (0 if any(one.severity == "reject" for one in findings) else 1)
    return [one.rule for one in findings]


@pytest.mark.parametrize("dataset", ROWS)
def test_a_good_row_passes(dataset):
    assert found(dataset) == []


@pytest.mark.parametrize(
    ("dataset", "change", "rule"),
    [
        ("news", {"title": None}, "missing_field"),
        ("news", {"url": None}, "missing_field"),
        ("news", {"summary": "a\0b"}, "unstorable_text"),
        ("news", {"sentiments": '{"AAPL":{"reasoning":"a\\u0000b"}}'}, "unstorable_text"),
        ("news", {"sentiment": "much"}, "not_a_number"),
        ("news", {"ts": datetime(1970, 1, 1, tzinfo=UTC)}, "timestamp_out_of_range"),
        ("news", {"ts": T0 + timedelta(days=1)}, "timestamp_in_future"),
        ("observations", {"vintage": "2024-02-30"}, "not_a_date"),
        ("observations", {"value": "NaN"}, "not_a_number"),
        ("observations", {"ts": None}, "timestamp_out_of_range"),
        ("posts", {"text": None}, "missing_field"),
        ("posts", {"likes": "-1"}, "negative_volume"),
        ("posts", {"likes": "1.5"}, "not_a_number"),
        ("actions", {"split_to": None}, "incomplete_action"),
        ("actions", {"split_from": "0"}, "incomplete_action"),
        ("actions", {"kind": "merger"}, "incomplete_action"),
        ("actions", {"kind": "dividend"}, "incomplete_action"),
        ("actions", {"kind": "dividend", "amount": "x"}, "not_a_number"),
        ("actions", {"paid_on": "31.12.2024"}, "not_a_date"),
    ],
)
def test_a_fault_breaks_its_rule_and_no_other(dataset, change, rule):
    assert found(dataset, **change) == [rule]


@pytest.mark.parametrize(
    ("dataset", "change"),
    [
        ("observations", {"value": None}),  # listed as missing
        ("observations", {"ts": datetime(1776, 7, 4, tzinfo=UTC)}),
        ("observations", {"ts": T0 + timedelta(days=400)}),  # a projection
        ("actions", {"kind": "dividend", "amount": "0.26", "ts": T0 + timedelta(days=30)}),  # declared
        ("news", {"sentiment": "-0.35"}),
    ],
)
def test_what_looks_odd_and_is_meant_is_no_finding(dataset, change):
    assert found(dataset, **change) == []


def dated(**columns):
    size = len(columns["ts"])
    parsed = Parsed({"instrument": ["GDP"] * size, **columns}, "date")
    return batch([(0, parsed, T0 + timedelta(hours=23), T0)], "observations")


def test_a_value_without_a_vintage_is_known_from_the_day_it_was_asked_for():
    frame = dated(ts=["2023-10-01", "2023-07-01"], value=["1.0", "2.0"], vintage=[None, "2023-12-01"])
    assert frame.select("vintage", "vintage_given").rows() == [("2024-01-02", "false"), ("2023-12-01", "true")]


def test_half_a_character_in_a_text_is_found_and_not_patched_over():
    parsed = Parsed({"instrument": ["AAPL"], "ts": [0], "article_id": ["a"], "title": ["\ud800"], "url": ["u"]}, "s")
    frame = batch([(0, parsed, T0, T0)], "news").with_columns(ts=pl.lit(T0))
    _, findings = check(frame, dataset="news", interval=None, start=None, end=None, observed_at=T0)
    assert [one.rule for one in findings] == ["unstorable_text"]


def test_names_become_an_array_in_which_null_is_a_name_and_no_names_are_an_empty_one():
    frame = pl.DataFrame({"instruments": ["AAPL,NULL", "", None], "title": ["a", "", None]})
    assert to_csv(frame, ["instruments", "title"]).splitlines() == [b'"{""AAPL"",""NULL""}",a', b'{},""', b"{},"]
