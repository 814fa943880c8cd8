"""What the API's OpenAPI document says beyond the routes' own types: errors, rows of each dataset, files.

Deliberately not here: the answers. Invariant: a row's schema is made from the table that it is read from.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from sqlalchemy import ARRAY, BigInteger

from ingest.market.records import NAME_LISTS, VALUE_COLUMNS, Dataset
from ingest.pipeline.read import columns_of

JSON, CSV = "application/json", "text/csv"
PARQUET, ARROW = "application/vnd.apache.parquet", "application/vnd.apache.arrow.file"
_MOMENT = {"type": "string", "format": "date-time"}
_TEXT = {"type": ["string", "null"]}
_EXAMPLE: dict[str, Any] = {
    "instrument": "BTC-USDT",
    "ts": "2024-01-01T00:00:00+00:00",
    "observed_at": "2024-01-01T00:01:02+00:00",
}
_VALUES: dict[str, dict[str, Any]] = {
    "bars": {"open": "42283.58", "high": "42298.62", "low": "42261.02", "close": "42298.61", "volume": "35.92724"},
    "trades": {"trade_id": 3353003681, "price": "42283.58", "size": "0.00070", "side": "buy"},
    "quotes": {"bid": "42283.57", "bid_size": "1.2", "ask": "42283.58", "ask_size": "0.4"},
    "observations": {"vintage": "2024-02-02", "value": "3.7"},
}


class Failure(BaseModel):
    """Why a request has no answer."""

    status: int
    code: str
    message: str
    details: list[str]


class ErrorShape(BaseModel):
    """The one shape of an error."""

    error: Failure

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "error": {
                        "status": 404,
                        "code": "not_found",
                        "message": "unknown stored instrument of binance: 'BTC-USTD'; accepted: BTC-USDT",
                        "details": [],
                    }
                }
            ]
        }
    }


def _error(description: str) -> dict[str, Any]:
    return {"model": ErrorShape, "description": description}


ERRORS: dict[int | str, dict[str, Any]] = {
    400: _error("It can't be answered as asked; the message says what is accepted"),
    404: _error("A name that does not exist, with the nearest that do"),
    422: _error("A parameter is missing, unknown or malformed"),
    503: _error("A server of the farm is away, or this takes too long; `Retry-After` says when to try again"),
}


def answers_of_rows(dataset: Dataset) -> dict[int | str, dict[str, Any]]:
    """Return what the answers of a dataset's rows are."""
    content: dict[str, Any] = {one: {"schema": {"type": "string", "format": "binary"}} for one in (PARQUET, ARROW)}
    content |= {JSON: {"schema": _page(dataset)}, CSV: {"schema": {"type": "string"}}}
    headers = {
        "Link": _header('`<..>; rel="next"`: the next page (JSON)'),
        "ETag": _header("of a JSON page: send it as If-None-Match"),
        "Tickfarm-Gaps": _header("files of bars: `start/end;rows=N;instrument`, at most 20, with commas between them"),
        "Tickfarm-Gap-Count": _header("files of bars: how many gaps there are, at most 1,000"),
    }
    return {
        200: {
            "description": "Rows, oldest first, one instrument after the other",
            "content": content,
            "headers": headers,
        },
        304: {"description": "The page is what If-None-Match names"},
        406: _error("None of the media types in Accept can be had"),
    }


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _page(dataset: Dataset) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "dataset": {"const": dataset},
        "provider": {"type": "string"},
        "rows": {"type": "array", "items": _row(dataset)},
        "next": {"type": ["string", "null"], "description": "the address of the next page; null after the last"},
        "cursor": {"type": ["string", "null"], "description": "the same as a cursor"},
    }
    if dataset == "bars":
        shape["interval"] = {"type": "string"}
        shape["gaps"] = {
            "type": ["array", "null"],
            "description": "missing stretches of the range; null without a start, with as_of and on later pages",
            "items": {
                "type": "object",
                "properties": {
                    "instrument": {"type": "string"},
                    "start": _MOMENT,
                    "end": _MOMENT,
                    "rows": {"type": "integer"},
                },
            },
        }
    return {"type": "object", "properties": shape, "required": list(shape)}


def _row(dataset: Dataset) -> dict[str, Any]:
    shape: dict[str, Any] = {"instrument": {"type": "string"}, "ts": _MOMENT, "observed_at": _MOMENT}
    shape |= {name: _value(dataset, name) for name in VALUE_COLUMNS[dataset]}
    if dataset == "bars":
        shape |= {"is_final": {"type": "boolean"}, "provider": {"type": "string", "description": "with fallback"}}
    required = [name for name in shape if name != "provider"]
    made: dict[str, Any] = {"type": "object", "properties": shape, "required": required}
    if dataset in _VALUES:
        made["example"] = _EXAMPLE | _VALUES[dataset]
    return made


def _value(dataset: Dataset, name: str) -> dict[str, Any]:
    kind = columns_of(dataset)[name].type
    if isinstance(kind, ARRAY) or name in NAME_LISTS:
        return {"type": ["array", "null"], "items": {"type": "string"}}
    return {"type": ["integer", "null"]} if isinstance(kind, BigInteger) else _TEXT
