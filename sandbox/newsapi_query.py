"""Read the parameters of NewsAPI's two searches: what is asked, or the code and text of its refusal.

Deliberately not here: articles, and how an answer is printed. Only a query of one phrase or word finds something here;
AND, OR, NOT and the fields to search in are taken, and change nothing.
Source: https://newsapi.org/docs (endpoints/everything, endpoints/top-headlines, errors), read autumn 2026; the texts
are those that its answers have in public code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

MOST_ROWS = 100
LONGEST_QUERY = 500
MOST_SOURCES = 20
CATEGORIES = ("business", "entertainment", "general", "health", "science", "sports", "technology")
COUNTRIES = ("us",)
SORTS = ("relevancy", "popularity", "publishedAt")
_EVERYTHING_ROWS, _HEADLINE_ROWS = 100, 20


class RefusedError(Exception):
    """A search that can't be answered: its status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class Plan:
    """What the key's plan serves: results of a search, days back, hours of delay."""

    results_most: int
    reach_days: int
    delay_hours: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One search: both bounds in seconds and inclusive, the subject as its words."""

    subject: str
    first_s: int
    last_s: int
    sort_by: str
    page: int
    size: int

    @property
    def begins(self) -> int:
        """Return how many results come before the page."""
        return (self.page - 1) * self.size


def read_everything(query: Mapping[str, str], plan: Plan, *, now_s: float) -> Asked:
    """Return what is asked of /everything. Raises RefusedError."""
    words, sources, domains = (query.get(name, "") for name in ("q", "sources", "domains"))
    if not (words or sources or domains):
        said = (
            "Required parameters are missing, the scope of your search is too broad. Please set any of the following "
        )
        raise RefusedError(400, "parametersMissing", f"{said}required parameters and try again: q, sources, domains.")
    if len(words) > LONGEST_QUERY:
        raise RefusedError(400, "parameterInvalid", f"The q parameter may be at most {LONGEST_QUERY} characters long.")
    _check_sources(sources)
    sort_by = query.get("sortBy", "publishedAt")
    if sort_by not in SORTS:
        said = f"The sortBy parameter must be one of: {', '.join(SORTS)}. You have set it to {sort_by}."
        raise RefusedError(400, "parameterInvalid", said)
    oldest_s = int(now_s) - plan.reach_days * 86_400
    newest_s = int(now_s) - plan.delay_hours * 3600
    first_s, last_s = _moment(query, "from", oldest_s), _moment(query, "to", newest_s)
    if first_s < oldest_s:
        said = "You are trying to request results too far in the past. Your plan permits you to request articles as far"
        day, asked = (datetime.fromtimestamp(s, UTC).date() for s in (oldest_s, first_s))
        upgrade = "You may need to upgrade to a paid plan."
        raise RefusedError(426, "parameterInvalid", f"{said} back as {day}, but you have requested {asked}. {upgrade}")
    page, size = _page(query, plan, _EVERYTHING_ROWS)
    return Asked(_subject(words), first_s, min(last_s, newest_s), sort_by, page, size)


def read_headlines(query: Mapping[str, str], plan: Plan, *, now_s: float) -> Asked:
    """Return what is asked of /top-headlines: those of the last day that the plan serves. Raises RefusedError."""
    country, category, sources = (query.get(name, "") for name in ("country", "category", "sources"))
    if not (country or category or sources or query.get("q")):
        said = "Required parameters are missing. Please set any of the following parameters and try again: "
        raise RefusedError(400, "parametersMissing", f"{said}sources, q, language, country, category.")
    if sources and (country or category):
        said = "You cannot mix the sources parameter with the country or category parameters."
        raise RefusedError(400, "parameterInvalid", said)
    _check_sources(sources)
    for name, value, known in (("country", country, COUNTRIES), ("category", category, CATEGORIES)):
        if value and value not in known:
            said = f"The {name} parameter must be one of: {', '.join(known)}."
            raise RefusedError(400, "parameterInvalid", said)
    page, size = _page(query, plan, _HEADLINE_ROWS)
    newest_s = int(now_s) - plan.delay_hours * 3600
    return Asked(f"top {category or 'general'}", newest_s - 86_400, newest_s, "publishedAt", page, size)


def _subject(words: str) -> str:
    """Return the words of a query of one phrase or word, which is all that finds something."""
    return words.strip().removeprefix("+").strip('"').lower()


def _check_sources(sources: str) -> None:
    names = [name for name in sources.split(",") if name]
    if len(names) > MOST_SOURCES:
        said = f"You have requested too many sources in a single request ({MOST_SOURCES} at most)."
        raise RefusedError(400, "sourcesTooMany", said)
    if names:
        raise RefusedError(400, "sourceDoesNotExist", "You have requested a source which does not exist.")


def _page(query: Mapping[str, str], plan: Plan, usual: int) -> tuple[int, int]:
    numbers = []
    for name, default, highest in (("page", 1, 10**6), ("pageSize", usual, MOST_ROWS)):
        text = query.get(name, str(default))
        if not text.isdecimal() or not 1 <= int(text) <= highest:
            said = f"The {name} parameter must be a whole number from 1 to {highest}. You have set it to {text}."
            raise RefusedError(400, "parameterInvalid", said)
        numbers.append(int(text))
    page, size = numbers
    if page * size > plan.results_most:
        said = f"You have requested too many results. Developer accounts are limited to a max of {plan.results_most} "
        span = f"results. You are trying to request results {(page - 1) * size} to {page * size}."
        upgrade = "Please upgrade to a paid plan if you need more results."
        raise RefusedError(426, "maximumResultsReached", f"{said}{span} {upgrade}")
    return page, size


def _moment(query: Mapping[str, str], name: str, default: int) -> int:
    """Return "a date and optional time" in seconds; a date is its midnight, no offset is UTC."""
    text = query.get(name)
    if not text:
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as cause:
        said = f"The {name} parameter must be a date in ISO 8601 format. You have set it to {text}."
        raise RefusedError(400, "parameterInvalid", said) from cause
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
