"""The address of an S3-compatible bucket: `s3://BUCKET/PREFIX?endpoint=https://..&region=..`.

Deliberately not here: credentials, which have no place in an address that logs may show.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from ingest.settings.presets import web_address

WANTED = "expected an address like s3://bucket/prefix?endpoint=https://s3.example.com&region=eu-west-1, without a key"
#: What S3 takes as a bucket's name. Source: docs.aws.amazon.com, "General purpose buckets naming rules" (2026-11).
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """Where objects go. `endpoint` None: Amazon's own; `region` None: what the environment says."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None


def bucket_address(value: str) -> BucketAddress:
    """Return what the address says. Raises ValueError for one that can't be read or that holds a password."""
    try:
        parts = urlsplit(value)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        endpoint = options.pop("endpoint", None)
        region = options.pop("region", None)
        is_one = parts.scheme == "s3" and not options and not parts.fragment and value.isprintable()
        if not is_one or not _BUCKET.fullmatch(parts.netloc):
            raise ValueError(WANTED)
        endpoint = None if endpoint is None else web_address(endpoint)
    except ValueError:
        raise ValueError(WANTED) from None
    return BucketAddress(parts.netloc, parts.path.strip("/"), endpoint, region)
