"""Every setting of the farm, typed, from the environment, `.env`, or the embedded servers' own file.

Read once, by the shells (tasks, cli); the core gets values. Order: environment, `.env` (or the file
that `TICKFARM_ENV_FILE` names), then `servers.json` in the state folder, which the embedded servers write while they
run, so that a plain `celery -A tasks ..` in another terminal finds them. Invariant: a secret is a `SecretStr` and
never shows in a repr.
"""

from __future__ import annotations

import os
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from ingest.wire import Endpoint, Key

CHECKOUT = Path(__file__).resolve().parent.parent
MIB = 1024 * 1024
_DATABASE_SCHEMES = ("postgresql+psycopg2", "postgresql", "postgres")
_REDIS_SCHEMES = ("redis", "rediss")


def home() -> Path:
    """Return the state folder: `TICKFARM_HOME`, or `.tickfarm/` in the checkout."""
    return Path(os.environ.get("TICKFARM_HOME") or CHECKOUT / ".tickfarm").resolve()


def servers_file() -> Path:
    """Return where the embedded servers write their addresses (mode 0600; gone when they stop)."""
    return home() / "servers.json"


class Settings(BaseSettings):
    """The farm's settings. Field names are the variables' names in lower case (see .env.example)."""

    model_config = SettingsConfigDict(
        env_file=Path(os.environ.get("TICKFARM_ENV_FILE") or CHECKOUT / ".env"),
        env_ignore_empty=True,  # `DATABASE_URL=` is how people unset a line of .env
        hide_input_in_errors=True,  # addresses hold passwords
        extra="ignore",
        frozen=True,
    )

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    tickfarm_sandbox_url: str | None = None
    tickfarm_transport: Literal["auto", "curl", "requests"] = "auto"
    tickfarm_archive_dir: Path | None = None
    #: seconds a whole batch of requests may take; below the task's soft time limit
    tickfarm_fetch_deadline_s: float = Field(default=30.0, gt=0, le=60)
    tickfarm_max_answer_bytes: int = Field(default=32 * MIB, ge=1024)
    tickfarm_max_inflight_bytes: int = Field(default=256 * MIB, ge=MIB)
    tickfarm_connections: int = Field(default=64, ge=1, le=800)
    tickfarm_flower_port: int = Field(default=5555, ge=0, le=65535)
    tickfarm_sandbox_port: int = Field(default=8700, ge=0, le=65535)
    tickfarm_log_format: Literal["auto", "json", "text"] = "auto"
    #: False lets a benchmark go as fast as the sandbox answers; real providers are always paced
    tickfarm_pace: bool = True

    @field_validator("database_url")
    @classmethod
    def _with_our_driver(cls, value: SecretStr | None) -> SecretStr | None:
        """Take the short spellings too: for SQLAlchemy `postgresql://` alone would mean a driver we don't have."""
        if value is None:
            return None
        scheme, mark, rest = value.get_secret_value().partition("://")
        if not mark or scheme not in _DATABASE_SCHEMES:
            raise ValueError("expected an address like postgresql://user:password@host:5432/database")
        return SecretStr(f"{_DATABASE_SCHEMES[0]}://{rest}")

    @field_validator("redis_url")
    @classmethod
    def _of_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value().partition("://")[0] not in _REDIS_SCHEMES:
            raise ValueError("expected an address like redis://:password@host:6379/0")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the embedded servers' file behind everything a person wrote."""
        embedded = JsonConfigSettingsSource(settings_cls, json_file=servers_file())
        return init_settings, env_settings, dotenv_settings, embedded

    @property
    def archive_dir(self) -> Path:
        """Return where raw answers are archived."""
        return self.tickfarm_archive_dir or home() / "archive"


@cache
def settings() -> Settings:
    """Return the process's settings, read once."""
    return Settings()


def provider_endpoint(
    config: Settings,
    *,
    name: str,
    base_url: str,
    key_env: str | None,
    place: Literal["query", "header"],
    key_name: str,
) -> Endpoint:
    """Return where a provider's requests go now: the sandbox if one is set, with its key if there is one."""
    value = credential(key_env) if key_env else ""
    base = f"{config.tickfarm_sandbox_url.rstrip('/')}/{name}" if config.tickfarm_sandbox_url else base_url
    return Endpoint(base_url=base, key=Key(place, key_name, value) if value else None)


def credential(variable: str) -> str:
    """Return a provider's key: from the variable, the file that `<variable>_FILE` names, or `.env`; else "".

    Read at each send, so that a rotated key is used by the next request. An empty variable counts as no key.
    """
    value = os.environ.get(variable, "")
    file = os.environ.get(f"{variable}_FILE", "")
    if not value and file:
        value = Path(file).read_text(encoding="utf-8").strip()
    return value or _written().get(variable, "")


def _written() -> dict[str, str]:
    """Return what stands in `.env`, read again only when the file changed."""
    path = Settings.model_config.get("env_file")
    if not isinstance(path, Path) or not path.exists():
        return {}
    return _parsed(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _parsed(path: Path, _changed_ns: int) -> dict[str, str]:
    return {name: value for name, value in dotenv_values(path).items() if value}
