"""Exact: columns of numbers as text, turned into decimals, floats or lists.

Deliberately not here: where the text comes from (read). Invariant: a decimal has every digit of its text; a column that
polars can't hold so stays text, and only floats, which somebody has asked for, give digits up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import ARRAY, Numeric
from sqlalchemy.types import TypeEngine

from ingest.market.records import NAME_LISTS, VALUE_COLUMNS, Dataset
from ingest.pipeline.read import columns_of

#: What a polars Decimal can hold.
MOST_DIGITS = 38


@dataclass(frozen=True, slots=True)
class Digits:
    """The most digits that the numbers of a column have before and after the point."""

    whole: int = 0
    places: int = 0

    @property
    def fit(self) -> bool:
        """Say whether a polars Decimal can hold them all."""
        return self.whole + self.places <= MOST_DIGITS


_TOO_MANY = Digits(MOST_DIGITS, MOST_DIGITS)


def digits_of(frame: pl.DataFrame, dataset: Dataset) -> dict[str, Digits]:
    """Return how many digits the numbers of each column need: `places` exactly, `whole` at least."""
    numbers = _numbers(dataset)
    if not numbers:
        return {}
    found = _counted(frame, numbers, bare=False)
    if all(one.fit for one in found.values()):
        return found
    return _counted(frame, numbers, bare=True)


def _counted(frame: pl.DataFrame, numbers: Mapping[str, bool], *, bare: bool) -> dict[str, Digits]:
    """Count digits; not `bare`: before the point a sign and a zero too, for half of the time."""
    found = {}
    for name, is_levels in numbers.items():
        text = frame[name]
        if is_levels:
            text = text.str.strip_chars("{}").str.split(",").explode()
        if bare:  # PostgreSQL writes no leading zeros but the one before a point
            text = text.str.strip_prefix("-").str.strip_prefix("0")
        size = text.str.len_bytes()
        behind = size - text.str.find(".", literal=True)  # the point too; looking for it is most of the work
        found[name] = Digits(_most(size - behind.fill_null(0)), max(_most(behind) - 1, 0))
    return found


def _most(counts: pl.Series) -> int:
    most = counts.max()
    return most if isinstance(most, int) else 0


def widest(all_digits: Iterable[Mapping[str, Digits]]) -> dict[str, Digits]:
    """Return what is enough for every one of several frames."""
    found: dict[str, Digits] = {}
    for digits in all_digits:
        for name, one in digits.items():
            known = found.get(name, Digits())
            found[name] = Digits(max(known.whole, one.whole), max(known.places, one.places))
    return found


def exact(dataset: Dataset, digits: Mapping[str, Digits]) -> list[pl.Expr]:
    """Return the expressions that turn text columns into Decimal(38, places), a book's levels into lists of them.

    Names in one text become a list. A column whose numbers need more than 38 digits together stays text: nothing is
    rounded.
    """
    numbers = _numbers(dataset).items()
    return [_cast(name, is_levels, _type(digits[name])) for name, is_levels in numbers] + _names(dataset)


def widened(dataset: Dataset, digits: Mapping[str, Digits], *, tight: bool = False) -> list[pl.Expr]:
    """Return the expressions that give columns which are exact already the types that `exact` gives for more digits.

    `tight`: decimals of no more digits than they need, which tells `digits_in` how many these are.
    """
    types = {name: (_type(digits[name], tight=tight), is_levels) for name, is_levels in _numbers(dataset).items()}
    return [pl.col(name).cast(pl.List(kind) if is_levels else kind) for name, (kind, is_levels) in types.items()]


def digits_in(schema: Mapping[str, pl.DataType], dataset: Dataset) -> dict[str, Digits]:
    """Return the digits of columns that are `tight` already, by their types."""
    kinds = {name: schema[name] for name in _numbers(dataset)}
    inner = {name: kind.inner if isinstance(kind, pl.List) else kind for name, kind in kinds.items()}
    return {
        name: Digits(kind.precision - kind.scale, kind.scale) if isinstance(kind, pl.Decimal) else _TOO_MANY
        for name, kind in inner.items()
    }


def _type(digits: Digits, *, tight: bool = False) -> pl.DataType:
    if not digits.fit:
        return pl.String()
    return pl.Decimal(max(digits.whole + digits.places, 1) if tight else MOST_DIGITS, digits.places)


def as_floats(dataset: Dataset) -> list[pl.Expr]:
    """Return the expressions that turn text columns into Float64, the nearest there is, and names into lists."""
    floats = [_cast(name, is_levels, pl.Float64()) for name, is_levels in _numbers(dataset).items()]
    return floats + _names(dataset)


def as_lists(dataset: Dataset) -> list[pl.Expr]:
    """Return the expressions that turn a book's levels, and lists of names, into lists of text."""
    levels = [_cast(name, True, pl.String()) for name, is_levels in _numbers(dataset).items() if is_levels]
    return levels + _names(dataset)


def typed(frame: pl.DataFrame, dataset: Dataset, *, floats: bool = False) -> pl.DataFrame:
    """Return the rows with numbers in place of their texts: exact decimals, or floats where these will do."""
    return frame.with_columns(as_floats(dataset) if floats else exact(dataset, digits_of(frame, dataset)))


def _names(dataset: Dataset) -> list[pl.Expr]:
    return [_cast(name, True, pl.String()) for name in VALUE_COLUMNS[dataset] if name in NAME_LISTS]


def _numbers(dataset: Dataset) -> dict[str, bool]:
    """Return the columns of exact numbers; True for those that are a side of a book."""
    columns = columns_of(dataset)
    return {
        name: _is_levels(columns[name].type)
        for name in VALUE_COLUMNS[dataset]
        if _is_number(columns[name].type) or _is_levels(columns[name].type)
    }


def _is_number(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, Numeric)


def _is_levels(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, ARRAY) and isinstance(kind.item_type, Numeric)


def _cast(name: str, is_levels: bool, to: pl.DataType) -> pl.Expr:
    if not is_levels:
        return pl.col(name).cast(to)
    inside = pl.col(name).str.strip_chars("{}").str.replace_all('"', "", literal=True)
    none = pl.lit([], dtype=pl.List(pl.String))
    return pl.when(inside == "").then(none).otherwise(inside.str.split(",")).cast(pl.List(to)).alias(name)
