"""What Nasdaq Data Link's errors mean: `{"quandl_error":{"code":"QELx01","message":".."}}`.

Deliberately not here: which of them counts first (../nasdaq_data_link.py). Invariant: none of their words is quoted,
which may repeat the key.
"""

from __future__ import annotations

import re

from ingest.errors import FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain
from ingest.providers import answers
from ingest.providers.nasdaq_data_link_parts import series
from ingest.wire import Answer

_NAME = "nasdaq_data_link"
#: Whose limit an error means: the text says; the code does where the text is silent.
#: Source: https://docs.data.nasdaq.com/docs/error-codes, 2026-07-22 (01-03 daily, 04-05 ten minutes, 06-08 too large).
_SPANS = re.compile(r"\bper day\b|\bdaily\b|second|minute|speed", re.IGNORECASE)
_DAILY_CODES, _MINUTES_CODES = ("QELx01", "QELx02", "QELx03"), ("QELx04", "QELx05")
TOO_LARGE_CODES = ("QELx06", "QELx07", "QELx08")
#: The windows of the limits above, for an answer without Retry-After.
_MINUTES_WAIT_S, _SHORT_WAIT_S = 600.0, 10.0

#: The letter after "QE" names the family. Source: https://docs.data.nasdaq.com/docs/error-codes, 2026-07-22.
_FAMILIES: dict[str, tuple[type[TickfarmError], str]] = {
    "M": (TryAgain, "its side failed"),
    "X": (TryAgain, "its service is not available now"),
    "A": (KeyRefused, "the API key was refused; set NASDAQ_DATA_LINK_API_KEY to a valid one"),
    "P": (FixRequest, "the API key in NASDAQ_DATA_LINK_API_KEY has no subscription to it"),
    "S": (FixRequest, "the request is malformed or names a column the table does not have"),
    "C": (FixRequest, "the table or code does not exist"),
    "L": (FixRequest, "the answer or the query would be too large; ask for fewer tickers or days"),
}


def quandl_error(answer: Answer) -> tuple[str, str]:
    """Return code and text of `{"quandl_error":{"code":"QELx01","message":".."}}`, ("", "") if there is none."""
    error = answers.error_object(answer, b'"quandl_error"').get("quandl_error")
    if not isinstance(error, dict):
        return "", ""
    code = str(error.get("code"))
    return code if re.fullmatch(r"QE[A-Z]x\d\d", code) else "QE?", str(error.get("message"))


def limit(code: str, text: str, answer: Answer) -> SlowDown:
    """Return the error for a QELx..: a daily one names no wait, since when the day turns is the quota's business."""
    spans = " ".join(_SPANS.findall(text)).lower()
    wait: float | None = None
    if "day" in spans or "daily" in spans or (not spans and code in _DAILY_CODES):
        said = "the daily limit is spent; it opens again the next day"
    else:
        said, wait = "too many calls at once", answers.retry_after_s(answer.headers)
        if wait is None:
            slow = "minute" in spans or (not spans and code in _MINUTES_CODES)
            wait = _MINUTES_WAIT_S if slow else _SHORT_WAIT_S
    message = f"{_NAME} error {code}: {said}"
    return SlowDown(message, provider=_NAME, status=answer.status, retry_after_s=wait)


def coded(code: str, answer: Answer) -> TickfarmError:
    """Return the error that a code is of, which names the instrument where it does not exist."""
    if code[2] == "C" and answer.request.path.startswith(series.FOLDER) and answer.request.instruments:
        return series.unknown(answer)
    kind, advice = _FAMILIES.get(code[2], (FixRequest, "it can't answer the request as asked"))
    message = f"{_NAME} error {code}: {advice}"
    return kind(message, provider=_NAME, status=answer.status, instrument=answers.only_instrument(answer))
