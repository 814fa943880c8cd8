"""A made-up world of news for GDELT's sandbox: what is seen of a topic in each quarter of an hour, and how it is told.

Deliberately not here: how it is searched (`gdelt_search.py`) and answered (`dialects/gdelt.py`).
Invariant: all of it follows from seed, topic and time; the same quarter of an hour has the same articles for ever.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import shake_128
from typing import NamedTuple

TICK_S = 900
#: "The API now searches back to January 1, 2017". Source: https://blog.gdeltproject.org/gdelt-doc-2-0-api-debuts/,
#: read 2026-11-25.
FIRST_S = int(datetime(2017, 1, 1, tzinfo=UTC).timestamp())

#: Language as it is told, as it is searched for, and country.
_EDITIONS = (
    *(("English", "eng", "United States"), ("English", "eng", "United Kingdom")),
    *(("Spanish", "spa", "Mexico"), ("German", "deu", "Germany")),
)
#: The spaces around punctuation are what its titles have.
_HEADLINES = (
    "{} : What Happens Next ?",
    "Five Things to Know About {} , According to Analysts",
    '" {} Is Only Beginning , " Minister Says',
    "Mercados atentos : {} y el dólar",
    "{} : Märkte warten auf Zahlen",
)


class Article(NamedTuple):
    """One article; times are seconds, on the grid of quarters of an hour."""

    url: str
    title: str
    seen_s: int
    domain: str
    language: str
    code: str
    country: str


def articles_of(seed: int, topic: str, tick: int, most: int) -> list[Article]:
    """Return what is seen of a topic in one tick, `most` articles at most; none of a topic without a vowel.

    A story comes under several domains.
    """
    if not re.search(r"[aeiou]", topic):
        return []
    numbers = shake_128(f"{seed}/gdelt/{topic}/{tick}".encode()).digest(2 + 3 * most)
    count = int.from_bytes(numbers[:2], "big") * (most + 1) >> 16
    slug = topic.replace(" ", "-")
    found = []
    for nth in range(count):
        edition, headline, house = numbers[2 + 3 * nth : 5 + 3 * nth]
        language, code, country = _EDITIONS[edition % len(_EDITIONS)]
        domain = f"news{house % 40}.example"
        url = f"https://{domain}/{slug}/{tick}-{nth}"
        title = _HEADLINES[headline % len(_HEADLINES)].format(topic.title())
        found.append(Article(url, title, tick * TICK_S, domain, language, code, country))
    return found


def printed(article: Article, *, bad_escape: bool) -> str:
    """Print an article as ArtList does; with an escape that JSON does not know where that is wished for."""
    fields = {
        "url": article.url,
        "url_mobile": "",
        "title": article.title,
        "seendate": datetime.fromtimestamp(article.seen_s, UTC).strftime("%Y%m%dT%H%M%SZ"),
        "socialimage": f"https://{article.domain}/image.jpg",
        "domain": article.domain,
        "language": article.language,
        "sourcecountry": article.country,
    }
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in fields.items()}
    if bad_escape:
        texts["title"] = f"{texts['title'][:-1]} \\'\t\""
    return "{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}"


def page_text(articles: Sequence[Article], *, bad_escapes: bool) -> str:
    """Print the answer; "{}" where there are none."""
    if not articles:
        return "{}"
    return f'{{"articles":[{",".join(printed(article, bad_escape=bad_escapes) for article in articles)}]}}'
