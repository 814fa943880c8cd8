"""The rules of good data, over a whole batch at once: what is rejected, what is stored with a warning.

Deliberately not here: whether rows are missing (holes), and what happens to findings (pipeline). The one file outside
the pipeline that imports polars. Invariant: a row is stored unchanged or not at all, and a row that is not stored is
counted in a finding. Numbers are compared as floats, which keep order, so an alarm is never false.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from ingest.market.books import level_masks
from ingest.market.facts import fact_masks
from ingest.market.intervals import seconds_of
from ingest.market.records import (
    DATE_COLUMNS,
    KEY_COLUMNS,
    LEVEL_COLUMNS,
    NAME_LISTS,
    REQUIRED_COLUMNS,
    TEXT_COLUMNS,
    VALUE_COLUMNS,
    Dataset,
    Reject,
)
from ingest.market.times import epoch_us

Severity = Literal["reject", "warn"]
SAMPLE_ROWS = 5
#: Clocks of exchanges and ours agree within a second or two; a minute would let the next bar pass.
FUTURE_TOLERANCE_S = 5.0

_SAMPLE_CHARS = 300
_TOLERANCE_US = int(FUTURE_TOLERANCE_S * 1_000_000)
_FIRST_DAY_US = epoch_us(datetime(1900, 1, 1, tzinfo=UTC))
_FIRST_INTRADAY_US = epoch_us(datetime(2000, 1, 1, tzinfo=UTC))
#: Economic series reach back to the seventeenth century, web pages to 1991.
_FIRST_US: Mapping[Dataset, int] = {
    "news": epoch_us(datetime(1991, 1, 1, tzinfo=UTC)),
    "observations": epoch_us(datetime(1600, 1, 1, tzinfo=UTC)),
    "actions": _FIRST_DAY_US,
}
#: Projections and declared dividends are about days to come.
_MAY_LIE_AHEAD = ("observations", "actions")
_LAST_US = epoch_us(datetime(2200, 1, 1, tzinfo=UTC))
_METRICS = ("likes", "reposts", "replies", "quotes", "bookmarks", "impressions")
_WHOLE = ("trade_count", "trade_id", "sequence", *_METRICS)
_SIZES = ("volume", "quote_volume", "trade_count", "bid_size", "ask_size", "size", *_METRICS)
_NO_NUMBERS = frozenset((*LEVEL_COLUMNS, *TEXT_COLUMNS, *DATE_COLUMNS, *NAME_LISTS))
_SIDES = ("buy", "sell")
_PRICED = ("bars", "trades", "quotes", "books")
#: Rounds to 0.0 as a float though it is none, or has an exponent NUMERIC does not take: `1e-400`, `0e99999`.
_UNDERFLOW = r"[1-9].*[eE]|[eE][+-]?\d{4,}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, in a sentence. `reject`: the row is not stored; `warn`: it is, and the finding says so."""

    severity: Severity
    meaning: str


RULES: Mapping[str, Rule] = {
    "unparsable_page": Rule("reject", "The answer is no page of rows."),
    "wrong_shape": Rule("reject", "The row lacks fields or has fields of other types than documented."),
    "unknown_symbol": Rule("reject", "The row is about a symbol that was not asked for."),
    "null_price": Rule("reject", "A price the row means nothing without is null."),
    "missing_field": Rule("reject", "A field the row means nothing without is null."),
    "not_a_date": Rule("reject", "A date is none."),
    "unstorable_text": Rule("reject", "A text has a character that no database can hold (NUL, half a character)."),
    "incomplete_action": Rule(
        "reject", "A split without its ratio, a dividend without its amount, or neither of them."
    ),
    "not_a_number": Rule("reject", "A value is no finite decimal number (or no whole one where it is a count)."),
    "high_below_low": Rule("reject", "The bar's high is below its low."),
    "negative_volume": Rule("reject", "A volume, size or count is negative."),
    "unknown_side": Rule("reject", "The side of a trade is neither buy nor sell."),
    "uneven_levels": Rule("reject", "A side of the book has not as many sizes as prices."),
    "unsorted_levels": Rule("reject", "The levels of the book are not in the order of their prices, best first."),
    "timestamp_out_of_range": Rule("reject", "The time can't be one, or is so far off that its unit must be wrong."),
    "timestamp_in_future": Rule("reject", "The time is later than the observation."),
    "misaligned": Rule("reject", "The bar does not open on its interval's grid."),
    "outside_window": Rule("reject", "The row is not in the window that was asked for."),
    "price_outside_range": Rule("warn", "The bar's open or close is not between its low and high."),
    "crossed_quote": Rule("warn", "The bid is above the ask."),
    "missing_rows": Rule("warn", "The provider has a bar for every interval, and fewer came than the window holds."),
    "disagrees": Rule("warn", "Two providers' bars of the same time differ by more than the tolerance."),
    "altered": Rule("warn", "The table does not hold the rows that were written to it."),
    "not_an_instrument": Rule("reject", "The name is no instrument's: capital letters and digits (BTC-USDT, AAPL)."),
    "not_taken": Rule("reject", "The stored row says something else: a provider answered it, or a later file has it."),
    "not_answered": Rule(
        "warn",
        "The provider's answer does not hold these rows of a file: they go once an answer that is asked for that, with"
        " all rows that there must be or after this one, does not hold them either.",
    ),
    "duplicate_row": Rule("warn", "The same row (instrument, time, trade) came more than once; the last is stored."),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule objects to in one instrument's rows of one answer: how many, the first one's time, up to five."""

    rule: str
    severity: Severity
    instrument: str | None
    ts: datetime | None
    rows: int
    sample: str
    reason: str
    answer: int = 0


def check(
    frame: pl.DataFrame,
    *,
    dataset: Dataset,
    interval: str | None,
    start: datetime | None,
    end: datetime | None,
    observed_at: datetime,
) -> tuple[pl.DataFrame, list[Finding]]:
    """Return the rows to store, in their order and unchanged, each key once, and what was found.

    `start` and `end` are the asked window, half-open, None where it has no bound. A frame's own columns `answer` and
    `observed_at` go before the argument: findings are then counted per answer.
    """
    observed = pl.col("observed_at").to_physical() if "observed_at" in frame.columns else epoch_us(observed_at)
    numbers = _numbers(frame, dataset)
    masks = _number_masks(numbers, dataset) | _time_masks(dataset, interval, start, end, observed)
    masks |= fact_masks(frame, dataset)
    if dataset == "trades":
        masks["unknown_side"] = ~pl.col("side").is_in(_SIDES)
    if dataset == "books":
        masks |= level_masks(masks)
    hits = frame.hstack(numbers).select(**{rule: mask.fill_null(False) for rule, mask in masks.items()})
    broken = [rule for rule, hit in hits.select(pl.all().any()).row(0, named=True).items() if hit]
    rejecting = [rule for rule in broken if RULES[rule].severity == "reject"]
    stored = ~hits.select(pl.any_horizontal(rejecting)).to_series() if rejecting else None
    good = frame if stored is None else frame.filter(stored)
    findings: list[Finding] = []
    for rule in broken:
        is_warning = stored is not None and rule not in rejecting
        rows = frame.filter(hits[rule] & stored) if is_warning else frame.filter(hits[rule])
        findings += _findings(rows, rule)
    repeats = _repeats(good, dataset)
    if repeats is not None:
        findings += _findings(good.filter(repeats), "duplicate_row")
        good = good.filter(~repeats)
    return good, findings


def findings_of(rejects: Iterable[Reject], *, answer: int = 0) -> list[Finding]:
    """Return the rows a provider's parser could not read as findings, one per rule and instrument."""
    groups: dict[tuple[str, str | None], list[Reject]] = {}
    for reject in rejects:
        groups.setdefault((reject.rule, reject.instrument), []).append(reject)
    return [
        Finding(
            rule=rule,
            severity="reject",
            instrument=instrument,
            ts=None,
            rows=len(group),
            sample="\n".join(one.row for one in group[:SAMPLE_ROWS]),
            reason=group[0].reason,
            answer=answer,
        )
        for (rule, instrument), group in groups.items()
    ]


def _numbers(frame: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return each value column that has any value as floats, named `<column>#`; null where it is no finite number."""
    columns = (name for name in VALUE_COLUMNS[dataset] if name not in _NO_NUMBERS)
    present = [name for name in columns if frame[name].null_count() < frame.height]
    cast = {name: pl.col(name).cast(pl.Float64, strict=False) for name in present}
    return frame.select(pl.when(one.is_finite()).then(one).alias(f"{name}#") for name, one in cast.items())


def _number_masks(numbers: pl.DataFrame, dataset: Dataset) -> dict[str, pl.Expr]:
    """Return the rules about values. Columns without any value, as `adjusted_close` often is, cost nothing."""
    number = {name.removesuffix("#"): pl.col(name) for name in numbers.columns}
    missing = [pl.col(name).is_null() for name in REQUIRED_COLUMNS[dataset]]
    nulls = pl.all_horizontal(missing) if dataset == "quotes" else pl.any_horizontal(missing)
    masks = {"null_price" if dataset in _PRICED else "missing_field": nulls}
    if number:
        zeros = numbers.select((pl.all() == 0).any()).row(0)
        odd = [_not_a_number(name, number[name], zero) for name, zero in zip(number, zeros, strict=True)]
        masks["not_a_number"] = pl.any_horizontal(odd)
    sizes = [number[name] < 0 for name in _SIZES if name in number]
    if sizes:
        masks["negative_volume"] = pl.any_horizontal(sizes)
    if {"high", "low"} <= number.keys():
        high, low = number["high"], number["low"]
        masks["high_below_low"] = high < low
        inner = [number[name] for name in ("open", "close") if name in number]
        if inner:
            masks["price_outside_range"] = (high >= low) & pl.any_horizontal((n < low) | (n > high) for n in inner)
    if {"bid", "ask"} <= number.keys():
        masks["crossed_quote"] = number["bid"] > number["ask"]
    return masks


def _not_a_number(name: str, number: pl.Expr, has_zero: bool) -> pl.Expr:
    """The cast takes what NUMERIC takes, and NaN and infinities; neither takes spaces, hex or underscores here."""
    given = pl.col(name).is_not_null()
    odd = given & number.is_null()
    if name in _WHOLE:
        return odd | (given & pl.col(name).cast(pl.Int64, strict=False).is_null())
    return odd | ((number == 0) & pl.col(name).str.contains(_UNDERFLOW)) if has_zero else odd


def _time_masks(
    dataset: Dataset, interval: str | None, start: datetime | None, end: datetime | None, observed: pl.Expr | int
) -> dict[str, pl.Expr]:
    """Return the rules about `ts`, all in integers (a datetime literal costs polars 100 us each).

    A time out of range breaks that rule alone: nothing else can be said of it.
    """
    ts = pl.col("ts").to_physical()
    first = _FIRST_DAY_US if interval == "1d" else _FIRST_US.get(dataset, _FIRST_INTRADAY_US)
    sane = ((ts >= first) & (ts < _LAST_US)).fill_null(False)
    masks = {"timestamp_out_of_range": ~sane}
    if dataset not in _MAY_LIE_AHEAD:
        masks["timestamp_in_future"] = sane & (ts > observed + _TOLERANCE_US)
    if interval is not None:
        masks["misaligned"] = sane & (ts % (seconds_of(interval) * 1_000_000) != 0)
    bounds = [ts < epoch_us(start)] if start is not None else []
    bounds += [ts >= epoch_us(end)] if end is not None else []
    if bounds:
        masks["outside_window"] = sane & pl.any_horizontal(bounds)
    return masks


def _repeats(frame: pl.DataFrame, dataset: Dataset) -> pl.Series | None:
    """Say which rows have a later one of the same key, or None if none has."""
    key = pl.struct("instrument", "ts", *KEY_COLUMNS[dataset])
    if frame.height < 2 or frame.select(key.n_unique()).item() == frame.height:
        return None
    return frame.select(~key.is_last_distinct()).to_series()


def _findings(rows: pl.DataFrame, rule: str) -> list[Finding]:
    by = ["instrument", "answer"] if "answer" in rows.columns else ["instrument"]
    found = []
    for group in rows.partition_by(by, maintain_order=True):
        first = group.row(0, named=True)
        found.append(
            Finding(
                rule=rule,
                severity=RULES[rule].severity,
                instrument=first["instrument"],
                ts=first["ts"],
                rows=group.height,
                sample=_sample(group.head(SAMPLE_ROWS)),
                reason=RULES[rule].meaning,
                answer=first.get("answer", 0),
            )
        )
    return found


def _sample(rows: pl.DataFrame) -> str:
    """Return the rows as text, a line each, with control characters escaped (PostgreSQL's text takes no NUL)."""
    return "\n".join(json.dumps(row, default=str)[:_SAMPLE_CHARS] for row in rows.iter_rows(named=True))
