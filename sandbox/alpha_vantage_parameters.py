"""Alpha Vantage's parameters: their defaults, what they may be, and the sentence that refuses anything else.

Deliberately not here: what is answered. Invariant: a refusal is a `SentenceError`, which names the key it stands under.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from sandbox.contract import Request

WIDTHS_MIN = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "60min": 60}
INVALID = (
    "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for {}."
)
PREMIUM = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans at "
    "https://www.alphavantage.co/premium/ to instantly unlock all premium endpoints"
)
FULL = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature for the {} endpoint. "
    "You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to unlock it"
)
NEWS_INVALID = (
    "Invalid inputs. Please refer to the API documentation https://www.alphavantage.co/documentation#newsapi "
    "and try again."
)


class SentenceError(Exception):
    """A request that is answered with a sentence under a key."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def invalid(function: str) -> SentenceError:
    return SentenceError("Error Message", INVALID.format(function))


def one_of(request: Request, parameter: str, known: Sequence[str], function: str) -> str:
    value = request.query.get(parameter, "")
    if value not in known:
        raise invalid(function)
    return value


def width_of(request: Request, function: str) -> int:
    return WIDTHS_MIN[one_of(request, "interval", tuple(WIDTHS_MIN), function)]


def truth(request: Request, parameter: str, function: str) -> bool:
    """Return a switch, which is on by default."""
    value = request.query.get(parameter, "true")
    if value not in ("true", "false"):
        raise invalid(function)
    return value == "true"


def month_of(text: str, function: str) -> tuple[date, date]:
    if not re.fullmatch(r"(20[0-9]{2})-(0[1-9]|1[0-2])", text):
        raise invalid(function)
    first = date.fromisoformat(f"{text}-01")
    return first, (first + timedelta(days=32)).replace(day=1)


def news_time(query: Mapping[str, str], parameter: str) -> int | None:
    """Return a `YYYYMMDDTHHMM` in seconds since the epoch."""
    text = query.get(parameter)
    if text is None:
        return None
    try:
        if len(text) != len("20240101T0130"):
            raise ValueError(text)
        return int(datetime.strptime(text, "%Y%m%dT%H%M").replace(tzinfo=UTC).timestamp())
    except ValueError as cause:
        raise SentenceError("Information", NEWS_INVALID) from cause


def listed(query: Mapping[str, str], parameter: str) -> list[str]:
    return query[parameter].split(",") if query.get(parameter) else []
