"""JSON of what the farm's readers return: moments in ISO 8601, exact decimals as strings, dataclasses as objects.

Deliberately not here: rows, which polars writes (ingest/pipeline/export.py). Invariant: keys in a fixed order.
"""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import Request, Response
from pydantic import TypeAdapter

from dashboard.api.documented import JSON

_ANY: TypeAdapter[Any] = TypeAdapter(Any)


def encoded(document: object) -> bytes:
    """Return the document as JSON."""
    return _ANY.dump_json(document)


def unless_known(request: Request, document: object) -> Response:
    """Answer with the document, or 304 where who asks has it already."""
    body = encoded(document)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=JSON, headers=headers)
