"""Every setting stands in `.env.example`, and nothing stands there that nobody reads."""

from __future__ import annotations

import re

from ingest import providers
from ingest.settings import CHECKOUT, PRESETS, ProviderSettings, Settings, several
from ingest.settings.sources import PROVIDERS, secret_names
from ingest.transport.retry import POLICIES

TEXT = (CHECKOUT / ".env.example").read_text()
LINE = re.compile(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
ONE_PROVIDERS = re.compile(rf"{PROVIDERS}__([A-Z_]+?)__([A-Z_]+)")


def test_every_setting_and_every_providers_key_stands_in_it_and_nothing_else():
    settings = {name.upper() for name in Settings.model_fields} - {PROVIDERS}
    specs = [key for key in (providers.get(name).facts.key for name in providers.names()) if key is not None]
    keys = {part.env for key in specs for part in key.parts}
    # The first provider's shows the four forms that each has: one or several keys, here or in a file.
    first = "NASDAQ_DATA_LINK_API_KEY"
    assert first in keys
    keys |= {several(first)}
    files = {f"{name}_FILE" for name in {*secret_names(Settings.model_fields), first, several(first)}}
    compose = set(re.findall(r"\$\{([A-Z_]+):\?", (CHECKOUT / "docker-compose.yml").read_text()))
    shown = {name for name, _ in LINE.findall(TEXT) if not ONE_PROVIDERS.fullmatch(name)}
    assert shown == settings | keys | files | compose


def test_every_field_of_a_provider_stands_in_it_with_a_value_that_is_accepted():
    shown = [
        (*ONE_PROVIDERS.fullmatch(name).groups(), value) for name, value in LINE.findall(TEXT) if PROVIDERS in name
    ]
    assert {name.lower() for name, _, _ in shown} <= set(providers.names())
    assert sorted(field.lower() for _, field, _ in shown) == sorted(ProviderSettings.model_fields)
    for _, field, value in shown:
        ProviderSettings.model_validate({field.lower(): value})


def test_the_presets_are_described_with_their_own_numbers():
    for preset, policy in POLICIES.items():
        waits = f"{policy.retries} retries {policy.base_s:g} to {policy.cap_s:g} s apart"
        timeout = f"{PRESETS[preset].timeout_s:g} s"
        [said] = re.findall(rf"{preset}: (.*? apart)", TEXT)
        assert waits in said, preset
        assert timeout in said, preset
        assert f"{PRESETS[preset].request_timeout_s:g} s a request" in said, preset
        assert ("half of" in said) == (PRESETS[preset].pace == 0.5), preset


def test_no_name_stands_in_it_twice_and_nothing_is_switched_on():
    names = [name for name, _ in LINE.findall(TEXT)]
    assert len(names) == len(set(names))
    assert not re.findall(r"^[^#\n]", TEXT, re.MULTILINE)


def test_the_values_shown_are_the_defaults():
    shown = {name.lower(): value for name, value in LINE.findall(TEXT)}
    for name, field in Settings.model_fields.items():
        if field.default is not None and not field.default_factory:
            default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
            assert shown[name] == default, name
