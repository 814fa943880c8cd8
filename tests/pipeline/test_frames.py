"""Frames: values keep their text from the answer to the CSV, times their moment, and nothing makes them raise."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.market.quality import check
from ingest.market.records import VALUE_COLUMNS, Parsed
from ingest.market.times import epoch_us
from ingest.pipeline.frames import batch, decode, encode, is_final, to_csv

T0 = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 6, 1, 12, 0, 0, 123_456, tzinfo=UTC)
moments = st.datetimes(datetime(1800, 1, 1), datetime(2262, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
cells = st.none() | st.text(max_size=8)


def parsed(times, unit="ms", **columns):
    size = len(times)
    values = {name: columns.get(name, ["1.10"] * size) for name in ("open", "high", "low", "close")}
    return Parsed({"instrument": columns.get("instrument", ["BTC-USDT"] * size), "ts": times, **values}, unit)


def frame_of(answer):
    """Return one answer's rows, without what tells it from others."""
    return batch([(0, answer, NOW, NOW)], "bars").drop("answer", "observed_at")


@given(st.lists(moments, max_size=5), st.sampled_from(["s", "ms", "us", "ns"]))
def test_times_of_any_unit_become_the_moment_they_count(times, unit):
    per_us = {"s": (1, 1_000_000), "ms": (1, 1_000), "us": (1, 1), "ns": (1_000, 1)}[unit]
    counts = [epoch_us(t) * per_us[0] // per_us[1] for t in times]
    expected = [
        t.replace(microsecond={"s": 0, "ms": t.microsecond // 1000 * 1000}.get(unit, t.microsecond)) for t in times
    ]
    assert frame_of(parsed(counts, unit))["ts"].to_list() == expected


def test_a_frame_has_every_column_of_its_dataset_as_text():
    frame = frame_of(parsed([0]))
    assert frame.schema == {
        "instrument": pl.String,
        "ts": pl.Datetime("us", "UTC"),
        **dict.fromkeys(VALUE_COLUMNS["bars"], pl.String),
    }
    assert frame["adjusted_close"].to_list() == [None]


@pytest.mark.parametrize("count", [2**63, -(2**63), 2**70, -(2**200), 10**18, 1_727_740_800_000_000_000])
@pytest.mark.parametrize("unit", ["s", "ms"])
def test_an_integer_that_can_be_no_time_becomes_a_finding_not_an_error(count, unit):
    frame = frame_of(parsed([count, 1_704_067_200_000 if unit == "ms" else 1_704_067_200], unit))
    assert frame["ts"].to_list() == [None, T0]
    good, findings = check(frame, dataset="bars", interval="1m", start=None, end=None, observed_at=NOW)
    assert [f.rule for f in findings] == ["timestamp_out_of_range"]
    assert good.height == 1


@given(st.lists(st.integers()), st.sampled_from(["s", "ms", "us", "ns"]))
def test_no_integer_makes_a_frame_raise(counts, unit):
    times = frame_of(parsed(counts, unit))["ts"].to_list()
    assert len(times) == len(counts)


def test_dates_are_midnights_and_what_is_no_date_is_null():
    dates = ["2018-03-27", "2018-02-30", "x", "", "+12024-01-01", "\ud800", "1962-01-02"]
    frame = frame_of(parsed(dates, "date"))
    assert frame["ts"].to_list() == [datetime(2018, 3, 27, tzinfo=UTC), *[None] * 5, datetime(1962, 1, 2, tzinfo=UTC)]


def test_rows_without_any_time_are_dated_by_their_receipt():
    assert frame_of(parsed([None, None]))["ts"].to_list() == [NOW, NOW]
    assert frame_of(parsed([None, 0]))["ts"].to_list() == [None, datetime(1970, 1, 1, tzinfo=UTC)]


def test_half_a_surrogate_pair_in_a_price_is_kept_visible_instead_of_raising():
    assert frame_of(parsed([0], open=["\ud800"]))["open"].to_list() == ["\\ud800"]


@given(st.lists(st.lists(st.integers(0, 10**12), max_size=4), max_size=5))
def test_a_batch_of_answers_is_their_frames_one_after_the_other(answers):
    parts = [(i, parsed(times), NOW + timedelta(seconds=i), NOW) for i, times in enumerate(answers)]
    frame = batch(parts, "bars")
    singles = [frame_of(part) for _, part, _, _ in parts] or [frame_of(parsed([]))]
    assert frame.drop("answer", "observed_at").equals(pl.concat(singles))
    assert frame["answer"].to_list() == [i for i, times in enumerate(answers) for _ in times]
    assert frame["observed_at"].to_list() == [parts[i][2] for i in frame["answer"]]


def test_a_batch_dates_each_timeless_answer_by_its_own_receipt():
    parts = [(0, parsed([None]), NOW, T0), (1, parsed([None]), NOW, NOW), (2, parsed([0]), NOW, NOW)]
    assert batch(parts, "bars")["ts"].to_list() == [T0, NOW, datetime(1970, 1, 1, tzinfo=UTC)]


@given(st.lists(st.tuples(st.none() | moments, cells, cells), max_size=6))
def test_a_frame_survives_the_way_to_the_next_task(rows):
    schema = {"ts": pl.Datetime("us", "UTC"), "open": pl.String, "close": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    assert decode(encode(frame)).equals(frame)


@given(st.lists(st.tuples(moments, cells, cells), max_size=6))
def test_csv_gives_back_every_text_and_moment_and_tells_null_from_empty(rows):
    frame = pl.DataFrame(rows, schema={"ts": pl.Datetime("us", "UTC"), "a": pl.String, "b": pl.String}, orient="row")
    text = to_csv(frame, ["b", "ts", "a"]).decode()
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert [(datetime.fromisoformat(ts), a, b) for b, ts, a in read] == [(ts, a or "", b or "") for ts, a, b in rows]
    unquoted = pl.DataFrame({"a": ["", None]}).with_columns(b=pl.lit("x"))
    assert to_csv(unquoted, ["a", "b"]) == b'"",x\n,x\n'


def test_a_bar_is_final_when_it_had_ended_and_settled_at_its_observation():
    frame = frame_of(parsed([1_704_067_200_000, 1_704_067_260_000]))
    at = T0 + timedelta(seconds=122)
    assert is_final(frame, interval="1m", settle_s=2, observed_at=at).to_list() == [True, True]
    just_before = at - timedelta(microseconds=1)
    assert is_final(frame, interval="1m", settle_s=2, observed_at=just_before).to_list() == [True, False]
    seen = frame.with_columns(observed_at=pl.Series([T0, at], dtype=pl.Datetime("us", "UTC")))
    assert is_final(seen, interval="1m", settle_s=2, observed_at=NOW).to_list() == [False, True]


def test_a_daily_bar_of_a_session_is_final_after_its_utc_day_and_quotes_always_are():
    frame = frame_of(parsed(["2018-03-27"], "date"))
    end = datetime(2018, 3, 28, 12, tzinfo=UTC)
    assert is_final(frame, interval="1d", settle_s=43_200, observed_at=end).to_list() == [True]
    early = end - timedelta(seconds=1)
    assert is_final(frame, interval="1d", settle_s=43_200, observed_at=early).to_list() == [False]
    assert is_final(frame, interval=None, settle_s=0, observed_at=T0).to_list() == [True]
