"""The archive in an S3-compatible bucket: an object a payload, `<prefix>/<day>/<hour>/<key>.seg`.

An object a payload, because S3 can't append: a segment would have to be held back until it is closed, on a disk that a
container loses with its process. So it is stored, and acknowledged, before the fetch's transaction names it; a SIGKILL
leaves at most an object that nobody refers to. The price is a request each (docs/operations.md).

Imported only where a bucket is named, since obstore is an extra package. Invariant: no credential stands in an address;
obstore finds them as every S3 client does (AWS_ACCESS_KEY_ID and its like, a profile's or a machine's role).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from io import BytesIO

from obstore.exceptions import BaseError
from obstore.store import S3Store

from ingest.archive import Place, Segment, from_record, is_before, to_record
from ingest.settings import BucketAddress
from ingest.telemetry import register_secret

#: A fetch waits for its object, and its lease is renewed meanwhile: three tries of 10 s at most fit into the task's 75.
TIMEOUT_S, RETRIES, RETRY_S = 10, 2, 15
#: What S3 deletes in one request at most.
PAGE = 1000
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class BucketArchive:
    """Payloads as objects. Made after the fork: obstore's threads don't survive one."""

    def __init__(self, address: BucketAddress) -> None:
        self._store = _open(address)

    def append(self, key: str, blob: bytes, now: datetime) -> Place:
        """Store a payload as an object and return its place. Cost: one request. Raises OSError when S3 refuses."""
        name = f"{now.astimezone(UTC):%Y-%m-%d/%H}/{key.replace(':', '-')}.seg"
        with _os_errors():
            self._store.put(name, to_record(key, blob))
        return Place(name, 0, len(blob))

    def read(self, key: str, place: Place) -> bytes | None:
        """Return the payload, or None when its object is gone or holds something else. Raises OSError without S3."""
        try:
            with _os_errors():
                record = self._store.get(place.segment).bytes().to_bytes()
        except FileNotFoundError:
            return None
        return from_record(key, place, BytesIO(record[place.position :]))

    def segments(self, before: date) -> Iterator[Segment]:
        """Yield the objects of the days before that one, oldest first: S3 lists them in the order of their names."""
        with _os_errors():
            for page in self._store.list():
                for one in page:
                    day = one["path"].partition("/")[0]
                    if is_before(day, before):
                        yield Segment(one["path"], one["size"])
                    elif is_before(day, date.max):
                        return

    def delete(self, names: Sequence[str]) -> None:
        """Delete these objects, a thousand a request."""
        for first in range(0, len(names), PAGE):
            # Some servers say of an object that it was gone already; S3 does not.
            with suppress(FileNotFoundError), _os_errors():
                self._store.delete(list(names[first : first + PAGE]))

    def close(self) -> None:
        """Nothing is open between two calls."""


def _open(address: BucketAddress) -> S3Store:
    for name in _SECRETS:
        register_secret(os.environ.get(name, ""))
    return S3Store(
        address.bucket,
        prefix=address.prefix or None,
        endpoint=address.endpoint,
        region=address.region,
        client_options={"timeout": f"{TIMEOUT_S}s", "connect_timeout": "3s", "allow_http": True},
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)},
    )


@contextmanager
def _os_errors() -> Iterator[None]:
    """Turn obstore's own errors into OSError, with the first line of their message: the others show its insides."""
    try:
        yield
    except BaseError as error:
        raise OSError(str(error).partition("\n")[0]) from None
