"""The rules about an order book's levels, which stand as decimals joined by commas, a side's prices and sizes apart.

Deliberately not here: rules about one number or one time (quality.py). Invariant: as there, numbers are compared as
floats, which keep order, so an alarm is never false.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ingest.market.records import LEVEL_COLUMNS

#: NUMERIC takes no exponent of that many digits.
_LONG_EXPONENT = r"[eE][+-]?\d{4,}"


def level_masks(masks: Mapping[str, pl.Expr]) -> dict[str, pl.Expr]:
    """Return the rules about levels, each joined with the rule of that name in `masks`. A null side breaks none."""
    levels = {name: _numbers(name) for name in LEVEL_COLUMNS}
    prices = {side: levels[f"{side}_prices"] for side in ("bid", "ask")}
    sizes = {side: levels[f"{side}_sizes"] for side in ("bid", "ask")}
    bid, ask = prices["bid"], prices["ask"]
    found = {
        "not_a_number": pl.any_horizontal(*(_is_odd(name, numbers) for name, numbers in levels.items())),
        "negative_volume": pl.any_horizontal((one.list.min() < 0) for one in sizes.values()),
        "uneven_levels": pl.any_horizontal(prices[side].list.len() != sizes[side].list.len() for side in prices),
        "unsorted_levels": (bid.list.diff().list.max() >= 0) | (ask.list.diff().list.min() <= 0),
        "crossed_quote": bid.list.first() > ask.list.first(),
    }
    return {rule: masks[rule] | mask.fill_null(False) if rule in masks else mask for rule, mask in found.items()}


def _numbers(name: str) -> pl.Expr:
    """Return a side's numbers, null where one is no finite number; no levels where the text is empty."""
    none = pl.lit([], dtype=pl.List(pl.String))
    texts = pl.when(pl.col(name) == "").then(none).otherwise(pl.col(name).str.split(","))
    number = pl.element().cast(pl.Float64, strict=False)
    return texts.list.eval(pl.when(number.is_finite()).then(number))


def _is_odd(name: str, numbers: pl.Expr) -> pl.Expr:
    return numbers.list.eval(pl.element().is_null()).list.any() | pl.col(name).str.contains(_LONG_EXPONENT)
