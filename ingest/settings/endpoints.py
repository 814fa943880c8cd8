"""Where a provider's requests go in this farm, and with which key.

Deliberately not here: providers' own addresses (their files). Invariant: while a sandbox is set, nothing goes anywhere
else, whatever other address is set; and a key is read at each send, so that a rotated one is used by the next request.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from zlib import crc32

from ingest.settings.fields import Settings, env_file
from ingest.settings.sources import PROVIDERS, BadSetting, find_secret
from ingest.wire import Endpoint, Key, KeySpec


def provider_endpoint(config: Settings, *, name: str, base_url: str, spec: KeySpec | None, turn: str = "") -> Endpoint:
    """Return where a provider's requests go now: `base_url`, which is one of `base_urls`, with a key if one is set.

    `turn` chooses among several keys, the same one for the same text: a job and its attempt, so that a batch keeps to
    one, and its repetition may take another.
    """
    keys = credentials(config, name=name, spec=spec) if spec is not None else ()
    if not keys:
        return Endpoint(base_url=base_url)
    key = keys[crc32(turn.encode()) % len(keys)]
    return Endpoint(base_url=base_url, key=key, pool=key.pool)


def base_urls(config: Settings, name: str, stated: Sequence[str]) -> tuple[str, ...]:
    """Return a provider's addresses, the first choice first: the sandbox if one is set, else those set, or its own."""
    if config.tickfarm_sandbox_url:
        return (f"{config.tickfarm_sandbox_url.rstrip('/')}/{name}",)
    return config.of_provider(name).base_urls or tuple(stated)


def credentials(config: Settings, *, name: str, spec: KeySpec) -> tuple[Key, ...]:
    """Return a provider's keys as they are set now, none twice: usually one, or none.

    Each is a budget of its own (`Key.pool`). Raises BadSetting for what can't be read, what is set twice, one part of a
    key of two, and several keys where the provider's `several_keys` does not say that its terms allow them.
    """
    values, variable, _ = _first_given(config, spec)
    if spec.beside is not None:
        return _pair(config, spec, spec.beside)
    if len(values) > 1 and not config.of_provider(name).several_keys:
        raise BadSetting(
            f"{variable} holds {len(values)} keys: many providers' terms forbid more than one a person, and end the "
            f"accounts of those who use them; if {name}'s allow it, set {PROVIDERS}__{name.upper()}__SEVERAL_KEYS=true"
        )
    return tuple(Key(spec.place, spec.name, value, spec.prefix) for value in values)


def _pair(config: Settings, spec: KeySpec, beside: KeySpec) -> tuple[Key, ...]:
    """Return a key of two parts, or none where neither is set."""
    first, second = (_first_given(config, part)[0] for part in (spec, beside))
    if not first and not second:
        return ()
    if len(first) != 1 or len(second) != 1:
        raise BadSetting(f"{spec.env} and {beside.env} belong together: set one of each, or neither")
    other = Key(beside.place, beside.name, second[0], beside.prefix)
    return (Key(spec.place, spec.name, first[0], spec.prefix, other),)


def credential_origin(config: Settings, spec: KeySpec) -> tuple[str, str]:
    """Return in which variable a provider's keys were found, and where that is set; two empty texts without any."""
    _, found, place = _first_given(config, spec)
    return found, place


def several(variable: str) -> str:
    """Return the variable that holds several keys, with commas or lines between them: `.._API_KEYS`."""
    return f"{variable}S"


def _first_given(config: Settings, spec: KeySpec) -> tuple[tuple[str, ...], str, str]:
    """Return what is given under the key's name, or else under the first of its older ones that has something."""
    for variable in (spec.env, *spec.also):
        found = _given(config, variable)
        if found[0]:
            return found
    return (), "", ""


def _given(config: Settings, variable: str) -> tuple[tuple[str, ...], str, str]:
    """Return the keys' values, their variable and where it is set. An empty variable counts as none.

    One is given as the variable, in the file that `<variable>_FILE` names, or in `.env`; several the same way under
    the name in the plural. Raises BadSetting where two of these are set; only beside a sandbox, whose key stands in the
    environment, real ones may be set as well.
    """
    if config.tickfarm_sandbox_url and os.environ.get(variable):
        return (os.environ[variable],), variable, "environment"
    (one, place), (many, places) = (find_secret(name, env_file()) for name in (variable, several(variable)))
    if one and many:
        raise BadSetting(f"{variable} and {several(variable)} are both set: keep one of them")
    if one:
        return (one,), variable, place
    values = [value.strip() for line in many.splitlines() for value in line.split(",")]
    found = tuple(dict.fromkeys(value for value in values if value))
    return (found, several(variable), places) if found else ((), "", "")
