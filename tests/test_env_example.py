"""Every setting stands in `.env.example`, and nothing stands there that nobody reads."""

from __future__ import annotations

import re

from ingest import providers
from ingest.settings import CHECKOUT, Settings

TEXT = (CHECKOUT / ".env.example").read_text()
LINE = re.compile(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def test_every_setting_and_every_providers_key_stands_in_it_and_nothing_else():
    settings = {name.upper() for name in Settings.model_fields}
    keys = {key.env for key in (providers.get(name).facts.key for name in providers.names()) if key is not None}
    compose = set(re.findall(r"\$\{([A-Z_]+):\?", (CHECKOUT / "docker-compose.yml").read_text()))
    assert {name for name, _ in LINE.findall(TEXT)} == settings | keys | compose


def test_no_name_stands_in_it_twice_and_nothing_is_switched_on():
    names = [name for name, _ in LINE.findall(TEXT)]
    assert len(names) == len(set(names))
    assert not re.findall(r"^[^#\n]", TEXT, re.MULTILINE)


def test_the_values_shown_are_the_defaults():
    shown = {name.lower(): value for name, value in LINE.findall(TEXT)}
    for name, field in Settings.model_fields.items():
        if field.default is not None:
            default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
            assert shown[name] == default, name
