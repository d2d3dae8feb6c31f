"""The environment variables of the gateway, read once and frozen: one class for each way to run.

A field is the variable's name in lower case. Values come from the environment or from `.env`; an empty
variable counts as unset. `load` turns what is wrong into one `SettingsError` that names the variable.
"""

import os
from functools import cache, cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self, TypeVar
from urllib.parse import quote, urlsplit

from dotenv import dotenv_values
from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.mcp_config import McpConfigError, Servers
from shared.mcp_config import read as read_servers
from shared.setting_types import HostNames, Names, Networks, Pauses, Rate, Secrets, check_root_path

# Characters that a password of the dashboard has at least.
MIN_PASSWORD = 12


@cache
def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    return host == "localhost" or (host != "" and _parsed(host) is not None and ip_address(host).is_loopback)


def _parsed(host: str) -> object:
    try:
        return ip_address(host)
    except ValueError:
        return None


class SettingsError(Exception):
    """One or more variables cannot be used; the text names each and says what it should be."""


class CommonSettings(BaseSettings):
    """What every process reads: where Redis is and how to log."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    redis_url: SecretStr | None = None
    redis_host: str = "127.0.0.1"
    redis_port: int = Field(6379, ge=1, le=65535)
    redis_password: SecretStr | None = None
    host: str = "127.0.0.1"
    auth_enabled: bool | None = None
    allowed_hosts: HostNames = ()
    metrics_enabled: bool = False
    demo_model: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"

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
        url = f"redis://{self.redis_host}:{self.redis_port}/0"
        if self.redis_url is not None:
            url = self.redis_url.get_secret_value()
        if self.redis_password is None or urlsplit(url).password is not None:
            return url
        # Apart from the URL, so that the secret alone can come from where secrets are kept.
        scheme, _, rest = url.partition("://")
        user, _, place = rest.rpartition("@")
        return f"{scheme}://{user.removesuffix(':')}:{quote(self.redis_password.get_secret_value(), safe='')}@{place}"


def _given() -> dict[str, str]:
    """Return the variables of `.env` and of the environment, which wins; none that is empty, as for the settings."""
    both = [*dotenv_values(".env").items(), *os.environ.items()]
    return {name: value for name, value in both if value}


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
                self._servers = read_servers(self.mcp_config, _given(), expand=isinstance(self, WorkerSettings))
            except McpConfigError as error:
                raise ValueError("\n".join(f"MCP_CONFIG: {line}" for line in str(error).splitlines())) from None
        return self


class SubmitSettings(McpSettings):
    """What `functions.submit` reads; sizes are bytes, `claude_timeout` ms, the other times s."""

    max_query_bytes: int = Field(262_144, ge=1)
    max_body_bytes: int = Field(1_048_576, ge=1)
    max_queue_depth: int = Field(10_000, ge=1)
    claude_timeout: int = Field(120_000, ge=1000, le=86_400_000)
    claude_model: str | None = None
    claude_models: Names = ()
    claude_tools: Names = ()
    max_budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    cache_ttl: int = Field(3600, ge=0)
    dedup_enabled: bool = False
    result_ttl: int = Field(86_400, ge=1)
    rate_limit: Rate | None = None
    daily_budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    webhook_allowed_networks: Networks = ()


class StatusSettings(CommonSettings):
    """What `functions.status` reads; `metrics_auth` says whether a scrape needs a caller's key, unset as `auth` does.

    An answer with events ends after `sse_max_seconds`; 0 for no limit but Lambda's own. `admin_enabled` says whether
    the start page links to the dashboard.
    """

    admin_enabled: bool = False
    metrics_auth: bool | None = None
    sse_max_seconds: int = Field(0, ge=0)
    daily_budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False)


class WebhookSettings(CommonSettings):
    """What `functions.webhook` reads."""


class AdminSettings(CommonSettings):
    """What `functions.admin` reads; times in s."""

    admin_enabled: bool = False
    admin_username: str = "admin"
    admin_password: SecretStr | None = None
    admin_viewer_password: SecretStr | None = None
    max_body_bytes: int = Field(1_048_576, ge=1)
    result_ttl: int = Field(86_400, ge=1)

    @field_validator("admin_password", "admin_viewer_password")
    @classmethod
    def _long_enough(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None and len(password.get_secret_value()) < MIN_PASSWORD:
            raise ValueError(f"should have {MIN_PASSWORD} characters or more")
        return password

    @model_validator(mode="after")
    def _door_has_a_lock(self) -> Self:
        if self.admin_enabled and self.admin_password is None:
            raise ValueError(f"ADMIN_PASSWORD: is needed with ADMIN_ENABLED, with {MIN_PASSWORD} characters or more")
        same = self.admin_viewer_password is not None and self.admin_viewer_password == self.admin_password
        if same:
            raise ValueError("ADMIN_VIEWER_PASSWORD: should be another than ADMIN_PASSWORD")
        return self


class WorkerSettings(McpSettings):
    """What the worker reads; `claude_timeout` and `claude_silence_timeout` in ms, the other times in s, sizes in bytes.

    `ecs_agent_uri` is ECS's own, where a task asks for protection.
    """

    queue_concurrency: int = Field(5, ge=1, le=1000)
    claude_command: str | None = None
    claude_model: str | None = None
    claude_timeout: int = Field(120_000, ge=1000, le=86_400_000)
    claude_max_retries: int = Field(3, ge=1, le=100)
    claude_warm: bool = True
    claude_silence_timeout: int = Field(60_000, ge=1000, le=86_400_000)
    max_budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    daily_budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    max_output_bytes: int = Field(4_194_304, ge=1024)
    max_run_memory: int = Field(2_147_483_648, ge=1 << 20)
    max_run_processes: int = Field(256, ge=1)
    spool_dir: Path | None = None
    ecs_agent_uri: str | None = None
    result_ttl: int = Field(86_400, ge=1)
    session_ttl: int = Field(604_800, ge=1)
    webhook_secret: Secrets = ()
    webhook_retry_schedule: Pauses = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
    webhook_allowed_networks: Networks = ()
    webhook_disable_after: int = Field(432_000, ge=1)
    shutdown_grace: int = Field(110, ge=0)


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
        lines = []
        for problem in error.errors(include_url=False, include_context=False):
            if not problem["loc"]:  # of several variables together: the message names them
                lines.append(problem["msg"].removeprefix("Value error, "))
                continue
            name = str(problem["loc"][0]).upper()
            # A secret's value stays out of the message; the others help to find the typing error.
            given = (
                ""
                if "SECRET" in name or "PASSWORD" in name or name == "REDIS_URL"
                else f" (it is {problem['input']!r})"
            )
            lines.append(f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]}{given}")
        raise SettingsError("\n".join(lines)) from None
