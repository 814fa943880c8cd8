"""What Bitfinex's errors mean.

Deliberately not here: which of them counts first (../bitfinex.py). Invariant: none of their words is quoted, which
may repeat the key or the question.
Sources: those of ../bitfinex.py.
"""

from __future__ import annotations

import json
import re

from ingest.errors import FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers import answers
from ingest.wire import Answer

_NAME = "bitfinex"
_RATE_TEXT = re.compile(r"rate.?limit", re.IGNORECASE)
_SYMBOL_TEXT = re.compile(r"\bsymbols?: invalid", re.IGNORECASE)
_NO_KEY = "it wants a key, which market data needs none of"
#: What a code or text of an error means. Source: reference and docs; ccxt/ccxt bitfinex.py, autumn 2026.
_CODES: dict[str, tuple[type[TickfarmError], str]] = {
    "20060": (TryAgain, "it is under maintenance"),
    "temporarily_unavailable": (TryAgain, "it is not available now"),
    "10020": (FixRequest, "a parameter is invalid"),
    "10001": (FixRequest, _NO_KEY),
    "10100": (FixRequest, _NO_KEY),
    "10114": (FixRequest, _NO_KEY),
}
_ERROR_BYTES = 4096


def told_error(answer: Answer) -> TickfarmError | None:
    """Return the error of `["error", code, text]` or `{"error": text}`; neither's text is quoted."""
    code, text = _error_array(answer)
    if not code:
        told = answers.error_object(answer, b'"error"').get("error")
        code = text = told if type(told) is str else ""
    if not code:
        return None
    instrument, status = answers.only_instrument(answer), answer.status
    if code == "11010" or _RATE_TEXT.search(text):
        wait = answers.retry_after_s(answer.headers)
        said = f"bitfinex says slow down (HTTP {status})"
        return SlowDown(said, provider=_NAME, status=status, retry_after_s=wait)
    if code == "10020" and _SYMBOL_TEXT.search(text) and instrument is not None:
        unknown = UnknownName("instrument", instrument, ("those in pub:list:pair:exchange",), provider=_NAME)
        unknown.instrument, unknown.status = instrument, status
        return unknown
    # A code that nobody documents is its moment where the status says so, and our request otherwise.
    new = (TryAgain, "its side failed") if status >= 500 else (FixRequest, "it can't answer the request as asked")
    kind, advice = _CODES.get(code, new)
    said = f"bitfinex error for {answer.request.path}: {advice}"
    return kind(said, provider=_NAME, instrument=instrument, status=status)


def _error_array(answer: Answer) -> tuple[str, str]:
    """Return code and text of `["error", 10020, "symbol: invalid"]`, ("", "") if the body is none."""
    if len(answer.body) > _ERROR_BYTES or b'"error"' not in answer.body[:32]:
        return "", ""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return "", ""
    if type(body) is not list or body[:1] != ["error"]:
        return "", ""
    code, text = [*map(str, body[1:3]), "", ""][:2]
    return code or "?", text


def bot_check(answer: Answer) -> TryAgain | None:
    """Return TryAgain for a refusal in HTML: its own refusals are JSON, so that one is its CDN's, and passes."""
    if 400 <= answer.status < 500 and answer.body[:64].lstrip()[:1] == b"<":
        said = f"bitfinex: HTTP {answer.status} with an HTML page, as its CDN's bot check sends"
        return TryAgain(said, provider=_NAME, status=answer.status)
    return None
