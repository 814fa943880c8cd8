"""Payloads: the raw answers of one fetch, and the batch normalized from them, kept under keys while in flight.

In flight they lie in Redis (with a TTL); every payload is also appended to the archive (archive.py). One that Redis
lost or refused is read from there. Invariant: no payload holds a secret, even if the provider's answer quoted it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
import zstandard
from redis import Redis
from redis.exceptions import RedisError

from ingest.archive import Archive, Place
from ingest.telemetry import holds_secret, redact, redact_bytes
from ingest.wire import Answer, Request

#: In flight a payload waits seconds; an hour survives a long pause of PostgreSQL. The archive keeps it longer.
TTL_S = 3600
#: zstd's level 1 packs JSON to about a third at some 400 MB/s; higher levels cost more CPU than the bytes they save.
_LEVEL = 1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer as kept: with `rule`, the quality rule a bad page broke, it is evidence only and never parsed.

    `is_last`: no page follows it; None where that was not noted.
    """

    answer: Answer
    rule: str | None = None
    is_last: bool | None = None


def payload_key(job_id: int, attempt: int) -> str:
    """Return the name of a fetch's payload, in Redis, the archive, fetch_log and findings alike."""
    return f"tickfarm:payload:{job_id}:{attempt}"


def batch_key(job_id: int, payload: str) -> str:
    """Return the Redis key of the batch normalized from that payload (string, TTL one hour)."""
    return f"tickfarm:batch:{job_id}:{payload.rsplit(':', 1)[-1]}"


@dataclass(frozen=True, slots=True)
class Packed:
    """A payload's bytes, with the answers as they are read back from them: without any registered secret."""

    blob: bytes
    answers: Sequence[StoredAnswer]


def pack(answers: Sequence[StoredAnswer], call: Mapping[str, Any] | None = None) -> Packed:
    """Return the answers, and the call they are for, as one compressed blob, without any registered secret.

    Requests are kept without base URL and key. `call` is JSON: with it the answers can be read without their job.
    """
    bodies = [kept.answer.body for kept in answers]
    is_told = holds_secret(b"".join(bodies))
    if is_told:
        bodies = [redact_bytes(body) for body in bodies]
    heads = [
        {
            "request": request_to(kept.answer.request),
            "status": kept.answer.status,
            "headers": dict(kept.answer.headers),
            "sent_at": kept.answer.sent_at.isoformat(),
            "received_at": kept.answer.received_at.isoformat(),
            "rule": kept.rule,
            "is_last": kept.is_last,
            "size_bytes": len(body),
        }
        for kept, body in zip(answers, bodies, strict=True)
    ]
    written = json.dumps({"call": call, "answers": heads}, separators=(",", ":"))
    head = (redacted := redact(written)).encode()
    raw = b"".join((struct.pack(">I", len(head)), head, *bodies))
    blob = zstandard.ZstdCompressor(level=_LEVEL).compress(raw)
    # Where nothing was taken out, what would be read back is what was given: reading it costs 9 us an answer.
    return Packed(blob, unpack(blob) if is_told or redacted != written else answers)


def unpack(blob: bytes) -> list[StoredAnswer]:
    """Return the answers of a packed blob."""
    head, raw, at = _opened(blob)
    answers = []
    for one in head["answers"]:
        body = raw[at : at + one["size_bytes"]]
        at += one["size_bytes"]
        answers.append(
            StoredAnswer(
                Answer(
                    request=request_from(one["request"]),
                    status=one["status"],
                    headers=one["headers"],
                    body=body,
                    sent_at=datetime.fromisoformat(one["sent_at"]),
                    received_at=datetime.fromisoformat(one["received_at"]),
                ),
                one["rule"],
                one.get("is_last"),
            )
        )
    return answers


def call_of(blob: bytes) -> Mapping[str, Any] | None:
    """Return the call that a packed blob's answers are for; None in one that was packed without it."""
    call = _opened(blob)[0]["call"]
    return call if isinstance(call, dict) else None


def _opened(blob: bytes) -> tuple[dict[str, Any], bytes, int]:
    """Return a blob's head, all its bytes, and where in these the bodies begin."""
    raw = zstandard.ZstdDecompressor().decompress(blob)
    (length,) = struct.unpack_from(">I", raw)
    head = json.loads(raw[4 : 4 + length])
    # Until 2026-11 the head was the list alone.
    return head if isinstance(head, dict) else {"call": None, "answers": head}, raw, 4 + length


def request_to(request: Request) -> dict[str, Any]:
    """Return a request as a JSON object, for a job that must send it again."""
    document = {
        "path": request.path,
        "params": [list(pair) for pair in request.params],
        "headers": [list(pair) for pair in request.headers],
        "instruments": list(request.instruments),
        "weight": request.weight,
        "start": _text(request.start),
        "end": _text(request.end),
    }
    if request.timeout_s is not None:
        document["timeout_s"] = request.timeout_s
    return document | {"follows": True} if request.follows else document


def request_from(document: dict[str, Any]) -> Request:
    """Return the request a JSON object describes."""
    return Request(
        path=document["path"],
        params=tuple((name, value) for name, value in document["params"]),
        headers=tuple((name, value) for name, value in document["headers"]),
        instruments=tuple(document["instruments"]),
        weight=document["weight"],
        start=_time(document["start"]),
        end=_time(document["end"]),
        timeout_s=document.get("timeout_s"),
        follows=document.get("follows", False),
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class Payloads:
    """Puts payloads and batches in flight, and gets them back from wherever they still are.

    `redis` must return bytes (`decode_responses=False`).
    """

    def __init__(self, redis: Redis, archive: Archive) -> None:
        self._redis = redis
        self._archive = archive

    def put(self, key: str, blob: bytes, now: datetime, *, in_flight: bool) -> Place | None:
        """Archive the payload and, if work on it is to come, put it into Redis. Returns its place in the archive.

        One of the two must hold it: raises the Redis error when both refuse. Cost: one append, one round trip.
        """
        if not in_flight:
            return self._append(key, blob, now)
        place = self.archive(key, blob, now)
        self.send_off(key, blob, place)
        return place

    def archive(self, key: str, blob: bytes, now: datetime) -> Place | None:
        """Archive the payload and return its place, None where the archive refuses it."""
        try:
            return self._append(key, blob, now)
        except OSError:
            return None

    def _append(self, key: str, blob: bytes, now: datetime) -> Place:
        try:
            return self._archive.append(key, blob, now)
        except OSError as error:
            log.error("archive_refused", key=key, error=str(error))
            raise

    def send_off(self, key: str, blob: bytes, place: Place | None) -> None:
        """Put a payload into Redis. Raises its error where the archive does not hold the payload either."""
        try:
            self._redis.set(key, blob, ex=TTL_S)
        except RedisError as error:
            if place is None:
                raise
            log.warning("payload_not_in_redis", key=key, error=str(error))

    def get(self, key: str, place: Place | None) -> bytes | None:
        """Return a payload from Redis or else the archive, or None when neither has it."""
        blob = self.get_batch(key)
        return self.archived(key, place) if blob is None and place is not None else blob

    def archived(self, key: str, place: Place) -> bytes | None:
        """Return a payload from the archive, or None when it is not there, or can't be reached."""
        try:
            return self._archive.read(key, place)
        except OSError as error:
            log.warning("archive_unreadable", key=key, error=str(error))
            return None

    def put_batch(self, key: str, batch: bytes) -> None:
        """Put a normalized batch into Redis. It can always be made again from its payload."""
        self._redis.set(key, batch, ex=TTL_S)

    def get_batch(self, key: str) -> bytes | None:
        """Return a batch, or None when it has to be made."""
        blob = self._redis.get(key)
        return blob if isinstance(blob, bytes) else None

    def close(self) -> None:
        """Close the archive's segment. Redis belongs to the caller."""
        self._archive.close()

    def drop(self, *keys: str) -> None:
        """Forget what is in flight under these keys. The archive keeps payloads."""
        self._redis.delete(*keys)
