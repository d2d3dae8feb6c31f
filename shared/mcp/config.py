"""The file of MCP servers: the CLI's own `mcpServers` format, with `routing` beside each server.

    {"mcpServers": {"time": {"command": "mcp-server-time", "args": [], "env": {"KEY": "${KEY}"},
                             "routing": {"examples": ["What time is it in Rome?"], "cacheable": false}}}}

The CLI receives all other fields of an entry unchanged. Only the worker replaces `${VAR}`, because the API needs no
secret of a server, and `${credential.NAME}` in headers, for each run.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from shared.api.fingerprint import digest
from shared.configuration.booleans import parse_boolean
from shared.configuration.errors import plain
from shared.mcp import references

# ${NAME} or ${NAME:-default}, as in the CLI.
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Reserved by the CLI, which loads no server with such a name from a file.
_RESERVED = frozenset(["workspace", "claude-in-chrome", "computer-use", "ide", "constructor"])


def _has_word(keyword: str) -> str:
    # A keyword without a letter or digit would match nearly every query.
    if not any(character.isalnum() for character in keyword):
        raise ValueError("should have a letter or a digit")
    return keyword


Sentence = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Keyword = Annotated[Sentence, AfterValidator(_has_word)]
_TOOL = re.compile(r"[A-Za-z0-9_./-]{1,128}")


def _is_tool(name: str) -> str:
    if not _TOOL.fullmatch(name):
        raise ValueError("should have 1 to 128 letters, digits and . _ - /")
    return name


def _is_web_address(url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://", "${")):
        raise ValueError("should begin with http:// or https://")
    return url


Tool = Annotated[str, AfterValidator(_is_tool)]


class McpConfigError(ValueError):
    """The file is invalid; the text names server and field."""


class Routing(BaseModel):
    """The rules by which a server is used, and by which its answers may be reused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field("", max_length=2000)
    examples: tuple[Sentence, ...] = ()
    keywords: tuple[Keyword, ...] = ()
    always: bool = False
    tools: tuple[Tool, ...] | None = None
    cacheable: bool = False
    required: bool = False
    enabled: bool | str = True


class Server(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Literal["stdio", "http", "sse"] = "stdio"
    command: str | None = Field(None, min_length=1)
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    url: Annotated[str | None, AfterValidator(_is_web_address)] = None
    headers: dict[str, str] = {}
    # One process, or one connection, of a slot for many runs.
    shared: bool = False
    # Milliseconds that a tool may take.
    timeout: int | None = Field(None, ge=1000)
    routing: Routing = Routing()

    @model_validator(mode="after")
    def _has_command_or_url(self) -> Self:
        if self.type == "stdio" and self.command is None:
            raise ValueError("command: is required; or type http or sse, and a url")
        if self.type != "stdio" and self.url is None:
            raise ValueError(f"url: is required with type {self.type}")
        return self

    @model_validator(mode="after")
    def _credentials_in_headers(self) -> Self:
        references.check(self.entry(), self.headers, shared=self.shared)
        return self

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names of the callers' credentials in its headers."""
        return references.names_in(self.headers)

    def entry(self) -> dict[str, Any]:
        """Return the entry for the CLI, without `routing`."""
        return self.model_dump(mode="json", exclude={"routing"}, exclude_defaults=True)


Servers = Mapping[str, Server]


def read(path: Path, environ: Mapping[str, str], *, expand: bool) -> dict[str, Server]:
    """Read the enabled servers; with `expand`, replace variables. Raises McpConfigError."""
    document = _document(path)
    entries = document.get("mcpServers") if isinstance(document, dict) else None
    if not isinstance(entries, dict):
        raise McpConfigError(f"{path}: mcpServers: should be an object")
    found = {name: _server(path, name, entry) for name, entry in entries.items()}
    enabled = {name: server for name, server in found.items() if _is_enabled(path, name, server, environ)}
    return {name: _expanded(path, name, server, environ) for name, server in enabled.items()} if expand else enabled


def digests(servers: Servers, names: Iterable[str]) -> dict[str, str]:
    """Return a digest of the configuration of each named server, without the values of its variables."""
    return {name: digest(servers[name].entry() | {"tools": servers[name].routing.tools}) for name in names}


def _document(path: Path) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise McpConfigError(f"{path} cannot be read: {error.strerror}") from None
    try:
        # UTF-16 may be valid UTF-8 with NUL between the letters, so NUL becomes an invalid byte.
        text = data.replace(b"\0", b"\xff").decode("utf-8-sig")
        return json.loads(text)
    except UnicodeDecodeError:
        raise McpConfigError(f"{path} is not UTF-8, but UTF-16 or binary data; save it as UTF-8") from None
    except ValueError as error:  # includes numbers with thousands of digits
        raise McpConfigError(f"{path} is not JSON: {error}") from None
    except RecursionError:
        raise McpConfigError(f"{path}: its values are nested too deeply") from None


def _server(path: Path, name: str, entry: Any) -> Server:
    if not _NAME.fullmatch(name):
        raise McpConfigError(f"{path}: {name[:80]!r}: should have 1 to 64 letters, digits, '_' or '-'")
    if "__" in name or name.endswith("_"):
        reason = "the CLI separates the names of server and tool with '__'"
        raise McpConfigError(f"{path}: server {name!r}: the name should not contain '__' or end in '_': {reason}")
    if name in _RESERVED:
        raise McpConfigError(f"{path}: server {name!r}: the CLI reserves this name and does not load the server")
    # For the CLI, an entry with a URL and no type is of type http.
    if isinstance(entry, dict) and "url" in entry and "type" not in entry:
        entry = {"type": "http", **entry}
    try:
        return Server.model_validate(entry)
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False, include_input=False):
            field = ".".join(_field(problem["loc"]))
            lines.append(f"{path}: server {name!r}: {field}{': ' if field else ''}{plain(problem)}")
        raise McpConfigError("\n".join(dict.fromkeys(lines))) from None


def _field(place: tuple[int | str, ...]) -> list[str]:
    """Return the path of a field, without the names of the types that pydantic tried for it."""
    names = [str(part) for part in place]
    return names[:2] if names[:2] == ["routing", "enabled"] else names


def _is_enabled(path: Path, name: str, server: Server, environ: Mapping[str, str]) -> bool:
    enabled = server.routing.enabled
    if isinstance(enabled, bool):
        return enabled
    value = parse_boolean(_fill(enabled, environ, f"{path}: server {name!r}: routing.enabled"))
    if value is None:
        raise McpConfigError(f"{path}: server {name!r}: routing.enabled: should be true or false")
    return value


def _expanded(path: Path, name: str, server: Server, environ: Mapping[str, str]) -> Server:
    def fill(value: Any, field: str) -> Any:
        match value:
            case str():
                return _fill(value, environ, f"{path}: server {name!r}: {field}")
            case dict():
                return {key: fill(item, f"{field}.{key}") for key, item in value.items()}
            case list():
                return [fill(item, f"{field}.{index}") for index, item in enumerate(value)]
            case _:
                return value

    filled = {field: fill(value, field) for field, value in server.entry().items()}
    return _server(path, name, {**filled, "type": server.type, "routing": server.routing})


def _fill(text: str, environ: Mapping[str, str], where: str) -> str:
    def value(found: re.Match[str]) -> str:
        given = environ.get(found[1]) or found[2]
        if given is None:
            raise McpConfigError(f"{where}: the variable {found[1]} is not set")
        return given

    return _VARIABLE.sub(value, text)
