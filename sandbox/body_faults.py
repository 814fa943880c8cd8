"""Replace the whole answer, or its body: statuses, errors in a 200, pages that are none, bombs, redirects.

Deliberately not here: single rows (`row_faults.py`); the bytes on the wire (`delivery.py`).
Invariant: what comes out is a complete answer with a true Content-Length, however wrong it is.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import lru_cache

from sandbox.contract import Answer, Dialect

_HTML_PAGE = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head>"
    b"<body><h1>Checking your browser before you proceed.</h1></body></html>"
)
# Begins and ends like a page of rows, so that only reading it shows what it is.
_GARBAGE = b'[[1709596800000,"67.1",,{"open":}],\x00\xff\xfe[[["]'
_QUOTA_TEXT = b"You have reached the limit of your plan. Please upgrade, or try again tomorrow."
_BOMB_MIB = 64
_MIB = 1024 * 1024
_GZIP_HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # RFC 1952: deflate, no name, no time, unknown system


@dataclass(frozen=True, slots=True)
class Case:
    """What a body fault knows: its arguments, whose answer it is, the provider's clock, and where `redirect` leads."""

    arguments: Mapping[str, object]
    dialect: Dialect
    now_s: float
    elsewhere_url: str

    def body(self, default: bytes) -> bytes:
        return str(self.arguments["body"]).encode() if "body" in self.arguments else default


BodyFault = Callable[[Answer, Case], Answer | None]


def _status(answer: Answer, case: Case) -> Answer:
    """Any status, with the provider's own error, and Retry-After in seconds or as a date by the provider's clock."""
    headers = answer.headers
    told: str | None = None
    if "retry_after" in case.arguments:
        told = str(case.arguments["retry_after"])
    elif "retry_after_date_s" in case.arguments:
        told = formatdate(case.now_s + float(str(case.arguments["retry_after_date_s"])), usegmt=True)
    if told is not None:
        headers = (*(one for one in headers if one[0].lower() != "retry-after"), ("Retry-After", told))
    status = int(str(case.arguments.get("status", 500)))
    # 204 and 304 have no body by definition; one would be read as the next answer's beginning.
    body = b"" if status in (204, 304) else case.body(case.dialect.error_body)
    return replace(answer, status=status, body=body, headers=headers)


def _error_in_200(answer: Answer, case: Case) -> Answer:
    return replace(answer, status=200, body=case.body(case.dialect.error_body))


def _quota_spent(answer: Answer, case: Case) -> Answer:
    """A 200 that is a sentence for people, as providers send to those who have used up their plan."""
    return replace(answer, status=200, body=case.body(_QUOTA_TEXT), content_type="text/plain; charset=utf-8")


def _html(answer: Answer, case: Case) -> Answer:
    return replace(answer, status=200, body=case.body(_HTML_PAGE), content_type="text/html; charset=utf-8")


def _truncated(answer: Answer, case: Case) -> Answer | None:
    # A body of one byte can't be cut and stay a body.
    return replace(answer, body=answer.body[: len(answer.body) // 2]) if len(answer.body) > 1 else None


def _not_json(answer: Answer, case: Case) -> Answer:
    return replace(answer, status=200, body=case.body(b"upstream connect error or disconnect"))


def _garbage(answer: Answer, case: Case) -> Answer:
    return replace(answer, status=200, body=case.body(_GARBAGE))


def _empty(answer: Answer, case: Case) -> Answer:
    return replace(answer, status=200, body=b"")


def _wrong_content_type(answer: Answer, case: Case) -> Answer:
    """The true body under another name."""
    return replace(answer, content_type=str(case.arguments.get("content_type", "text/html; charset=utf-8")))


def _gzip_bomb(answer: Answer, case: Case) -> Answer:
    """A body of 64 KB that is 64 MiB once it is decompressed, or `mib` of them."""
    mib = int(str(case.arguments.get("mib", _BOMB_MIB)))
    return replace(answer, status=200, body=_bomb(mib), headers=(*answer.headers, ("Content-Encoding", "gzip")))


@lru_cache(maxsize=2)
def _bomb(mib: int) -> bytes:
    """Return the gzip of so many MiB of spaces. Compressing them all would hold up every other answer for 0.4 s.

    After a full flush the compressor starts anew, so the bytes of one MiB can be repeated; only the checksum, which
    gzip has at its end, is made over all of them.
    """
    piece = b" " * _MIB
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    repeated = compressor.compress(piece) + compressor.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(mib):
        checksum = zlib.crc32(piece, checksum)
    tail = compressor.flush(zlib.Z_FINISH) + struct.pack("<II", checksum, mib * _MIB & 0xFFFFFFFF)
    return _GZIP_HEAD + repeated * mib + tail


def _redirect(answer: Answer, case: Case) -> Answer:
    """A redirect to a listener under another name and port, which notes whoever follows (`GET /sandbox/elsewhere`)."""
    location = str(case.arguments.get("location", f"{case.elsewhere_url}/followed"))
    status = int(str(case.arguments.get("status", 302)))
    return replace(answer, status=status, body=b"", headers=(*answer.headers, ("Location", location)))


BODY_FAULTS: Mapping[str, BodyFault] = {
    "status": _status,
    "error_in_200": _error_in_200,
    "quota_spent": _quota_spent,
    "html": _html,
    "truncated": _truncated,
    "not_json": _not_json,
    "garbage": _garbage,
    "empty": _empty,
    "wrong_content_type": _wrong_content_type,
    "gzip_bomb": _gzip_bomb,
    "redirect": _redirect,
}
