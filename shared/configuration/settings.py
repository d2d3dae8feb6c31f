"""The environment variables of the gateway, read once and frozen: one class for each way to run.

A field is the variable's name in lower case. Values come from the environment or from `.env`; an empty
variable counts as unset. `load` turns what is wrong into one `SettingsError` that names the variable.
"""

import os
from functools import cache, cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from shared.configuration import env_file, redis_address
from shared.configuration.errors import SettingsError as SettingsError  # noqa: PLC0414 -- for all that read settings
from shared.configuration.errors import setting_problems
from shared.configuration.sources import TextSettings
from shared.configuration.types import (
    HostNames,
    ListenHost,
    LogFormat,
    LogLevel,
    Names,
    Networks,
    Pauses,
    PrivateKeys,
    PublicKey,
    Rate,
    RedisHost,
    Secrets,
    check_root_path,
)
from shared.mcp.config import McpConfigError, Servers
from shared.mcp.config import read as read_servers

# Characters that a password of the dashboard has at least.
MIN_PASSWORD = 12
# Ten years, and half of what a value in Redis can hold: larger ones are typing errors that fail at a job's end.
MAX_SECONDS, MAX_BYTES = 315_360_000, 1 << 28


@cache
def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    return host == "localhost" or (host != "" and _parsed(host) is not None and ip_address(host).is_loopback)


def _parsed(host: str) -> object:
    try:
        return ip_address(host)
    except ValueError:
        return None


class CommonSettings(TextSettings):
    """What every process reads: where Redis is and how to log."""

    redis_url: SecretStr | None = None
    redis_host: RedisHost = "127.0.0.1"
    redis_port: int = Field(6379, ge=1, le=65535)
    redis_password: SecretStr | None = None
    host: ListenHost = "127.0.0.1"
    auth_enabled: bool | None = None
    allowed_hosts: HostNames = ()
    metrics_enabled: bool = False
    demo_model: bool = False
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "json"

    @model_validator(mode="before")
    @classmethod
    def _without_unused(cls, given: Any) -> Any:
        # REDIS_URL replaces both, so it does not matter what they hold: Kubernetes sets REDIS_PORT=tcp://… by itself.
        unused = {"redis_host", "redis_port"} if isinstance(given, dict) and given.get("redis_url") else set()
        return {name: value for name, value in given.items() if name not in unused} if unused else given

    @field_validator("redis_url")
    @classmethod
    def _is_redis_url(cls, url: SecretStr | None) -> SecretStr | None:
        return None if url is None else SecretStr(redis_address.check_url(url.get_secret_value()))

    @cached_property
    def auth(self) -> bool:
        """Whether callers need a key: unless switched off by name, wherever others than this machine could call."""
        if self.auth_enabled is not None:
            return self.auth_enabled
        # Lambda names its function in each of its environments.
        return "AWS_LAMBDA_FUNCTION_NAME" in os.environ or not is_loopback(self.host)

    @cached_property
    def redis_address(self) -> str:
        """The URL to connect to, which may hold a password: never log it."""
        url = None if self.redis_url is None else self.redis_url.get_secret_value()
        password = None if self.redis_password is None else self.redis_password.get_secret_value()
        return redis_address.address(url, self.redis_host, self.redis_port, password)


class McpSettings(CommonSettings):
    """Where the MCP servers are written down, and what stands there."""

    mcp_enabled: bool = False
    mcp_config: Path = Path("mcp.json")
    _servers: Servers = PrivateAttr(default_factory=dict)

    @property
    def servers(self) -> Servers:
        """The servers of MCP_CONFIG that are enabled; none without MCP_ENABLED."""
        return self._servers

    @model_validator(mode="after")
    def _read_servers(self) -> Self:
        if self.mcp_enabled:
            try:
                self._servers = read_servers(self.mcp_config, env_file.given(), expand=isinstance(self, WorkerSettings))
            except McpConfigError as error:
                raise ValueError("\n".join(f"MCP_CONFIG: {line}" for line in str(error).splitlines())) from None
        return self


class SubmitSettings(McpSettings):
    """What `functions.submit` reads; sizes are bytes, `claude_timeout` ms, the other times s."""

    max_query_bytes: int = Field(262_144, ge=1, le=MAX_BYTES)
    max_body_bytes: int = Field(1_048_576, ge=1, le=MAX_BYTES)
    max_queue_depth: int = Field(10_000, ge=1, le=1_000_000_000)
    claude_timeout: int = Field(120_000, ge=1000, le=86_400_000)
    claude_model: str | None = None
    claude_models: Names = ()
    claude_tools: Names = ()
    max_budget_usd: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)
    cache_ttl: int = Field(3600, ge=0, le=MAX_SECONDS)
    dedup_enabled: bool = False
    result_ttl: int = Field(86_400, ge=1, le=MAX_SECONDS)
    rate_limit: Rate | None = None
    daily_budget_usd: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)
    webhook_allowed_networks: Networks = ()


class StatusSettings(CommonSettings):
    """What `functions.status` reads; `metrics_auth` says whether a scrape needs a caller's key, unset as `auth` does.

    An answer with events ends after `sse_max_seconds`; 0 for no limit but Lambda's own. `admin_enabled` says whether
    the start page links to the dashboard.
    """

    admin_enabled: bool = False
    metrics_auth: bool | None = None
    sse_max_seconds: int = Field(0, ge=0, le=MAX_SECONDS)
    daily_budget_usd: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)


class WebhookSettings(CommonSettings):
    """What `functions.webhook` reads."""


class AdminSettings(CommonSettings):
    """What `functions.admin` reads; times in s."""

    admin_enabled: bool = False
    admin_username: str = "admin"
    admin_password: SecretStr | None = None
    admin_viewer_password: SecretStr | None = None
    max_body_bytes: int = Field(1_048_576, ge=1, le=MAX_BYTES)
    result_ttl: int = Field(86_400, ge=1, le=MAX_SECONDS)

    @field_validator("admin_password", "admin_viewer_password")
    @classmethod
    def _long_enough(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        # Nobody can use the password of a dashboard that is off, which should not stop a start.
        used = info.data.get("admin_enabled", False)
        if used and password is not None and len(password.get_secret_value()) < MIN_PASSWORD:
            raise ValueError(f"should have {MIN_PASSWORD} characters or more")
        return password

    @model_validator(mode="after")
    def _door_has_a_lock(self) -> Self:
        if self.admin_enabled and self.admin_password is None:
            raise ValueError(f"ADMIN_PASSWORD: is needed with ADMIN_ENABLED, with {MIN_PASSWORD} characters or more")
        same = (
            self.admin_enabled
            and self.admin_viewer_password is not None
            and self.admin_viewer_password == self.admin_password
        )
        if same:
            raise ValueError("ADMIN_VIEWER_PASSWORD: should be another than ADMIN_PASSWORD")
        return self


class CredentialsSettings(CommonSettings):
    """What `functions.credentials` reads; without `credentials_public_key` no credential can be stored."""

    credentials_public_key: PublicKey | None = None
    max_body_bytes: int = Field(1_048_576, ge=1, le=MAX_BYTES)


class WorkerSettings(McpSettings):
    """What the worker reads; `claude_timeout` and `claude_silence_timeout` in ms, the other times in s, sizes in bytes.

    `ecs_agent_uri` is ECS's own, where a task asks for protection. The first of `credentials_private_key` is the
    current one; the others open what was sealed before a rotation.
    """

    queue_concurrency: int = Field(5, ge=1, le=1000)
    claude_command: str | None = None
    claude_model: str | None = None
    claude_timeout: int = Field(120_000, ge=1000, le=86_400_000)
    claude_max_retries: int = Field(3, ge=1, le=100)
    claude_warm: bool = True
    claude_silence_timeout: int = Field(60_000, ge=1000, le=86_400_000)
    max_budget_usd: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)
    daily_budget_usd: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)
    max_output_bytes: int = Field(4_194_304, ge=1024, le=MAX_BYTES)
    max_run_memory: int = Field(2_147_483_648, ge=1 << 20, le=1 << 50)
    max_run_processes: int = Field(256, ge=1, le=4_194_304)
    spool_dir: Path | None = None
    ecs_agent_uri: str | None = None
    result_ttl: int = Field(86_400, ge=1, le=MAX_SECONDS)
    session_ttl: int = Field(604_800, ge=1, le=MAX_SECONDS)
    webhook_secret: Secrets = ()
    webhook_retry_schedule: Pauses = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
    webhook_allowed_networks: Networks = ()
    webhook_disable_after: int = Field(432_000, ge=1, le=MAX_SECONDS)
    credentials_private_key: PrivateKeys = ()
    shutdown_grace: int = Field(110, ge=0, le=86_400)


class ProxySettings(CommonSettings):
    """What serving HTTP behind proxies reads.

    `trusted_proxies` are the peers whose `X-Forwarded-*` headers count. `root_path` is the prefix of the public URL.
    """

    trusted_proxies: Networks = ()
    root_path: str | None = None

    @field_validator("root_path")
    @classmethod
    def _is_prefix(cls, path: str | None) -> str | None:
        return None if path is None else check_root_path(path)


class ApiSettings(CommonSettings):
    """What serving HTTP on this machine reads; `max_connections` is for each process, `keep_alive_timeout` in s."""

    port: int = Field(3000, ge=0, le=65535)
    web_concurrency: int = Field(1, ge=1, le=64)
    keep_alive_timeout: int = Field(75, ge=1, le=3600)
    max_connections: int | None = Field(None, ge=1, le=1_000_000)


# What a process reads that serves HTTP and runs no job; the worker's ask for the MCP servers' secrets too.
HTTP_SETTINGS: tuple[type[CommonSettings], ...] = (
    SubmitSettings,
    StatusSettings,
    WebhookSettings,
    AdminSettings,
    CredentialsSettings,
    ProxySettings,
    ApiSettings,
)
ALL_SETTINGS: tuple[type[CommonSettings], ...] = (*HTTP_SETTINGS, WorkerSettings)

T = TypeVar("T", bound=CommonSettings)


@cache
def load(settings: type[T]) -> T:
    """Read the settings of one class, once in a process; raise SettingsError when one cannot be used."""
    try:
        return settings()
    except ValidationError as error:
        raise SettingsError("\n".join(setting_problems(error, settings))) from None


def load_all(*classes: type[CommonSettings]) -> None:
    """Read several classes; raise one SettingsError with every line of theirs."""
    lines: dict[str, None] = {}
    for settings in classes:
        try:
            load(settings)
        except SettingsError as error:
            lines |= dict.fromkeys(str(error).splitlines())
    if lines:
        raise SettingsError("\n".join(lines))
