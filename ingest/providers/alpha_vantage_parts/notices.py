"""What Alpha Vantage's sentences mean: nearly every failure is a 200 with one text under one key.

Deliberately not here: statuses and bodies cut short (alpha_vantage.py). Invariant: no word of a text enters a message,
because the one about the daily limit repeats the key.

The order counts: "premium plans" stand in the throttle's and the quota's texts too, "25 requests per day" in one of the
throttle's (https://github.com/beancount/beanprice/issues/124, 2025-12-13), and "Please retry" in the one that never
passes. Sources, read autumn 2026: RomelTorres/alpha_vantage, finance-quote/finance-quote pull 104 and issue 363.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ingest.errors import FixRequest, KeyRefused, SlowDown, TickfarmError
from ingest.providers import answers
from ingest.wire import Answer

KEYS = ("Error Message", "Information", "Note")
KEY_ENV = "ALPHAVANTAGE_API_KEY"
PROVIDER = "alpha_vantage"
#: "1 request per second", and a little for their clock.
_SPREAD_WAIT_S = 1.2
#: "Burst pattern detected" asks a premium key to spread its requests over the minute. Our choice of "some seconds".
_BURST_WAIT_S = 5.0
_MINUTE_WAIT_S = 60.0
#: The day's quota is taken to open at their midnight; they do not say when. Asked too early, it is refused once more.
_HOME = ZoneInfo("America/New_York")

_BURST = re.compile(r"burst pattern", re.I)
_SPREAD = re.compile(r"spreading out|requests? per second", re.I)
_MINUTE = re.compile(r"(calls|requests) per minute|minute-level", re.I)
_DAY = re.compile(r"(requests|calls) per day|daily rate limit", re.I)
_SOME_RATE = re.compile(r"rate limit|call (frequency|volume)", re.I)
_DEMO = re.compile(r"\bdemo\b.*API key", re.I | re.S)
_KEY = re.compile(r"apikey.*(invalid|missing)", re.I | re.S)
_PREMIUM = re.compile(r"premium|not entitled|entitlement", re.I)
_INVALID = re.compile(r"invalid (api call|inputs?)", re.I)


def error_in(answer: Answer, *, unknown: TickfarmError | None) -> TickfarmError | None:
    """Return what the answer's sentence means, None where it has none. `unknown` is for a name it does not know."""
    text = _sentence(answer)
    if text is None:
        return None
    wait = _wait_s(text, answer.received_at)
    if wait is not None:
        said = f"{PROVIDER} says slow down: {wait[1]}"
        return SlowDown(said, provider=PROVIDER, status=answer.status, retry_after_s=wait[0])
    kind: type[TickfarmError] = FixRequest
    if _DEMO.search(text):
        kind, advice = KeyRefused, f"its demo key answers its own examples only; set {KEY_ENV} to a key of yours"
    elif _KEY.search(text):
        kind, advice = KeyRefused, f"the API key was refused; set {KEY_ENV} to a valid one"
    elif _PREMIUM.search(text):
        advice = f"the key in {KEY_ENV} has no plan for this; daily bars of the last 100 sessions need none"
    elif _INVALID.search(text):
        if unknown is not None:
            return unknown
        advice = "it can't answer the request as asked"
    else:
        advice = "a sentence that is not known here; see the archived answer"
    message = f"{PROVIDER} error: {advice}"
    return kind(message, provider=PROVIDER, status=answer.status, instrument=answers.only_instrument(answer))


def _sentence(answer: Answer) -> str | None:
    """Return the text; `Meta Data`'s `1. Information` is no such key, and a page of rows is too long to be decoded."""
    for key in KEYS:
        found = answers.error_object(answer, f'"{key}"'.encode())
        if key in found:
            return str(found[key])
    return None


def _wait_s(text: str, now: datetime) -> tuple[float, str] | None:
    """Return how long a throttle's or quota's text asks to wait, and why; None for any other text."""
    if _BURST.search(text):
        return _BURST_WAIT_S, "requests came in a burst"
    if _SPREAD.search(text):
        return _SPREAD_WAIT_S, "more than one request in a second"
    if _MINUTE.search(text):
        return _MINUTE_WAIT_S, "too many requests in a minute"
    if _DAY.search(text):
        return _until_midnight_s(now), "the day's requests are spent"
    return (_MINUTE_WAIT_S, "too many requests") if _SOME_RATE.search(text) else None


def _until_midnight_s(now: datetime) -> float:
    local = now.astimezone(_HOME)
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight.astimezone(now.tzinfo) - now).total_seconds()
