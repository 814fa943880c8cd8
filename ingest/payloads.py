"""Payloads: the raw answers of one fetch, and the batch normalized from them, kept under keys while in flight.

In flight they lie in Redis (with a TTL); every payload is also appended to the archive, whose segments are one file an
hour and process, so that no two writers share one. A payload that Redis lost or refused is read from the archive.
Invariant: what is read back is what was written (a checksum is verified), or it is reported absent.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import structlog
import zstandard
from redis import Redis
from redis.exceptions import RedisError

from ingest.wire import Answer, Request

#: In flight a payload waits seconds; an hour survives a long pause of PostgreSQL. The archive keeps it longer.
TTL_S = 3600
#: zstd's level 1 packs JSON to about a third at some 400 MB/s; higher levels cost more CPU than the bytes they save.
_LEVEL = 1
#: A record in a segment: magic, CRC-32 of what follows, key length, body length; then key, then body.
_RECORD = struct.Struct(">4sIHI")
_MAGIC = b"tfp1"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer as kept: with `rule`, the quality rule a bad page broke, it is evidence only and never parsed."""

    answer: Answer
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the archive a payload lies."""

    segment: str
    position: int
    size_bytes: int


def payload_key(job_id: int, attempt: int) -> str:
    """Return the name of a fetch's payload, in Redis, the archive, fetch_log and findings alike."""
    return f"tickfarm:payload:{job_id}:{attempt}"


def batch_key(job_id: int, payload: str) -> str:
    """Return the Redis key of the batch normalized from that payload (string, TTL one hour)."""
    return f"tickfarm:batch:{job_id}:{payload.rsplit(':', 1)[-1]}"


def pack(answers: Sequence[StoredAnswer]) -> bytes:
    """Return the answers as one compressed blob. Requests are kept without base URL and key."""
    heads = [
        {
            "request": request_to(kept.answer.request),
            "status": kept.answer.status,
            "headers": dict(kept.answer.headers),
            "sent_at": kept.answer.sent_at.isoformat(),
            "received_at": kept.answer.received_at.isoformat(),
            "rule": kept.rule,
            "size_bytes": len(kept.answer.body),
        }
        for kept in answers
    ]
    head = json.dumps(heads, separators=(",", ":")).encode()
    blob = b"".join((struct.pack(">I", len(head)), head, *(kept.answer.body for kept in answers)))
    return zstandard.ZstdCompressor(level=_LEVEL).compress(blob)


def unpack(blob: bytes) -> list[StoredAnswer]:
    """Return the answers of a packed blob."""
    raw = zstandard.ZstdDecompressor().decompress(blob)
    (length,) = struct.unpack_from(">I", raw)
    at = 4 + length
    answers = []
    for head in json.loads(raw[4:at]):
        body = raw[at : at + head["size_bytes"]]
        at += head["size_bytes"]
        answers.append(
            StoredAnswer(
                Answer(
                    request=request_from(head["request"]),
                    status=head["status"],
                    headers=head["headers"],
                    body=body,
                    sent_at=datetime.fromisoformat(head["sent_at"]),
                    received_at=datetime.fromisoformat(head["received_at"]),
                ),
                head["rule"],
            )
        )
    return answers


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
    return document if request.timeout_s is None else document | {"timeout_s": request.timeout_s}


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
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class Archive:
    """Append-only segments of payloads: `<folder>/<day>/<hour>-<host>-<pid>.seg`, written by one process each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name: str | None = None
        self._pid = 0
        self._file: BinaryIO | None = None

    def append(self, key: str, blob: bytes, now: datetime) -> Place:
        """Append a payload and return its place. One write call, so that a crash leaves at most one torn tail.

        Raises OSError when the disk is full or the folder can't be written.
        """
        file, name = self._open(now)
        key_bytes = key.encode()
        checksum = zlib.crc32(blob, zlib.crc32(key_bytes))
        record = _RECORD.pack(_MAGIC, checksum, len(key_bytes), len(blob)) + key_bytes + blob
        written = file.write(record)
        if written != len(record):
            raise OSError(errno.ENOSPC, f"the disk took {written} of {len(record)} bytes", str(self._folder / name))
        # Where the system put it: right even if somebody else appended to the same file meanwhile.
        return Place(name, file.tell() - len(record), len(blob))

    def read(self, key: str, place: Place) -> bytes | None:
        """Return the payload at that place, or None when the segment is gone, torn or holds something else."""
        name = key.encode()
        try:
            with (self._folder / place.segment).open("rb") as file:
                file.seek(place.position)
                magic, checksum, *lengths = _RECORD.unpack(file.read(_RECORD.size))
                # Before anything is read by them: a spoilt length could ask for gigabytes.
                if magic != _MAGIC or lengths != [len(name), place.size_bytes]:
                    return None
                found, blob = file.read(len(name)), file.read(place.size_bytes)
        except (OSError, struct.error):
            return None
        return blob if found == name and zlib.crc32(blob, zlib.crc32(found)) == checksum else None

    def close(self) -> None:
        """Close the segment. Appending opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, now: datetime) -> tuple[BinaryIO, str]:
        pid = os.getpid()
        name = f"{now.astimezone(UTC):%Y-%m-%d}/{now.astimezone(UTC):%H}-{socket.gethostname()}-{pid}.seg"
        if self._file is None or name != self._name or pid != self._pid:
            self.close()
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file, self._name, self._pid = path.open("ab", buffering=0), name, pid
        return self._file, name


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
        place: Place | None = None
        try:
            place = self._archive.append(key, blob, now)
        except OSError as error:
            log.error("archive_refused", key=key, error=str(error))
            if not in_flight:
                raise
        if in_flight:
            try:
                self._redis.set(key, blob, ex=TTL_S)
            except RedisError as error:
                if place is None:
                    raise
                log.warning("payload_not_in_redis", key=key, error=str(error))
        return place

    def get(self, key: str, place: Place | None) -> bytes | None:
        """Return a payload from Redis or else the archive, or None when neither has it."""
        blob = self.get_batch(key)
        return self._archive.read(key, place) if blob is None and place is not None else blob

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
