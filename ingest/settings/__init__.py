"""Every setting of the farm, typed, from the environment, `.env`, secret files, or the embedded servers' own file.

Read once, by the shells (tasks, the command); the core gets values. Deliberately not here: which providers there are
(ingest/pipeline/terms.py checks their names), retry numbers (ingest/transport/retry.py). Invariant: a secret is a
`SecretStr` and never shows in a repr or a message.
"""

from ingest.settings.buckets import BucketAddress
from ingest.settings.endpoints import base_urls, credential_origin, credentials, provider_endpoint, several
from ingest.settings.fields import Days, Settings, env_file, read_settings, settings
from ingest.settings.places import CHECKOUT, home, servers_file
from ingest.settings.presets import (
    LONGEST_REQUEST_S,
    MOST_PER_HOST,
    PRESETS,
    Preset,
    PresetNumbers,
    ProviderSettings,
    parse_limits,
)
from ingest.settings.sources import BadSetting, find_secret, origin

__all__ = [
    "CHECKOUT",
    "LONGEST_REQUEST_S",
    "MOST_PER_HOST",
    "PRESETS",
    "BadSetting",
    "BucketAddress",
    "Days",
    "Preset",
    "PresetNumbers",
    "ProviderSettings",
    "Settings",
    "base_urls",
    "credential_origin",
    "credentials",
    "env_file",
    "find_secret",
    "home",
    "origin",
    "parse_limits",
    "provider_endpoint",
    "read_settings",
    "servers_file",
    "settings",
    "several",
]
