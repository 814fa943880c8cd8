"""The archive: where payloads are kept for days, as append-only segments in a folder or as objects in a bucket.

Deliberately not here: what is in flight (payloads), the bucket (bucket.py: it needs an extra package), how long what is
kept (pipeline/retention). Invariant: what is read back is what was appended under that key, or nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

#: A record in a segment: magic, CRC-32 of what follows, key length, body length; then key, then body.
_RECORD = struct.Struct(">4sIHI")
_MAGIC = b"tfp1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the archive a payload lies."""

    segment: str
    position: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A file or object of the archive, by its name in a Place."""

    name: str
    size_bytes: int


class Archive(Protocol):
    """Keeps payloads until their segment is deleted. `<day>/` begins every segment's name, in UTC."""

    def append(self, key: str, blob: bytes, now: datetime) -> Place:
        """Append a payload and return its place; then it outlives this process. Raises OSError when it can't."""

    def read(self, key: str, place: Place) -> bytes | None:
        """Return the payload at that place, or None when the segment is gone, torn or holds something else."""

    def segments(self, before: date) -> Iterator[Segment]:
        """Yield the segments of the days before that one, oldest day first; what has no day's name is not ours."""

    def delete(self, names: Sequence[str]) -> None:
        """Delete these segments; one that is gone already is none. Raises OSError when it can't."""

    def close(self) -> None:
        """Close what is open. Appending opens it again."""


class FolderArchive:
    """Segments as files: `<folder>/<day>/<hour>-<host>-<pid>.seg`, written by one process each."""

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
        record = to_record(key, blob)
        written = file.write(record)
        if written != len(record):
            raise OSError(errno.ENOSPC, f"the disk took {written} of {len(record)} bytes", str(self._folder / name))
        # Where the system put it: right even if somebody else appended to the same file meanwhile.
        return Place(name, file.tell() - len(record), len(blob))

    def read(self, key: str, place: Place) -> bytes | None:
        """Return the payload at that place, or None when the segment is gone, torn or holds something else."""
        try:
            with (self._folder / place.segment).open("rb") as file:
                file.seek(place.position)
                return from_record(key, place, file)
        except OSError:
            return None

    def segments(self, before: date) -> Iterator[Segment]:
        """Yield the files of the days before that one, oldest first."""
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if not (is_before(folder.name, before) and folder.is_dir()):
                continue
            for file in sorted(folder.glob("*.seg")):
                yield Segment(f"{folder.name}/{file.name}", file.stat().st_size)

    def delete(self, names: Sequence[str]) -> None:
        """Delete these files, and the folders that become empty."""
        for name in names:
            file = self._folder / name
            file.unlink(missing_ok=True)
            if not any(file.parent.iterdir()):
                file.parent.rmdir()

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


def to_record(key: str, blob: bytes) -> bytes:
    """Return a payload as it stands in a segment."""
    name = key.encode()
    return _RECORD.pack(_MAGIC, zlib.crc32(blob, zlib.crc32(name)), len(name), len(blob)) + name + blob


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def from_record(key: str, place: Place, file: _Readable) -> bytes | None:
    """Return the payload whose record begins where the file stands, or None when that is not the one."""
    name = key.encode()
    try:
        magic, checksum, *lengths = _RECORD.unpack(file.read(_RECORD.size))
    except struct.error:
        return None
    # Before anything is read by them: a spoilt length could ask for gigabytes.
    if magic != _MAGIC or lengths != [len(name), place.size_bytes]:
        return None
    found, blob = file.read(len(name)), file.read(place.size_bytes)
    return blob if found == name and zlib.crc32(blob, zlib.crc32(found)) == checksum else None


def is_before(folder: str, first_kept: date) -> bool:
    """Say whether a folder is named like a day before that one."""
    try:
        return date.fromisoformat(folder) < first_kept
    except ValueError:
        return False
