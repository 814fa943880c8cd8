"""What Marketstack's errors mean.

Deliberately not here: which of them counts first (../marketstack.py). Invariant: none of their words is quoted, which
may repeat the key or the question.
Sources: those of ../marketstack.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from ingest.errors import FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers import answers
from ingest.wire import Answer

_NAME = "marketstack"
#: "The API is limited to 5 requests per second": what to wait where an answer does not say.
SHORT_WAIT_S = 1.0
#: What a code means. Source: docs, common API errors; those of older pages beside them.
_CODES: Mapping[str, tuple[type[TickfarmError], str]] = {
    "internal_error": (TryAgain, "its side failed"),
    "data_not_available": (TryAgain, "the data is not available now"),
    "unauthorized": (KeyRefused, "the key was refused; set MARKETSTACK_API_KEY to a valid one"),
    "missing_access_key": (KeyRefused, "it wants a key; set MARKETSTACK_API_KEY"),
    "invalid_access_key": (KeyRefused, "the key was refused; set MARKETSTACK_API_KEY to a valid one"),
    "inactive_user": (KeyRefused, "the account of MARKETSTACK_API_KEY is not active"),
    "https_access_restricted": (FixRequest, "the plan of MARKETSTACK_API_KEY has no HTTPS"),
    "function_access_restricted": (FixRequest, "the plan of MARKETSTACK_API_KEY does not include this"),
    "validation_error": (FixRequest, "the request is malformed"),
}
_QUOTA_CODES, _RATE_CODES = ("too_many_requests", "usage_limit_reached"), ("rate_limit_reached",)
_NO_SYMBOL = "no_valid_symbols_provided"


def code_of(answer: Answer) -> str:
    """Return the code of `{"error":{"code":..}}` or of `{"message":"error","code":..}`, "?" for an odd one, else ""."""
    body = answers.error_object(answer, b'"error"')
    error = body.get("error", body if body.get("message") == "error" else None)
    if not error:
        return ""
    code = str(error.get("code")) if type(error) is dict else ""
    return code if code in _CODES or code in (*_QUOTA_CODES, *_RATE_CODES, _NO_SYMBOL) else "?"


def coded(code: str, answer: Answer) -> TickfarmError | None:
    """Never quotes the provider's text: it may repeat the key. None for an odd code of a status that says enough."""
    instrument, status = answers.only_instrument(answer), answer.status
    if code in _RATE_CODES or code in _QUOTA_CODES:
        return _limit(code, answer)
    if code == _NO_SYMBOL and instrument is not None:
        return _unknown(instrument, status)
    if code == "?" and status != 200:
        return None
    kind, advice = _CODES.get(code, (FixRequest, "it can't answer the request as asked"))
    if code == _NO_SYMBOL:
        advice = "it knows none of the symbols; ask for each by itself to see which"
    return kind(f"{_NAME} error {code}: {advice}", provider=_NAME, status=status, instrument=instrument)


def _limit(code: str, answer: Answer) -> SlowDown:
    """Return the error for a limit: a month's names no wait, since when it turns is the quota's business."""
    if code in _QUOTA_CODES:
        said, wait = "the month's requests are spent; it opens again on the first", None
    else:
        said, wait = "too many requests at once", answers.retry_after_s(answer.headers) or SHORT_WAIT_S
    message = f"{_NAME} error {code}: {said}"
    return SlowDown(message, provider=_NAME, status=answer.status, retry_after_s=wait)


def by_status(answer: Answer) -> TickfarmError | None:
    """Return what 401 means without a known code, 404 for a price (`{"detail":"The ticker ..`), 403 in HTML.

    Its own refusals are JSON, so that one is its CDN's, and passes.
    """
    instrument = answers.only_instrument(answer)
    if answer.status == 403 and answer.body[:64].lstrip()[:1] == b"<":
        said = f"{_NAME}: HTTP 403 with an HTML page, as its CDN's bot check sends"
        return TryAgain(said, provider=_NAME, status=403)
    if answer.status == 401:
        said = f"{_NAME}: the key was refused (HTTP 401); set MARKETSTACK_API_KEY to a valid one"
        return KeyRefused(said, provider=_NAME, status=401)
    if answer.status == 404 and instrument is not None and answers.error_object(answer, b'"detail"'):
        return _unknown(instrument, 404)
    return None


def _unknown(instrument: str, status: int) -> UnknownName:
    unknown = UnknownName("instrument", instrument, ("those its /tickerslist finds",), provider=_NAME)
    unknown.instrument, unknown.status = instrument, status
    return unknown
