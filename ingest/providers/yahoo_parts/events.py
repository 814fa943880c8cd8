"""Yahoo's dividends and splits: the events of a chart.

Deliberately not here: its bars and what a chart is (charts.py). Invariant: numbers keep the digits they were sent with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

from ingest.market.records import Parsed, Reject
from ingest.providers import answers
from ingest.providers.yahoo_parts.charts import Row, bad_page, day_of, days_of, meta_of, zone_of
from ingest.wire import Answer

_EVENT_SHAPE = "expected an object with a date and an amount, or with numerator and denominator"


def parse_actions(chart: Mapping[str, Any] | None, instrument: str, answer: Answer) -> Parsed:
    """Return dividends, then splits, each as sent, on the exchange's date of their ex-day.

    An amount is in `currency` where the event has its own, else in that of the prices, and adjusted for later splits.
    """
    rejects: list[Reject] = []
    rows: list[Row] = []
    events = (chart or {}).get("events") or {}
    if type(events) is not dict:
        raise bad_page("expected events as an object", answer)
    zone = zone_of(chart, answer) if events else UTC
    days, currency = days_of(answer), _text_or_none(meta_of(chart).get("currency"))
    readers: dict[str, Callable[[Any], Row | None]] = {
        "dividends": lambda event: _dividend(event, currency),
        "splits": _split,
    }
    for name, read in readers.items():
        found = events.get(name) or {}
        if type(found) is not dict:
            raise bad_page(f"expected {name} as an object", answer)
        for event in found.values():
            row, day = read(event), day_of(event.get("date"), zone) if type(event) is dict else None
            if row is None or day is None:
                rejects.append(answers.reject(event, rule="wrong_shape", reason=_EVENT_SHAPE, instrument=instrument))
            elif days is None or days[0] <= day < days[1]:
                rows.append((day, *row))
    names = ("ts", "kind", "amount", "currency", "split_from", "split_to")
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    values = {name: list(column) for name, column in zip(names, columns, strict=True)}
    blank = {"instrument": [instrument] * len(rows), "action_id": [""] * len(rows)}
    return Parsed(blank | values, "date", tuple(rejects))


def _dividend(event: Any, currency: str | None) -> Row | None:
    amount = event.get("amount") if type(event) is dict else None
    own = event.get("currency") if type(event) is dict else None
    return ("dividend", amount, _text_or_none(own) or currency, None, None) if type(amount) is str else None


def _split(event: Any) -> Row | None:
    if type(event) is not dict:
        return None
    to, of = event.get("numerator"), event.get("denominator")
    return ("split", None, None, of, to) if type(to) is str and type(of) is str else None


def _text_or_none(value: Any) -> str | None:
    return value if type(value) is str and value else None
