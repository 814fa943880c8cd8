"""What X's errors mean.

Deliberately not here: which of them counts first (../x.py). Invariant: none of their words is quoted, which
may repeat the key or the question.
Sources: those of ../x.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

from ingest.errors import FixRequest, KeyRefused, SlowDown, TryAgain
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.wire import Answer

_NAME = "x"
KEY_ENV = "X_BEARER_TOKEN"
#: "end_time will default to 'now' (actually 30 seconds before the time of query)".
LAG_S = 30.0
#: What follows `/problems/` in a problem's type. "usage-capped" is documented; "credits" (in a 402) is not, but seen.
_SPENT = ("usage-capped", "credits", "credits-depleted")
_THROTTLED = "rate-limit-exceeded"
_TOO_YOUNG = re.compile(r"'end_time' must be a minimum of \d+ seconds prior to the request time")
_PARAMETERS = ("query", "start_time", "end_time", "max_results", "next_token", "tweet.fields", "sort_order")


def problem_of(answer: Answer) -> dict[str, Any]:
    """Return the problem that the body is, or whose `errors` is all it has; {} where there are posts beside it."""
    body = answers.error_object(answer, b"/problems/")
    if "data" in body or "meta" in body:
        return {}
    errors = body.get("errors")
    if "type" not in body and type(errors) is list and errors and type(errors[0]) is dict:
        return errors[0]
    return body


def waits(kind: str, problem: Mapping[str, Any], answer: Answer) -> SlowDown | TryAgain | None:
    """Return how long to wait. The money's end has no time: it is looked at again when the UTC day turns."""
    wait: float | None
    if answer.status == 402 or kind in _SPENT:
        said, wait = "the credits or the month's posts are spent; see https://console.x.com", _to_midnight_s(answer)
    elif answer.status == 429 or kind == _THROTTLED:
        said, wait = "too many requests in 15 minutes", _to_reset_s(answer)
    elif answer.status == 400 and _is_too_young(problem):
        said, wait = "the window ends too near to now", LAG_S
    elif kind == "internal-error":
        return TryAgain(f"{_NAME} failed on its side", provider=_NAME, status=answer.status)
    else:
        return None
    message = f"{_NAME} (HTTP {answer.status}): {said}"
    return SlowDown(message, provider=_NAME, status=answer.status, retry_after_s=wait)


def _to_midnight_s(answer: Answer) -> float:
    now = answer.received_at.astimezone(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - now).total_seconds()


def _to_reset_s(answer: Answer) -> float | None:
    """Return the seconds until `x-rate-limit-reset`, a Unix time, else Retry-After."""
    text = answer.headers.get("x-rate-limit-reset", "").strip()
    if not re.fullmatch(r"\d{10}", text, re.ASCII):
        return answers.retry_after_s(answer.headers)
    return max(0.0, int(text) - epoch_us(answer.received_at) / 1_000_000)


def _messages(problem: Mapping[str, Any]) -> list[str]:
    errors = problem.get("errors")
    found = [one.get("message") for one in errors if type(one) is dict] if type(errors) is list else []
    return [text for text in (*found, problem.get("detail")) if type(text) is str]


def _is_too_young(problem: Mapping[str, Any]) -> bool:
    return any(_TOO_YOUNG.search(text) for text in _messages(problem))


def refused(kind: str, problem: Mapping[str, Any], answer: Answer) -> FixRequest | None:
    """Never quotes the provider's text. The parameters it names are ours, so these can be told."""
    if answer.status == 401:
        said = f"{_NAME} does not accept the token in {KEY_ENV}; get another at https://console.x.com"
        return KeyRefused(said, provider=_NAME, status=401)
    instrument = answers.only_instrument(answer)
    if answer.status == 403:
        said = f"the app of the token in {KEY_ENV} may not use recent search, or not this operator (cashtags need more)"
    elif kind and problem:
        texts = " ".join(_messages(problem))
        named = [name for name in _PARAMETERS if f"'{name}'" in texts or f"[{name}]" in texts]
        said = f"it can't answer the search as asked; it objects to {', '.join(named) or 'something it does not name'}"
    else:
        return None
    message = f"{_NAME} (HTTP {answer.status}): {said}"
    return FixRequest(message, provider=_NAME, status=answer.status, instrument=instrument)
