"""The rules about rows that are no prices: their texts, dates, and whether an action is whole.

Deliberately not here: rules about numbers and times (quality.py). Invariant: a text is stored as it came or not at all.
"""

from __future__ import annotations

import polars as pl

from ingest.market.records import DATE_COLUMNS, TEXT_COLUMNS, UNSTORABLE, VALUE_COLUMNS, Dataset

#: How JSON text writes it; PostgreSQL's jsonb takes it no more than its text does.
_UNSTORABLE_ESCAPED = r"\u0000"


def fact_masks(frame: pl.DataFrame, dataset: Dataset) -> dict[str, pl.Expr]:
    """Return the rules that the dataset's columns can break; a null breaks none of them. None for prices."""
    masks: dict[str, pl.Expr] = {}
    if dataset in ("bars", "quotes", "books", "trades"):
        return masks
    present = [name for name in VALUE_COLUMNS[dataset] if frame[name].null_count() < frame.height]
    texts = [_is_unstorable(name) for name in present if name in TEXT_COLUMNS]
    dates = [_is_no_date(name) for name in present if name in DATE_COLUMNS]
    if texts:
        masks["unstorable_text"] = pl.any_horizontal(texts)
    if dates:
        masks["not_a_date"] = pl.any_horizontal(dates)
    if dataset == "actions":
        masks["incomplete_action"] = ~_is_whole().fill_null(False)
    return masks


def _is_unstorable(name: str) -> pl.Expr:
    found = pl.col(name).str.contains(UNSTORABLE, literal=True)
    return found | pl.col(name).str.contains(_UNSTORABLE_ESCAPED, literal=True) if name == "sentiments" else found


def _is_no_date(name: str) -> pl.Expr:
    return pl.col(name).is_not_null() & pl.col(name).str.to_date("%Y-%m-%d", strict=False).is_null()


def _is_whole() -> pl.Expr:
    kind = pl.col("kind")
    ratio = (pl.col(name).cast(pl.Float64, strict=False) > 0 for name in ("split_from", "split_to"))
    is_split = (kind == "split") & pl.all_horizontal(ratio)
    return is_split | ((kind == "dividend") & pl.col("amount").is_not_null())
