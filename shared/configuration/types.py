"""Types of settings in one line of text: lists, networks, secrets and rates."""

import base64
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from shared.api.approvals import PATTERN
from shared.configuration.redis_address import check_host
from shared.egress.targets import EgressRefused, Network, parse
from shared.webhook_secret import check_secret


def _split(value: object) -> object:
    return tuple(part for part in value.replace(",", " ").split()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A list, with commas or spaces between its items."""


def _patterns(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch(PATTERN, name) for name in names):
        raise ValueError("should be names of tools, * for any text, such as Bash,mcp__*")
    return names


ToolPatterns = Annotated[Names, AfterValidator(_patterns)]
"""Names of tools with wildcards, in the format of Names."""


_MAX_PAUSE = 604_800


def _pauses(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = value.replace(",", " ").split()
    if any(not re.fullmatch(r"[0-9]{1,6}", part) or not 1 <= int(part) <= _MAX_PAUSE for part in parts):
        raise ValueError(f"should be whole numbers of seconds from 1 to {_MAX_PAUSE}, such as 5,300,1800")
    return tuple(int(part) for part in parts)


Pauses = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_pauses)]
"""A list of seconds, in the format of Names."""


def _networks(value: object) -> object:
    return tuple(_network(part) for part in value.replace(",", " ").split()) if isinstance(value, str) else value


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        wider = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("should be addresses or networks, such as 10.0.0.1,172.16.0.0/12,fd00::/8") from None
    raise ValueError(f"should be networks without host bits, such as {wider}")


# Paths of which a sandbox has its own version.
_OWN_PLACES = {"/proc", "/dev", "/sys", "/work", "/config", "/tmp", "/run", "/home/claude", "/etc", "/opt/claude"}  # noqa: S108


def _read_paths(value: object) -> object:
    return tuple(_read_path(part) for part in value.replace(",", " ").split()) if isinstance(value, str) else value


def _read_path(text: str) -> Path:
    place = Path(text)
    if not place.is_absolute() or ".." in place.parts or place == Path("/"):
        raise ValueError("should be absolute paths of directories, such as /opt/toolchain")
    if str(place) in _OWN_PLACES:
        raise ValueError(f"should not be {place}, which every sandbox has of its own")
    return place


ReadPaths = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_read_paths)]
"""Directories that runs may read, written like Names."""


Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
"""A list of networks in CIDR form, in the format of Names."""


_HOST_NAME = re.compile(r"(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*|[0-9a-f:.]*:[0-9a-f:.]*")


def _host_names(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(part.lower().strip("[]").rstrip(".") for part in value.replace(",", " ").split())
    for name in names:
        if _HOST_NAME.fullmatch(name) is None:
            raise ValueError("should be host names without port, such as gateway.example.com or *.example.com")
    return names


HostNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_host_names)]
"""A list of host names and addresses; `*.` before a domain stands for all its subdomains."""


def _secrets(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(SecretStr(check_secret(part)) for part in value.split())
    except ValueError:
        raise ValueError(
            "should be whsec_ followed by base64 of 24 to 64 bytes, such as the output of openssl rand -base64 32; "
            "several secrets are separated by spaces"
        ) from None


Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_secrets)]
"""Webhook secrets, separated by spaces."""


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except ValueError:
        return False


def _public_key(value: object) -> object:
    if isinstance(value, str) and not _is_key(value.strip()):
        raise ValueError("should be base64 of 32 bytes, as claude-gateway credentials key-pair prints it")
    return value.strip() if isinstance(value, str) else value


PublicKey = Annotated[str, BeforeValidator(_public_key)]
"""The key that credentials are sealed with."""


def _private_keys(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not all(_is_key(part) for part in value.split()):
        raise ValueError(
            "should be base64 of 32 bytes, as claude-gateway credentials key-pair prints it; several are separated by "
            "spaces"
        )
    return tuple(SecretStr(part) for part in value.split())


PrivateKeys = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_private_keys)]
"""Keys that open credentials, written with spaces between them."""


_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


def rate(value: object) -> object:
    """Parse a rate, such as `60/minute`, as a number and seconds; raise ValueError."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*([1-9][0-9]{0,8})\s*/\s*(second|minute|hour|day)s?\s*", value)
    if found is None:
        raise ValueError("should be a number and a unit, such as 60/minute (second, minute, hour or day)")
    return int(found[1]), _UNITS[found[2]]


Rate = Annotated[tuple[int, int], NoDecode, BeforeValidator(rate)]
"""A number per unit of time, such as `60/minute`; as a number and seconds."""


def _webhook_url(url: str) -> str:
    try:
        parse(url)
    except EgressRefused as refusal:
        raise ValueError(str(refusal)) from None
    return url


WebhookUrl = Annotated[str, AfterValidator(_webhook_url)]
"""The URL of a webhook."""


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]
LogFormat = Annotated[Literal["json", "text"], BeforeValidator(_lower)]

RedisHost = Annotated[str, AfterValidator(check_host)]


def _listen_host(host: str) -> str:
    try:
        return check_host(host)
    except ValueError:
        raise ValueError(
            "should be one address or name of this machine, without port, such as 127.0.0.1, ::1 or 0.0.0.0 for all; "
            "set PORT to the port"
        ) from None


ListenHost = Annotated[str, AfterValidator(_listen_host)]


def check_root_path(path: str) -> str:
    """Return a path prefix without its last slash; raises ValueError for any other text."""
    prefix = path.rstrip("/")
    segments = prefix.split("/")[1:]
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]{1,64}){0,8}", prefix) or {".", ".."} & set(segments):
        raise ValueError("should be a path such as /gateway, of letters, digits and . _ ~ - between slashes")
    if segments[:1] == ["admin"]:
        raise ValueError("should not begin with the segment admin, which is the dashboard")
    return prefix


def _public_url(url: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]{1,255}(/[A-Za-z0-9._~/-]{0,200})?", url):
        raise ValueError("should be the URL at which people reach the gateway, such as https://gateway.example.com")
    return url.rstrip("/")


PublicUrl = Annotated[str, AfterValidator(_public_url)]
"""The URL of the gateway for people: scheme, host and, behind a proxy, the prefix."""
