"""What GDELT's DOC API is asked for: a query's terms, and the parameters around it; what it refuses, in its sentences.

Deliberately not here: the articles (`gdelt_articles.py`). Invariant: a search is either understood whole or refused.
Source: https://blog.gdeltproject.org/gdelt-doc-2-0-api-debuts/, read 2026-11-25. It prints no refusal: the sentences
are those that clients quote, and "Invalid ..." where none does.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

MOST_RECORDS, DEFAULT_RECORDS = 250, 75
#: "A maximum of three months back" without bounds of one's own. Source: as above, TIMESPAN.
_DEFAULT_SPAN_S = 91 * 86_400
_UNITS_S = {"min": 60, "h": 3_600, "hours": 3_600, "d": 86_400, "days": 86_400, "w": 604_800, "weeks": 604_800}
_UNITS_S |= {"m": 30 * 86_400, "months": 30 * 86_400, "minutes": 60}
_SHORTEST_SPAN_S = 900
_TERM = re.compile(r'\s*(?:"(?P<phrase>[^"]*)"|(?P<operator>\w+):(?P<value>[\w.]+)|(?P<word>[^\s"():]+))')
_LONGEST_QUERY, _SHORTEST_PHRASE, _SHORTEST_WORD = 250, 5, 3
_SORTS = {"datedesc": True, "dateasc": False}


class SentenceError(Exception):
    """A search that is answered with a sentence, and HTTP 200."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search: any of the topics, from `after_s` to `before_s`, newest first or oldest."""

    topics: tuple[str, ...]
    language: str
    domain: str
    after_s: int
    before_s: int
    records: int
    newest_first: bool


def read_search(query: Mapping[str, str], *, now_s: float) -> Search:
    """Return what is searched for. Raises SentenceError."""
    asked = {name.lower(): value for name, value in query.items()}
    if asked.get("mode", "artlist").lower() != "artlist":
        raise SentenceError("Invalid mode.")
    records = asked.get("maxrecords", str(DEFAULT_RECORDS))
    if not re.fullmatch(r"[0-9]{1,6}", records) or int(records) < 1:
        raise SentenceError("Invalid maxrecords.")
    sort = asked.get("sort", "datedesc").lower()
    if sort not in _SORTS:
        raise SentenceError("Invalid sort.")
    topics, operators = _terms(asked.get("query", "").strip())
    after_s, before_s = _span(asked, int(now_s))
    return Search(
        topics=topics,
        language=operators.get("sourcelang", ""),
        domain=operators.get("domain", ""),
        after_s=after_s,
        before_s=before_s,
        records=min(int(records), MOST_RECORDS),
        newest_first=_SORTS[sort],
    )


def _terms(query: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the topics, any of which an article must be about, and the operators."""
    if not _SHORTEST_WORD <= len(query) <= _LONGEST_QUERY:
        raise SentenceError("Your query was too short or too long.")
    inner = re.fullmatch(r"\((.*)\)(.*)", query)
    if inner is not None and " OR " not in inner[1]:
        raise SentenceError("Parentheses may only be used around OR'd statements.")
    if inner is None and " OR " in query:
        raise SentenceError("Queries containing OR'd terms must be surrounded by ().")
    parts = inner[1].split(" OR ") if inner is not None else [query]
    operators = _one(inner[2])[1] if inner is not None and inner[2].strip() else {}
    topics = []
    for part in parts:
        words, more = _one(part)
        topics.append(" ".join(words))
        operators |= more
    return tuple(topics), operators


def _one(text: str) -> tuple[list[str], dict[str, str]]:
    words, operators, place = [], {}, 0
    while place < len(text.rstrip()):
        term = _TERM.match(text, place)
        if term is None:
            raise SentenceError("Your query contained an illegal character.")
        place = term.end()
        if term["operator"] is not None:
            operators[term["operator"].lower()] = term["value"].lower()
        elif term["phrase"] is not None:
            if len(term["phrase"]) < _SHORTEST_PHRASE:
                raise SentenceError("The specified phrase is too short.")
            words.append(term["phrase"].lower())
        else:
            if len(term["word"]) < _SHORTEST_WORD:
                raise SentenceError("Your search contained a keyword that was too short.")
            words.append(term["word"].lower())
    return words, operators


def _span(asked: Mapping[str, str], now_s: int) -> tuple[int, int]:
    """Return what articles must be seen after and before; a span counts back from now."""
    if "startdatetime" in asked or "enddatetime" in asked:
        end_s = _moment(asked["enddatetime"], "end") if "enddatetime" in asked else now_s + 1
        start_s = _moment(asked["startdatetime"], "start") if "startdatetime" in asked else now_s - _DEFAULT_SPAN_S
        return start_s, end_s
    text = asked.get("timespan", f"{_DEFAULT_SPAN_S // 86_400}d").lower()
    found = re.fullmatch(r"([0-9]{1,5})([a-z]+)", text)
    if found is None or found[2] not in _UNITS_S:
        raise SentenceError("Invalid timespan.")
    span_s = int(found[1]) * _UNITS_S[found[2]]
    if span_s < _SHORTEST_SPAN_S:
        raise SentenceError("Timespan is too short.")
    return now_s - span_s, now_s + 1


def _moment(text: str, which: str) -> int:
    try:
        return int(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise SentenceError(f"Invalid {which} date.") from None
