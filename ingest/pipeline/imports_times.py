"""Moments as files write them: ISO 8601, whole or broken numbers since 1970, typed columns.

Deliberately not here: which column holds them (imports_rows). Invariant: nothing is guessed. A moment without an offset
needs a zone, a bare number its unit; a date is its midnight in UTC; what can't be read is null.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from polars.exceptions import PolarsError

from ingest.errors import FixRequest
from ingest.market.times import ACCEPTED, Epoch

#: Digits of a unit that microseconds hold behind its point.
_PLACES: Mapping[str, int] = {"s": 6, "ms": 3, "us": 0, "ns": -3}
#: What Python and PostgreSQL can both say: years 1 to 9999.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
_UTC_US = pl.Datetime("us", "UTC")
_ISO = r"^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?(?:[Zz]|([+-])(\d\d):?(\d\d)?)?)?$"
_HAS_OFFSET = r"[Zz]$|[+-]\d\d(:?\d\d)?$"
_NUMBER = r"^-?\d+(\.\d*)?$"


@dataclass(frozen=True, slots=True)
class Clock:
    """What a file's moments do not say themselves: the zone of those without an offset, the unit of numbers."""

    timezone: str | None = None
    epoch: Epoch | None = None

    def __post_init__(self) -> None:
        if self.epoch is not None and self.epoch not in _PLACES:
            raise FixRequest(f"unknown unit of time: {self.epoch!r}; accepted: {', '.join(_PLACES)}")
        if self.timezone is not None:
            try:
                self._utc(pl.Series([None], dtype=pl.Datetime("us")))
            except PolarsError as error:
                known = "UTC, Europe/Berlin, America/New_York"
                raise FixRequest(f"unknown time zone: {self.timezone!r}; expected a name like {known}") from error

    def read(self, column: pl.Series) -> pl.Series:
        """Return the moments in UTC, whole microseconds; null where one can't be read."""
        match column.dtype:
            case pl.Datetime(time_zone=None):
                read = self._utc(column) if self.timezone is not None else pl.Series([None] * len(column))
            case pl.Datetime():
                read = column
            case pl.Date():
                read = column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
            case kind if kind.is_numeric() or kind == pl.String:
                read = self._of_text(column.cast(pl.String))
            case _:
                read = pl.Series([None] * len(column))
        counts = read.cast(_UTC_US).to_physical()
        return pl.select(pl.when(counts.is_between(_FIRST_US, _LAST_US)).then(counts)).to_series().cast(_UTC_US)

    def complaint(self, column: pl.Series) -> str | None:
        """Return what must be said of these moments before they can be read; None where one of them can be."""
        given = column.drop_nulls()
        if not len(given) or self.read(given).null_count() < len(given):
            return None
        first = given.cast(pl.String)[0]
        if re.fullmatch(_NUMBER, first) and self.epoch is None:
            return f"{first} does not say its unit: --epoch s, ms, us or ns"
        is_clock = re.fullmatch(_ISO, first) is not None or isinstance(given.dtype, pl.Datetime)
        if is_clock and not re.search(_HAS_OFFSET, first[10:]) and self.timezone is None:
            return f"{first} does not say its zone: --timezone UTC, or where its clock stands"
        return f"{first!r} is no moment; accepted: {ACCEPTED.partition(' (')[0]}"

    def _utc(self, naive: pl.Series) -> pl.Series:
        """Read a clock. An hour that comes twice, or never, is null: nobody can say which is meant."""
        at = naive.cast(pl.Datetime("us")).dt.replace_time_zone(self.timezone, ambiguous="null", non_existent="null")
        return at.dt.convert_time_zone("UTC")

    def _of_text(self, column: pl.Series) -> pl.Series:
        counted = self._counted(column)
        groups = column.str.extract_groups(_ISO).struct.unnest()
        day, clock, seconds, sign, hours, minutes = (pl.col(name) for name in groups.columns)
        written = day + "T" + clock.fill_null("00:00") + seconds.fill_null(":00")
        offset = hours.cast(pl.Int64) * 60 + minutes.cast(pl.Int64).fill_null(0)
        east = pl.when(sign == "-").then(-offset).otherwise(offset).fill_null(0)
        read = groups.lazy().select(
            written.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False).alias("naive"),
            pl.duration(minutes=east, time_unit="us").alias("east"),
            (clock.is_not_null() & ~pl.lit(column.str.contains(_HAS_OFFSET))).alias("is_naive"),
        )
        frame = read.collect()
        utc = (frame["naive"] - frame["east"]).dt.replace_time_zone("UTC")
        none = pl.Series([None] * len(utc), dtype=_UTC_US)
        there = none if self.timezone is None or not frame["is_naive"].any() else self._utc(frame["naive"])
        read_as_text: pl.Series = there.zip_with(frame["is_naive"], utc)
        return counted.zip_with(counted.is_not_null(), read_as_text)

    def _counted(self, column: pl.Series) -> pl.Series:
        none = pl.Series([None] * len(column), dtype=_UTC_US)
        if self.epoch is None:
            return none
        numbers = column.set(~column.str.contains(_NUMBER), None)
        places = _PLACES[self.epoch]
        whole = numbers.str.extract(r"^(-?\d+)").cast(pl.Int64, strict=False)
        if places < 0:
            return (whole // 1000).cast(_UTC_US)
        factor = 10**places
        whole = whole.set(~whole.is_between(_FIRST_US // factor, _LAST_US // factor), None)
        if not places:
            return whole.cast(_UTC_US)
        broken = numbers.str.extract(r"\.(\d+)").fill_null("").str.slice(0, places).str.pad_end(places, "0")
        part = broken.cast(pl.Int64, strict=False)
        signed = part.zip_with(~numbers.str.starts_with("-"), -part)
        counts: pl.Series = whole * factor + signed
        return counts.cast(_UTC_US)
