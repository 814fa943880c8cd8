"""The providers: one file each, found by name or alias. Adding a file to this folder is all it takes to register it."""

from __future__ import annotations

from collections.abc import Mapping
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
def aliases() -> Mapping[str, str]:
    """Return the other names that providers are known by, and the name each has here. Reads every provider's file."""
    return {alias: name for name in names() for alias in get(name).facts.aliases}


def name_of(text: str) -> str:
    """Return the name here of what `text` calls a provider. Raises UnknownName, which lists the ones there are."""
    if text in names():
        return text
    if text in aliases():
        return aliases()[text]
    raise UnknownName("provider", text, names())


@cache
def get(name: str) -> Provider:
    """Return the provider of that name. Raises UnknownName, which lists the ones there are."""
    if name not in names():
        raise UnknownName("provider", name, names())
    return cast(Provider, import_module(f"ingest.providers.{name}"))
