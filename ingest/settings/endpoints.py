"""Where a provider's requests go in this farm, and with which key.

Deliberately not here: providers' own addresses (their files). Invariant: while a sandbox is set, nothing goes anywhere
else, whatever other address is set; and a key is read at each send, so that a rotated one is used by the next request.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from ingest.settings.fields import Settings, env_file
from ingest.settings.sources import find_secret
from ingest.wire import Endpoint, Key


def provider_endpoint(
    config: Settings,
    *,
    base_url: str,
    key_env: str | None,
    place: Literal["query", "header"],
    key_name: str,
) -> Endpoint:
    """Return where a provider's requests go now: `base_url` is one of `base_urls`, and gets its key."""
    value = credential(config, key_env) if key_env else ""
    return Endpoint(base_url=base_url, key=Key(place, key_name, value) if value else None)


def base_urls(config: Settings, name: str, stated: Sequence[str]) -> tuple[str, ...]:
    """Return a provider's addresses, the first choice first: the sandbox if one is set, else those set, or its own."""
    if config.tickfarm_sandbox_url:
        return (f"{config.tickfarm_sandbox_url.rstrip('/')}/{name}",)
    return config.of_provider(name).base_urls or tuple(stated)


def credential(config: Settings, variable: str) -> str:
    """Return a provider's key: from the variable, the file that `<variable>_FILE` names, or `.env`; else "".

    An empty variable counts as no key. Raises BadSetting where variable and file are both set; only beside a sandbox,
    whose key stands in the environment, a file for the real one may be set as well.
    """
    if config.tickfarm_sandbox_url and os.environ.get(variable):
        return os.environ[variable]
    return find_secret(variable, env_file())[0]
