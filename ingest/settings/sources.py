"""Where settings are written: which names there are, secrets given as files, and which place a value came from.

Deliberately not here: the settings themselves (fields). Invariant: no message repeats a value, which may be a secret;
it names the setting, the place it was found in, and what is accepted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, get_args

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from ingest.errors import FixRequest
from ingest.settings.places import servers_file
from ingest.settings.presets import ProviderSettings

PREFIX: Final = "TICKFARM_"
PROVIDERS: Final = "TICKFARM_PROVIDERS"
#: Names with our prefix that are no settings: read before any (state folder, `.env`), or by the set-up script alone.
OTHER_NAMES: Final = ("TICKFARM_HOME", "TICKFARM_ENV_FILE", "TICKFARM_NO_UV")
#: A typing error or a word left out is this alike.
_NEAR: Final = 0.75


class BadSetting(FixRequest):
    """A setting that can't be: the farm does not start with it. The message is one line and holds no value."""


def written_in(file: Path | None) -> Mapping[str, str]:
    """Return what stands in `.env`, without what is left empty; read again only when the file has changed."""
    if file is None or not file.exists():
        return {}
    try:
        return _parsed(file, file.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadSetting(f"can't read the settings in {file}: {why}") from None


@lru_cache(maxsize=1)
def _parsed(path: Path, _changed_ns: int) -> Mapping[str, str]:
    return {name.upper(): value for name, value in dotenv_values(path).items() if value}


def _in_environment(*wanted: str) -> dict[str, str]:
    """Return these variables by their names in capitals, all where none is named; empty ones are not set."""
    names = (name for name in os.environ if not wanted or name.upper() in wanted)  # decoding values is most of the work
    return {name.upper(): value for name in names if (value := os.environ[name])}


def check_names(fields: Collection[str], file: Path | None) -> None:
    """Raise BadSetting for names with our prefix that nobody reads, in the environment or `.env`.

    `fields` are the settings' names in capitals. Which providers there are is not known here: any name will do.
    """
    places = (("environment", _in_environment()), (_name_of(file), written_in(file)))
    wrong = [
        f"{_what_is_wrong(name, fields)} ({place})"
        for place, names in places
        for name in sorted(names)
        if name.startswith(PREFIX) and not _is_known(name, fields)
    ]
    if wrong:
        raise BadSetting("; ".join(wrong))


def _is_known(name: str, fields: Collection[str]) -> bool:
    if name in OTHER_NAMES or (name in fields and name != PROVIDERS):
        return True
    parts = name.split("__")
    return len(parts) == 3 and parts[0] == PROVIDERS and bool(parts[1]) and parts[2].lower() in _provider_fields()


def _provider_fields() -> list[str]:
    return list(ProviderSettings.model_fields)


def _what_is_wrong(name: str, fields: Collection[str]) -> str:
    parts = name.split("__")
    if parts[0] == PROVIDERS:
        accepted = ", ".join(field.upper() for field in _provider_fields())
        if len(parts) == 3 and parts[1]:
            [field] = get_close_matches(parts[2].lower(), _provider_fields(), n=1, cutoff=_NEAR) or [""]
            meant = f" (did you mean {'__'.join((*parts[:2], field.upper()))}?)" if field else ""
            return f"{name} is no setting{meant}; accepted for a provider: {accepted}"
        return f"{name} is no setting; accepted: {PROVIDERS}__<NAME>__<FIELD>, a field being one of {accepted}"
    accepted_names = sorted({*fields, *OTHER_NAMES} - {PROVIDERS})
    near = get_close_matches(name, [one for one in accepted_names if one.startswith(PREFIX)], n=1, cutoff=_NEAR)
    if near:
        return f"{name} is no setting (did you mean {near[0]}?); .env.example lists them all"
    return f"{name} is no setting; accepted: {', '.join(accepted_names)}, {PROVIDERS}__<NAME>__<FIELD>"


def _name_of(file: Path | None) -> str:
    """Return how people know the file: `.env`, or the path that TICKFARM_ENV_FILE named."""
    return ".env" if file is None or file.name == ".env" else str(file)


def secret_names(fields: Mapping[str, FieldInfo]) -> list[str]:
    """Return the settings that are secrets, in capitals."""
    return [name.upper() for name, field in fields.items() if SecretStr in get_args(field.annotation)]


def find_secret(name: str, file: Path | None) -> tuple[str, str]:
    """Return a secret's value and where it was found; two empty texts when it is not set.

    It is given as NAME or as NAME_FILE, a file's path, in the environment or `.env`. Raises BadSetting where both are
    given, wherever: which one was meant can't be known; and for a file that can't be read.
    """
    names = name, f"{name}_FILE"
    environment, written = _in_environment(*names), written_in(file)
    given = [name for name in names if name in environment or name in written]
    if len(given) > 1:
        raise BadSetting(f"{given[0]} and {given[1]} are both set: keep one of them")
    if not given:
        return "", ""
    place = "environment" if given[0] in environment else _name_of(file)
    value = environment.get(given[0]) or written[given[0]]
    return (value, place) if given[0] == name else (read_secret(given[0], Path(value)), f"file {value}")


def read_secret(name: str, path: Path) -> str:
    """Return what stands in the file a variable names, without the line's end.

    Raises BadSetting without the path if it can't: who mistook the variable has put the secret itself there.
    """
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no text"
        raise BadSetting(f"{name} is not valid: expected the path of a file with the value in it ({why})") from None
    if not value:
        raise BadSetting(f"{name} is not valid: expected the path of a file with the value in it (it is empty)")
    return value


class SecretFiles(PydanticBaseSettingsSource):
    """The source of settings that are given as NAME_FILE."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value in the file, if one is named."""
        found = ("", "")
        if field_name.upper() in secret_names({field_name: field}):
            file = self.config.get("env_file")
            found = find_secret(field_name.upper(), file if isinstance(file, Path) else None)
        return (found[0] if found[1].startswith("file ") else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return every value that is given this way."""
        fields: Iterable[tuple[str, FieldInfo]] = self.settings_cls.model_fields.items()
        values = {name: self.get_field_value(field, name)[0] for name, field in fields}
        return {name: value for name, value in values.items() if value is not None}


def origin(name: str, file: Path | None, *, is_secret: bool = False) -> str:
    """Return where a setting's value comes from: environment, file .., .env, embedded or default."""
    if is_secret and (found := find_secret(name, file)[1]):
        return found
    if _in_environment(name):
        return "environment"
    if name in written_in(file):
        return _name_of(file)
    return "embedded" if name.lower() in _embedded() else "default"


def _embedded() -> Mapping[str, Any]:
    try:
        addresses: Mapping[str, Any] = json.loads(servers_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return addresses


def explain(error: ValidationError, classes: type[BaseSettings]) -> str:
    """Say which settings are wrong and what is accepted; never what was given, which may hold a password."""
    file = classes.model_config.get("env_file")
    said = []
    for one in error.errors(include_input=False, include_url=False):
        name = "__".join(str(part) for part in one["loc"]).upper()
        expected = re.sub("^(Value error, |Input should be )", "", str(one["msg"]))
        expected = expected if expected.startswith("expected") else f"expected {expected}"
        place = origin(
            name, file if isinstance(file, Path) else None, is_secret=name in secret_names(classes.model_fields)
        )
        said.append(f"{name} is not valid: {expected} ({place})")
    return "; ".join(said)
