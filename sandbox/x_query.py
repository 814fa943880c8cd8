"""Read the parameters of X's recent search: what is asked, or which parameter can't be answered and why.

Deliberately not here: posts, and how an answer is printed. Invariant: a parameter that is not documented is refused.
Source: https://github.com/xdevplatform/docs (openapi.json 2.167: searchPostsRecent; search/integrate), 2026-08-22. The
rules about 10 seconds and whole seconds ("inclusive", "exclusive") are those of X's own SDK documentation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

LEAST_ROWS, MOST_ROWS = 10, 100
LONGEST_QUERY = 512
YOUNGEST_END_S = 10
_PARAMETERS = frozenset(
    (
        *("query", "max_results", "next_token", "pagination_token", "start_time", "end_time", "since_id", "until_id"),
        *("sort_order", "tweet.fields", "post.fields", "expansions", "user.fields"),
    )
)
_EXCLUSIVE = (("start_time", "since_id"), ("end_time", "until_id"), ("pagination_token", "next_token"))
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
#: So that a token looks like none of its ids.
_MASK = 0x5A5A_5A5A_5A5A_5A5A_5A5A


class InvalidError(Exception):
    """A parameter that can't be answered."""

    def __init__(self, parameter: str, value: str, message: str) -> None:
        super().__init__(message)
        self.parameter, self.value = parameter, value


@dataclass(frozen=True, slots=True)
class Asked:
    """One search: times in milliseconds, `end_ms` and `until_id` exclusive, as is `since_id`."""

    subject: str
    language: str | None
    is_repost: bool | None
    rows: int
    fields: frozenset[str]
    with_authors: bool
    start_ms: int | None
    end_ms: int | None
    since_id: int | None
    until_id: int | None

    def token_after(self, post_id: int) -> str:
        """Return the token of the page that begins with the next older post. It does not expire."""
        number, text = post_id ^ _MASK, ""
        while number:
            number, digit = divmod(number, 32)
            text = _DIGITS[digit] + text
        return text


def read_query(query: Mapping[str, str], *, now_s: float, reach_days: int) -> Asked:
    """Return what is asked. Raises InvalidError."""
    for name in query:
        if name not in _PARAMETERS:
            known = ",".join(sorted(_PARAMETERS))
            raise InvalidError(name, query[name], f"The query parameter [{name}] is not one of [{known}]")
    for one, other in _EXCLUSIVE:
        if one in query and other in query:
            raise InvalidError(other, query[other], f"At most one of `{one}`, `{other}` may be provided.")
    start, end = (_moment(query, name) for name in ("start_time", "end_time"))
    _check_times(query, start, end, now_s=now_s, reach_days=reach_days)
    subject, language, is_repost = _terms(query.get("query", ""))
    token = query.get("next_token") or query.get("pagination_token")
    until_id = _id(query, "until_id")
    return Asked(
        subject=subject,
        language=language,
        is_repost=is_repost,
        rows=_rows(query),
        fields=frozenset(f"{query.get('tweet.fields', '')},{query.get('post.fields', '')}".split(",")),
        with_authors="author_id" in query.get("expansions", "").split(","),
        start_ms=None if start is None else start * 1000,
        end_ms=None if end is None else end * 1000,
        since_id=_id(query, "since_id"),
        until_id=_untoken(token) if token else until_id,
    )


def _rows(query: Mapping[str, str]) -> int:
    text = query.get("max_results", str(LEAST_ROWS))
    if not text.isdecimal() or not LEAST_ROWS <= int(text) <= MOST_ROWS:
        said = f"The `max_results` query parameter value [{text}] is not between {LEAST_ROWS} and {MOST_ROWS}"
        raise InvalidError("max_results", text, said)
    return int(text)


def _moment(query: Mapping[str, str], name: str) -> int | None:
    """Return a time in whole seconds: it is "in second granularity"."""
    text = query.get(name)
    if text is None:
        return None
    try:
        if _MOMENT.fullmatch(text):
            return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        pass
    raise InvalidError(name, text, f"The `{name}` query parameter value [{text}] is not a valid RFC 3339 date-time")


def _check_times(
    query: Mapping[str, str], start: int | None, end: int | None, *, now_s: float, reach_days: int
) -> None:
    first_s = now_s - reach_days * 86_400
    if start is not None and start < first_s:
        first = datetime.fromtimestamp(int(first_s), UTC)
        value = query["start_time"]
        said = f"Invalid 'start_time':'{value}'. 'start_time' must be on or after {first:%Y-%m-%dT%H:%MZ}."
        raise InvalidError("start_time", value, said)
    if end is not None and end > now_s - YOUNGEST_END_S:
        value = query["end_time"]
        said = f"'end_time' must be a minimum of {YOUNGEST_END_S} seconds prior to the request time."
        raise InvalidError("end_time", value, f"Invalid 'end_time':'{value}'. {said}")
    if start is not None and end is not None and end <= start:
        value = query["end_time"]
        raise InvalidError("end_time", value, f"Invalid 'end_time':'{value}'. 'end_time' must be after 'start_time'.")


def _id(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise InvalidError(name, text, f"The `{name}` query parameter value [{text}] does not match ^[0-9]{{1,19}}$")
    return int(text)


def _untoken(text: str) -> int:
    if not re.fullmatch(f"[{_DIGITS}]{{1,20}}", text):
        raise InvalidError("next_token", text, "Invalid 'next_token'.")
    number = 0
    for digit in text:
        number = number * 32 + _DIGITS.index(digit)
    return number ^ _MASK


def _terms(text: str) -> tuple[str, str | None, bool | None]:
    """Return the subject, the language and whether reposts are wanted (False), alone wanted (True), or both (None)."""
    if not text:
        raise InvalidError("query", text, "The `query` query parameter can not be empty")
    if len(text) > LONGEST_QUERY:
        raise InvalidError("query", text[:40], f"Rules must be no more than {LONGEST_QUERY} characters long")
    if text.count('"') % 2 or text.count("(") != text.count(")"):
        raise InvalidError("query", text, "There were errors processing your request: missing closing character")
    subjects: list[str] = []
    language: str | None = None
    is_repost: bool | None = None
    for term in re.findall(r'"[^"]*"|\S+', text):
        if term.startswith("lang:"):
            language = term.removeprefix("lang:")
        elif term in ("is:retweet", "-is:retweet"):
            is_repost = term == "is:retweet"
        else:
            subjects.append(term.upper() if term.startswith("$") else term.lower())
    if not subjects:
        said = "There were errors processing your request: a conjunction-required operator can not stand alone"
        raise InvalidError("query", text, said)
    subject = subjects[0] if len(subjects) == 1 else ""
    return (f'"{subject}"' if subject.isalnum() else subject), language, is_repost
