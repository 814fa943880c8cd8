"""Every setting of the farm, typed, from the environment, `.env`, secret files, or the embedded servers' own file.

Read once, by the shells (tasks, the command); the core gets values. Deliberately not here: which providers there are
(ingest/pipeline/terms.py checks their names), retry numbers (ingest/transport/retry.py). Invariant: a secret is a
`SecretStr` and never shows in a repr or a message.
"""

from ingest.settings.endpoints import credential_origin, credentials, provider_endpoint, several
from ingest.settings.fields import Days, Settings, env_file, read_settings, settings
from ingest.settings.places import CHECKOUT, home, servers_file
from ingest.settings.presets import PRESETS, Preset, PresetNumbers, ProviderSettings
from ingest.settings.sources import BadSetting, find_secret, origin

__all__ = [
    "CHECKOUT",
    "PRESETS",
    "BadSetting",
    "Days",
    "Preset",
    "PresetNumbers",
    "ProviderSettings",
    "Settings",
    "credential_origin",
    "credentials",
    "env_file",
    "find_secret",
    "home",
    "origin",
    "provider_endpoint",
    "read_settings",
    "servers_file",
    "settings",
    "several",
]
