"""Polygon's pages taken apart: the rows, the address of the next page, what is no page.

Deliberately not here: what a row's fields mean (rows.py) and errors (../polygon.py). Invariant: every number is still
the text that was sent, and a page that is none raises BadData.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ingest.errors import BadData
from ingest.providers import answers
from ingest.wire import Answer, Request

#: In a JSON string the quotes would be escaped, so this can only be a member's name.
_NEXT = re.compile(rb'"next_url"\s*:\s*("(?:[^"\\]|\\.)*"|null)')
_ADDRESS = re.compile(r"https?://[\x21-\x7e]+", re.ASCII)
_KEY = "apiKey"


def bad_page(expected: str, answer: Answer, *, rule: str = "unparsable_page") -> BadData:
    """Return the error of a page that is none."""
    said = f"polygon sent a page that can't be used: expected {expected}"
    return BadData(said, rule=rule, provider="polygon", status=answer.status)


def page_of(answer: Answer) -> dict[str, Any]:
    """Return the answer's body, numbers as text. Raises BadData."""
    page = answers.load("polygon", answer, numbers_as_text=True)
    if type(page) is not dict or type(page.get("status")) is not str:
        raise bad_page("an object with a status", answer)
    return page


def rows_of(page: dict[str, Any], answer: Answer) -> list[Any]:
    """Return the rows: `results` is absent, or null, where there is nothing. Raises BadData."""
    rows = page.get("results")
    if rows is None:
        return []
    if type(rows) is not list:
        raise bad_page(f"a list of results, found a JSON {type(rows).__name__}", answer)
    return rows


def following(answer: Answer) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """Return path and parameters of the next page, None after the last; read without decoding the rows.

    The host of `next_url` is left out, since requests go to the address of this farm, and so is a key, if it has one.
    Raises BadData where it can't be read, or is the page itself: rows would be missing.
    """
    found = _NEXT.search(answer.body, max(0, answer.body.rfind(b'"next_url"')))
    if found is None or found[1] == b"null":
        return None
    try:
        text = str(json.loads(found[1]))
        address = urlsplit(text)
    except ValueError as cause:
        raise bad_page("a next_url that is an address", answer) from cause
    if not _ADDRESS.fullmatch(text) or not address.path.startswith("/"):
        raise bad_page("a next_url that is an address", answer)
    params = tuple(one for one in parse_qsl(address.query, keep_blank_values=True) if one[0] != _KEY)
    if is_raw(answer.request) and "adjusted" not in dict(params):
        params = (*params, ("adjusted", "false"))  # that the cursor carries it is not documented
    if (address.path, params) == (answer.request.path, answer.request.params):
        raise bad_page("a next_url that leads on, found the page itself", answer)
    return address.path, params


def is_raw(request: Request) -> bool:
    """Say whether bars that are not adjusted for splits were asked for."""
    return ("adjusted", "false") in request.params
