"""What GDELT's errors mean.

Deliberately not here: which of them counts first (../gdelt.py). Invariant: none of their words is quoted, which
may repeat the key or the question.
Sources: those of ../gdelt.py.
"""

from __future__ import annotations

import re

from ingest.errors import FixRequest, SlowDown, TickfarmError, TryAgain
from ingest.providers import answers
from ingest.wire import Answer

_NAME = "gdelt"
_RATE_TEXT = re.compile(r"limit requests|too many requests|rate limit", re.IGNORECASE)
#: Sentences about the query that are known: too short or too long; a phrase or keyword too short; OR without
#: parentheses, parentheses without OR; a country, mode or date that does not exist.
_QUERY_TEXT = re.compile(
    r"your (?:query|search)|specified phrase|keyword|OR'd|parenthes|last 3 months|timespan"
    r"|invalid(?:/unsupported)? (?:country|language|query|mode|format|sort|date|start|end|theme)",
    re.IGNORECASE,
)
_TEXT_BYTES = 2_048


def sentence(answer: Answer) -> TickfarmError | None:
    """Return the error that a body of text says; it may repeat the query, and is not quoted."""
    start = answer.body[:_TEXT_BYTES].lstrip()
    if start[:1] in (b"{", b"["):
        return None
    text = start.decode("utf-8", "replace")
    if _RATE_TEXT.search(text):
        return SlowDown("gdelt says slow down, in a sentence", provider=_NAME, status=answer.status)
    if _QUERY_TEXT.search(text):
        said = "gdelt can't search for that, it says in a sentence: see the archived answer"
        instrument = answers.only_instrument(answer)
        return FixRequest(said, provider=_NAME, status=answer.status, instrument=instrument)
    return None


def bot_check(answer: Answer) -> TryAgain | None:
    """Return TryAgain for a refusal in HTML: its own are sentences, so that one is its host's, and passes."""
    if 400 <= answer.status < 500 and answer.body[:64].lstrip()[:1] == b"<":
        said = f"gdelt: HTTP {answer.status} with an HTML page, as its host sends in an outage"
        return TryAgain(said, provider=_NAME, status=answer.status)
    return None
