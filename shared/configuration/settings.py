"""The environment variables of the gateway, read once and frozen: one class for each kind of process.

A field is the variable's name in lower case. Values come from the environment or from `.env`; an empty variable counts
as unset. `load` raises one `SettingsError` that names every invalid variable.
"""

import os
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator

from shared.configuration import env_file, redis_address
from shared.configuration.admin_fields import AdminFields
from shared.configuration.agents import AgentFields
from shared.configuration.errors import SettingsError as SettingsError  # noqa: PLC0414 -- exported for all modules that read settings
from shared.configuration.errors import setting_problems
from shared.configuration.files_address import FilesFields
from shared.configuration.loopback import is_loopback
from shared.configuration.run_network import HostSettings, RunNetworkSettings
from shared.configuration.skills import SkillFields
from shared.configuration.traces import TraceFields
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
    PublicUrl,
    Rate,
    ReadPaths,
    RedisHost,
    Secrets,
    ToolPatterns,
    WebhookUrl,
    check_root_path,
)
from shared.mcp.config import McpConfigError, Servers, digests
from shared.mcp.config import read as read_servers

# Ten years, and half of the maximum size of a Redis value: larger values are typing errors and would fail later.
MAX_SECONDS, MAX_BYTES = 315_360_000, 1 << 28


class CommonSettings(TraceFields):
    """Settings of every process: the address of Redis, logging, and traces."""

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
        # REDIS_URL replaces both, so invalid values do not matter: Kubernetes sets REDIS_PORT=tcp://… automatically.
        unused = {"redis_host", "redis_port"} if isinstance(given, dict) and given.get("redis_url") else set()
        return {name: value for name, value in given.items() if name not in unused} if unused else given

    @field_validator("redis_url")
    @classmethod
    def _is_redis_url(cls, url: SecretStr | None) -> SecretStr | None:
        return None if url is None else SecretStr(redis_address.check_url(url.get_secret_value()))

    @cached_property
    def auth(self) -> bool:
        """Whether callers need a key: AUTH_ENABLED or, if unset, whether other machines could call."""
        if self.auth_enabled is not None:
            return self.auth_enabled
        # Lambda sets this variable in every function.
        return "AWS_LAMBDA_FUNCTION_NAME" in os.environ or not is_loopback(self.host)

    @cached_property
    def redis_address(self) -> str:
        """The URL to connect to. It may contain a password, so never log it."""
        url = None if self.redis_url is None else self.redis_url.get_secret_value()
        password = None if self.redis_password is None else self.redis_password.get_secret_value()
        return redis_address.address(url, self.redis_host, self.redis_port, password)


class McpSettings(CommonSettings):
    """Settings of MCP servers, and the servers of MCP_CONFIG."""

    mcp_enabled: bool = False
    mcp_config: Path = Path("mcp.json")
    mcp_learn: bool = False
    _servers: Servers = PrivateAttr(default_factory=dict)
    _digests: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def servers(self) -> Servers:
        """The enabled servers of MCP_CONFIG; none without MCP_ENABLED."""
        return self._servers

    @property
    def server_digests(self) -> Mapping[str, str]:
        """The digest of each server's entry, as all processes with this file compute it."""
        return self._digests

    @model_validator(mode="after")
    def _read_servers(self) -> Self:
        if self.mcp_enabled:
            try:
                self._servers = read_servers(self.mcp_config, env_file.given(), expand=False)
                self._digests = digests(self._servers, self._servers)
                if isinstance(self, WorkerSettings):
                    self._servers = read_servers(self.mcp_config, env_file.given(), expand=True)
            except McpConfigError as error:
                raise ValueError("\n".join(f"MCP_CONFIG: {line}" for line in str(error).splitlines())) from None
        return self


class SubmitSettings(McpSettings, HostSettings, AgentFields, SkillFields):
    """Settings of functions that accept submissions; sizes in bytes, `claude_timeout` in ms, other times in s."""

    max_query_bytes: int = Field(262_144, ge=1, le=MAX_BYTES)
    max_body_bytes: int = Field(1_048_576, ge=1, le=MAX_BYTES)
    max_queue_depth: int = Field(10_000, ge=1, le=1_000_000_000)
    caller_max_waiting: int | None = Field(None, ge=1, le=1_000_000_000)
    caller_max_bytes: int = Field(67_108_864, ge=1, le=1 << 50)
    claude_timeout: int = Field(120_000, ge=1000, le=86_400_000)
    claude_model: str | None = None
    claude_models: Names = ()
    claude_tools: Names = ()
    always_ask_tools: ToolPatterns = ()
    session_ttl: int = Field(604_800, ge=1, le=MAX_SECONDS)
    max_budget_usd: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)
    cache_ttl: int = Field(3600, ge=0, le=MAX_SECONDS)
    dedup_enabled: bool = False
    result_ttl: int = Field(86_400, ge=1, le=MAX_SECONDS)
    rate_limit: Rate | None = None
    daily_budget_usd: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)
    webhook_allowed_networks: Networks = ()
    usage_tag: str | None = Field(None, max_length=64)


class DecisionSettings(CommonSettings):
    """Settings of the routes of `functions.submit` that decide calls."""

    audit_ttl: int = Field(31_536_000, ge=1, le=MAX_SECONDS)
    max_body_bytes: int = Field(1_048_576, ge=1, le=MAX_BYTES)


class StatusSettings(CommonSettings):
    """Settings of `functions.status`.

    `metrics_auth` is whether `/metrics` requires a caller's key; if unset, as `auth`. An event stream ends after
    `sse_max_seconds`; 0 for no limit except Lambda's own. With `admin_enabled` the start page links to the dashboard.
    """

    admin_enabled: bool = False
    metrics_auth: bool | None = None
    sse_max_seconds: int = Field(0, ge=0, le=MAX_SECONDS)
    daily_budget_usd: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)


class WebhookSettings(CommonSettings):
    """Settings of `functions.webhook`."""


class AdminSettings(McpSettings, AdminFields):
    """Settings of `functions.admin`; times in s."""

    daily_budget_usd: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)
    max_queue_depth: int = Field(10_000, ge=1, le=1_000_000_000)
    max_body_bytes: int = Field(1_048_576, ge=1, le=MAX_BYTES)
    result_ttl: int = Field(86_400, ge=1, le=MAX_SECONDS)
    audit_ttl: int = Field(31_536_000, ge=1, le=MAX_SECONDS)


class CredentialsSettings(CommonSettings):
    """The settings of `functions.credentials`; without `credentials_public_key` no credential can be stored."""

    credentials_public_key: PublicKey | None = None
    audit_ttl: int = Field(31_536_000, ge=1, le=MAX_SECONDS)
    max_body_bytes: int = Field(1_048_576, ge=1, le=MAX_BYTES)


class FilesSettings(CommonSettings, FilesFields):
    """Settings of `functions.files`; sizes in bytes."""

    max_body_bytes: int = Field(1_048_576, ge=1, le=MAX_BYTES)


class WorkerSettings(McpSettings, RunNetworkSettings, FilesFields, AgentFields, SkillFields):
    """Settings of the worker; `claude_timeout` and `claude_silence_timeout` in ms, other times in s, sizes in bytes.

    `ecs_agent_uri` is set by ECS; the worker requests task protection there. The first of `credentials_private_key` is
    the current key; the others open what was sealed before a rotation.
    """

    queue_concurrency: int = Field(5, ge=1, le=1000)
    claude_command: str | None = None
    claude_model: str | None = None
    claude_models: Names = ()
    claude_tools: Names = ()
    always_ask_tools: ToolPatterns = ()
    claude_timeout: int = Field(120_000, ge=1000, le=86_400_000)
    caller_max_active: int | None = Field(None, ge=1, le=1_000_000)
    claude_max_retries: int = Field(3, ge=1, le=100)
    claude_warm: bool = True
    claude_silence_timeout: int = Field(60_000, ge=1000, le=86_400_000)
    max_budget_usd: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)
    daily_budget_usd: float | None = Field(None, gt=0, le=1_000_000, allow_inf_nan=False)
    max_output_bytes: int = Field(4_194_304, ge=1024, le=MAX_BYTES)
    max_run_memory: int = Field(2_147_483_648, ge=1 << 20, le=1 << 50)
    max_run_processes: int = Field(256, ge=1, le=4_194_304)
    run_sandbox: Literal["auto", "required", "off"] = "auto"
    run_read_paths: ReadPaths = ()
    max_workspace_bytes: int = Field(1_073_741_824, ge=1 << 20, le=1 << 50)
    spool_dir: Path | None = None
    ecs_agent_uri: str | None = None
    result_ttl: int = Field(86_400, ge=1, le=MAX_SECONDS)
    session_ttl: int = Field(604_800, ge=1, le=MAX_SECONDS)
    webhook_secret: Secrets = ()
    webhook_retry_schedule: Pauses = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
    webhook_allowed_networks: Networks = ()
    budget_webhook_url: WebhookUrl | None = None
    public_url: PublicUrl | None = None
    webhook_disable_after: int = Field(432_000, ge=1, le=MAX_SECONDS)
    credentials_private_key: PrivateKeys = ()
    shutdown_grace: int = Field(110, ge=0, le=86_400)


class ProxySettings(CommonSettings):
    """Settings for HTTP behind proxies.

    `trusted_proxies` are the peers whose `X-Forwarded-*` headers count. `root_path` is the prefix of the public URL.
    """

    trusted_proxies: Networks = ()
    root_path: str | None = None

    @field_validator("root_path")
    @classmethod
    def _is_prefix(cls, path: str | None) -> str | None:
        return None if path is None else check_root_path(path)


class ApiSettings(CommonSettings):
    """Settings of the HTTP server; `max_connections` is per process, `keep_alive_timeout` in s."""

    port: int = Field(3000, ge=0, le=65535)
    web_concurrency: int = Field(1, ge=1, le=64)
    keep_alive_timeout: int = Field(75, ge=1, le=3600)
    max_connections: int | None = Field(None, ge=1, le=1_000_000)


# Settings of a process that serves HTTP and runs no jobs. The worker's also need the secrets of MCP servers.
HTTP_SETTINGS: tuple[type[CommonSettings], ...] = (
    SubmitSettings,
    DecisionSettings,
    StatusSettings,
    WebhookSettings,
    AdminSettings,
    CredentialsSettings,
    FilesSettings,
    ProxySettings,
    ApiSettings,
)
ALL_SETTINGS: tuple[type[CommonSettings], ...] = (*HTTP_SETTINGS, WorkerSettings)

T = TypeVar("T", bound=CommonSettings)


@cache
def load(settings: type[T]) -> T:
    """Read the settings of a class, once per process; raises SettingsError for invalid settings."""
    try:
        return settings()
    except ValidationError as error:
        raise SettingsError("\n".join(setting_problems(error, settings))) from None


def load_all(*classes: type[CommonSettings]) -> None:
    """Read several classes; raises one SettingsError with the lines of all."""
    lines: dict[str, None] = {}
    for settings in classes:
        try:
            load(settings)
        except SettingsError as error:
            lines |= dict.fromkeys(str(error).splitlines())
    if lines:
        raise SettingsError("\n".join(lines))
