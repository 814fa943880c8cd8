"""What FRED's errors mean: `{"error_code":400,"error_message":".."}`.

Deliberately not here: which of them counts first (../fred.py), and what is asked instead of what can't be answered
(real_time.py). Invariant: no text of theirs is quoted, since it may repeat the key.
"""

from __future__ import annotations

import re

from ingest.errors import FixRequest, KeyRefused, TryAgain, UnknownName
from ingest.providers import answers
from ingest.wire import Answer

_NAME = "fred"
#: What clients wait after a 429, which names no time. Source: https://github.com/sboysel/fredr NEWS.md, autumn 2026.
LIMIT_WAIT_S = 20.0
#: Texts of its 400s. Source: fredapi, 48; OpenBB-finance/OpenBB providers/fred; both autumn 2026.
TOO_MANY = re.compile(r"exceeds the maximum number of vintage dates")
NOT_ARCHIVED = re.compile(r"does not exist in ALFRED")
_NO_SERIES = re.compile(r"series does not exist")
_KEY = re.compile(r"\bapi_key\b")


def text_of(answer: Answer) -> str:
    return str(answers.error_object(answer, b'"error_message"').get("error_message", ""))


def locked(answer: Answer) -> TryAgain | None:
    """Return TryAgain for 423, which its documentation lists as "Locked" and says no more of."""
    if answer.status != 423:
        return None
    return TryAgain("fred says that the resource is locked (HTTP 423)", provider=_NAME, status=423)


def told(text: str, answer: Answer) -> FixRequest | None:
    """Return the error that a text stands for."""
    instrument, status = answers.only_instrument(answer), answer.status
    if _KEY.search(text):
        # "The value for variable api_key is not registered." comes with 400, not with 401.
        said = "fred refused the API key; set FRED_API_KEY to a valid one"
        return KeyRefused(said, provider=_NAME, status=status)
    if _NO_SERIES.search(text) and not NOT_ARCHIVED.search(text) and instrument is not None:
        unknown = UnknownName("instrument", instrument, ("series ids as in /series/search",), provider=_NAME)
        unknown.instrument, unknown.status = instrument, status
        return unknown
    if TOO_MANY.search(text):
        said = "fred has more vintages in the asked real time than an answer may hold, though it is a step of it only"
        return FixRequest(said, provider=_NAME, status=status, instrument=instrument)
    return None
