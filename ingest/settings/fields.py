"""Every setting, typed, with its default and what is accepted; and reading them all, once a process.

Order: environment, `.env` (or the file that `TICKFARM_ENV_FILE` names), files that hold secrets (`NAME_FILE`), then
`servers.json` in the state folder, which the embedded servers write while they run: so a plain `celery -A tasks ..` in
another terminal finds them. Invariant: what can't be read as it was meant is refused, never replaced by a default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from ingest.settings.buckets import BucketAddress, bucket_address
from ingest.settings.places import CHECKOUT, home, servers_file
from ingest.settings.presets import LONGEST_TIMEOUT_S, MOST_PER_HOST, PRESETS, Preset, ProviderSettings, web_address
from ingest.settings.sources import BadSetting, SecretFiles, check_names, explain, written_in

MIB = 1024 * 1024
_DATABASE_SCHEMES = ("postgresql+psycopg2", "postgresql", "postgres")
_REDIS_SCHEMES = ("redis", "rediss")
Days = Annotated[int, Field(ge=0, le=36_500)]
Share = Annotated[Decimal, Field(ge=0, le=1)]


class Settings(BaseSettings):
    """The farm's settings. Field names are the variables' names in lower case (see .env.example)."""

    model_config = SettingsConfigDict(
        env_file=Path(os.environ.get("TICKFARM_ENV_FILE") or CHECKOUT / ".env"),
        env_ignore_empty=True,  # `DATABASE_URL=` is how people unset a line of .env
        hide_input_in_errors=True,  # addresses hold passwords
        env_nested_delimiter="__",  # TICKFARM_PROVIDERS__<NAME>__<FIELD>
        extra="ignore",
        frozen=True,
    )

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    tickfarm_sandbox_url: str | None = None
    tickfarm_transport: Literal["auto", "curl", "requests"] = "auto"
    tickfarm_archive_dir: Path | None = None
    #: a bucket in place of the folder (see buckets.py)
    tickfarm_archive_url: str | None = None
    #: timeout, retries and pace of every provider that has none of its own
    tickfarm_preset: Preset = "standard"
    tickfarm_providers: Mapping[str, ProviderSettings] = Field(default_factory=dict)
    #: seconds a whole batch of requests may take, where the provider has no timeout of its own; None: its preset's
    tickfarm_fetch_deadline_s: float | None = Field(default=None, gt=0, le=LONGEST_TIMEOUT_S)
    tickfarm_max_answer_bytes: int = Field(default=32 * MIB, ge=1024)
    tickfarm_max_inflight_bytes: int = Field(default=256 * MIB, ge=MIB)
    tickfarm_connections: int = Field(default=64, ge=1, le=800)
    #: of all processes together, by leases in Redis
    tickfarm_most_connections: int = Field(default=5000, ge=1, le=100_000)
    #: what beat reads in place of beat_schedule.py
    tickfarm_schedule_file: Path | None = None
    tickfarm_flower_port: int = Field(default=5555, ge=0, le=65535)
    #: where a browser finds Flower; None: at the dashboard's own host, by its port
    tickfarm_flower_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    tickfarm_sandbox_port: int = Field(default=8700, ge=0, le=65535)
    tickfarm_dashboard_host: str = "127.0.0.1"
    tickfarm_dashboard_port: int = Field(default=8000, ge=0, le=65535)
    #: what a write needs; None: the dashboard writes nothing
    tickfarm_dashboard_token: SecretStr | None = Field(default=None, min_length=16)
    #: auto: on loopback only
    tickfarm_dashboard_writes: Literal["auto", "on", "off"] = "auto"
    #: other sites whose pages may read /v1, with commas between them
    tickfarm_dashboard_origins: str | None = None
    #: where alerts go: addresses as Apprise reads them (mailto://, slack://, json://), with commas between them
    tickfarm_alert_urls: SecretStr | None = None
    #: settled months as files, in the state folder: what long reads of files come from; 0: none are kept
    tickfarm_export_cache_mb: int = Field(default=1024, ge=0)
    #: what the farm's figures are held against: share of good answers, their latency, requests a second; 0: no target
    tickfarm_target_success: Share = Decimal("0.99")
    tickfarm_target_p95_ms: float = Field(default=100, ge=0)
    tickfarm_target_requests_s: float = Field(default=0, ge=0)
    tickfarm_log_level: Literal["debug", "info", "warning", "error"] = "info"
    tickfarm_log_format: Literal["auto", "json", "text"] = "auto"
    #: what a worker and beat touch every few seconds, for a container's probes
    tickfarm_heartbeat_file: Path | None = None
    #: False lets a benchmark go as fast as the sandbox answers; real providers are always paced
    tickfarm_pace: bool = True
    #: how far two providers' bars may differ before it is a finding, of the larger value; 1: not compared
    tickfarm_tolerance_coins: Share = Decimal("0.02")
    tickfarm_tolerance_money: Share = Decimal("0.01")
    tickfarm_tolerance_shares: Share = Decimal("0.005")
    tickfarm_tolerance_volume: Share = Decimal("0.25")
    #: days that things are kept, 0: for ever. What each costs, and why its default is what it is: .env.example
    tickfarm_keep_bars_days: Days = 0
    tickfarm_keep_trades_days: Days = 30
    tickfarm_keep_quotes_days: Days = 90
    tickfarm_keep_books_days: Days = 30
    tickfarm_keep_news_days: Days = 0
    tickfarm_keep_observations_days: Days = 0
    tickfarm_keep_posts_days: Days = 0
    tickfarm_keep_actions_days: Days = 0
    tickfarm_keep_jobs_days: Days = 3
    tickfarm_keep_fetch_log_days: Days = 30
    tickfarm_keep_findings_days: Days = 90
    tickfarm_keep_revisions_days: Days = 0
    tickfarm_keep_archive_days: Days = 30
    tickfarm_keep_dead_letters_days: Days = 90
    tickfarm_keep_provider_events_days: Days = 90

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
        if value is None:
            return None
        address = value.get_secret_value()
        scheme = address.partition("://")[0]
        if scheme not in _REDIS_SCHEMES:
            raise ValueError("expected an address like redis://:password@host:6379/0")
        # Celery refuses an encrypted address that does not say whether certificates are checked, at the first result.
        if scheme == "rediss" and "ssl_cert_reqs=" not in address:
            return SecretStr(f"{address}{'&' if '?' in address else '?'}ssl_cert_reqs=required")
        return value

    @field_validator("tickfarm_sandbox_url")
    @classmethod
    def _of_a_sandbox(cls, value: str | None) -> str | None:
        return None if value is None else web_address(value)

    @field_validator("tickfarm_archive_url")
    @classmethod
    def _of_a_bucket(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            bucket_address(value)
            if info.data.get("tickfarm_archive_dir") is not None:
                raise ValueError("expected only one of it and TICKFARM_ARCHIVE_DIR")
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
        return init_settings, env_settings, dotenv_settings, SecretFiles(settings_cls), embedded

    def log_level(self, otherwise: str) -> str:
        """Return the level that was set; where none was, this one."""
        return self.tickfarm_log_level if "tickfarm_log_level" in self.model_fields_set else otherwise

    def of_provider(self, name: str) -> ProviderSettings:
        """Return what is set for a provider by itself."""
        return self.tickfarm_providers.get(name) or ProviderSettings()

    def preset_of(self, name: str) -> Preset:
        """Return the preset that a provider takes its numbers from."""
        return self.of_provider(name).preset or self.tickfarm_preset

    def timeout_s(self, name: str) -> float:
        """Return how long a batch of a provider may take: its own, the farm's, or its preset's."""
        own, shared = self.of_provider(name).timeout_s, self.tickfarm_fetch_deadline_s
        return own or shared or PRESETS[self.preset_of(name)].timeout_s

    def request_timeout_s(self, name: str) -> float:
        """Return how long one request of a provider may take, where the request itself says nothing."""
        return self.of_provider(name).request_timeout_s or PRESETS[self.preset_of(name)].request_timeout_s

    def connections(self, name: str) -> int:
        """Return how many connections one process may have to a provider."""
        return min(self.of_provider(name).connections or MOST_PER_HOST, self.tickfarm_connections)

    def pace(self, name: str) -> float:
        """Return the share of a provider's stated limits that the farm uses: over 0, 1 at most."""
        return self.of_provider(name).pace or PRESETS[self.preset_of(name)].pace

    @property
    def archive_dir(self) -> Path:
        """Return the folder in which raw answers are archived."""
        return self.tickfarm_archive_dir or home() / "archive"

    @property
    def archive_bucket(self) -> BucketAddress | None:
        """Return the bucket in which they are archived instead; None: in the folder."""
        return None if self.tickfarm_archive_url is None else bucket_address(self.tickfarm_archive_url)


@cache
def settings() -> Settings:
    """Return the process's settings, read once. Raises BadSetting as `read_settings` does."""
    return read_settings()


def read_settings() -> Settings:
    """Read every setting anew. Raises BadSetting, one line that names each wrong setting and what is accepted."""
    file = env_file()
    if file is not None and os.environ.get("TICKFARM_ENV_FILE") and not file.exists():
        raise BadSetting(f"TICKFARM_ENV_FILE is not valid: there is no file {file}")
    written_in(file)  # pydantic's own words for a file it can't read are a traceback
    check_names([name.upper() for name in Settings.model_fields], file)
    try:
        return Settings()
    except ValidationError as error:
        raise BadSetting(explain(error, Settings)) from None


def env_file() -> Path | None:
    """Return the file that stands for `.env`; it need not be there."""
    file = Settings.model_config.get("env_file")
    return file if isinstance(file, Path) else None
