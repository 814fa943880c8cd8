"""Mask the values of keys in query strings, before anything keeps or shows them.

Deliberately not here: checking keys (the dialects do).
Invariant: what comes out holds no value of a parameter whose name sounds like a key, however it is encoded.
"""

import re
from urllib.parse import unquote_plus

_SECRET_NAME = re.compile(r"key|token|secret|password|crumb|signature", re.IGNORECASE)


def mask_secrets(query: str) -> str:
    """Return the query string with `***` for every secret value; other parameters keep their text."""
    if "%" not in query and not _SECRET_NAME.search(query):
        return query
    masked = []
    for pair in query.split("&"):
        name, equals, _ = pair.partition("=")
        masked.append(f"{name}{equals}***" if equals and _SECRET_NAME.search(unquote_plus(name)) else pair)
    return "&".join(masked)
