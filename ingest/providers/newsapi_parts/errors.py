"""What NewsAPI's errors mean.

Deliberately not here: which of them counts first (../newsapi.py). Invariant: none of their words is quoted, which
may repeat the key or the question.
Sources: those of ../newsapi.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

from ingest.errors import FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain
from ingest.providers import answers
from ingest.wire import Answer

_NAME = "newsapi"
#: "Your plan permits you to request articles as far back as" a month ago; February is the shortest.
REACH_DAYS = 28
#: Our choice for a spent plan, whose requests come back one by one: what is refused costs little.
_SPENT_WAIT_S, _RATE_WAIT_S = 3600.0, 60.0
TOO_MANY = "maximumResultsReached"
#: A plan's own limits, told by the text of a `rateLimited`; any other is a matter of a minute.
_PLAN_SPENT = re.compile(r"\d+ requests over a \d+ hour period")
_TOO_OLD = re.compile(r"too far in the past")
#: What the codes mean; any other is a FixRequest.
_CODES: dict[str, tuple[type[TickfarmError], str]] = {
    "apiKeyMissing": (KeyRefused, "no key came with the request; set NEWSAPI_KEY"),
    "apiKeyInvalid": (KeyRefused, "the key in NEWSAPI_KEY is not accepted"),
    "apiKeyDisabled": (KeyRefused, "the key in NEWSAPI_KEY was disabled; see https://newsapi.org/account"),
    "apiKeyExhausted": (SlowDown, "the key has no requests left"),
    "rateLimited": (SlowDown, "too many requests"),
    "unexpectedError": (TryAgain, "its side failed"),
    "parameterInvalid": (FixRequest, "a parameter is not supported, or not by the plan"),
    TOO_MANY: (FixRequest, "the plan does not serve that many results of a search"),
}


def code_and_text(answer: Answer) -> tuple[str, str]:
    """Return code and text of `{"status":"error","code":"apiKeyInvalid","message":".."}`, ("", "") if there is none."""
    error: Mapping[str, Any] = answers.error_object(answer, b'"status"')
    if error.get("status") in (None, "ok"):
        return "", ""
    return str(error.get("code")), str(error.get("message"))


def is_beyond_plan(answer: Answer) -> bool:
    """Say whether this is a later page than the plan serves: "stop paging", which is no failure."""
    return "page" in dict(answer.request.params) and code_and_text(answer)[0] == TOO_MANY


def coded(code: str, text: str, answer: Answer) -> TickfarmError:
    """Never quotes the provider's text: it may repeat the key. Its codes are told where they are known ones."""
    kind, advice = _CODES.get(code, (FixRequest, "it can't answer the request as asked"))
    if code == "parameterInvalid" and _TOO_OLD.search(text):
        advice = f"the window begins before what the plan serves; ask for the last {REACH_DAYS} days"
    wait = None
    if code == "apiKeyExhausted":
        wait = _to_midnight_s(answer)
    elif kind is SlowDown:
        told = answers.retry_after_s(answer.headers)
        wait = told if told is not None else _SPENT_WAIT_S if _PLAN_SPENT.search(text) else _RATE_WAIT_S
    message = f"{_NAME} error {code if code in _CODES else '?'}: {advice}"
    instrument = answers.only_instrument(answer)
    return kind(message, provider=_NAME, status=answer.status, instrument=instrument, retry_after_s=wait)


def _to_midnight_s(answer: Answer) -> float:
    """Return the seconds until the UTC day turns. Whose midnight counts is not said: one too early costs a request."""
    now = answer.received_at.astimezone(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - now).total_seconds()


def uncoded(answer: Answer) -> TickfarmError | None:
    """Return what a status means that came without a code."""
    if answer.status == 401:
        return KeyRefused(f"{_NAME}: {_CODES['apiKeyInvalid'][1]}", provider=_NAME, status=401)
    return answers.limit_or_outage(_NAME, answer)
