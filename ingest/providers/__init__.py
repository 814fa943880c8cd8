"""The providers: one file each, found by name. Adding a file to this folder is all it takes to register it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import cast

from ingest.errors import UnknownName
from ingest.providers.contract import Provider

_NO_PROVIDERS = {"__init__", "contract", "answers"}


@cache
def names() -> tuple[str, ...]:
    """Return every provider's name, sorted."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _NO_PROVIDERS))


@cache
def get(name: str) -> Provider:
    """Return the provider of that name. Raises UnknownName, which lists the ones there are."""
    if name not in names():
        raise UnknownName("provider", name, names())
    return cast(Provider, import_module(f"ingest.providers.{name}"))
