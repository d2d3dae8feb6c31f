"""The types of settings that are written as one line of text: lists, networks, secrets and rates."""

import re
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from shared.egress import Network
from shared.webhook_secret import check_secret


def _split(value: object) -> object:
    return tuple(part for part in value.replace(",", " ").split()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A list written with commas or spaces between its items."""


Pauses = Annotated[tuple[Annotated[int, Field(ge=1, le=604_800)], ...], NoDecode, BeforeValidator(_split)]
"""Seconds, written like Names."""


def _networks(value: object) -> object:
    return tuple(ip_network(part) for part in value.replace(",", " ").split()) if isinstance(value, str) else value


Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
"""Networks in CIDR form, written like Names."""


_HOST_NAME = re.compile(r"(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*|[0-9a-f:.]*:[0-9a-f:.]*")


def _host_names(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(part.lower().strip("[]").rstrip(".") for part in value.replace(",", " ").split())
    for name in names:
        if _HOST_NAME.fullmatch(name) is None:
            raise ValueError(
                f"should hold host names such as gateway.example.com or *.example.com, without port: {name}"
            )
    return names


HostNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_host_names)]
"""Host names and addresses in lower case, `*.` before a domain for all below it, written like Names."""


def _secrets(value: object) -> object:
    return tuple(SecretStr(check_secret(part)) for part in value.split()) if isinstance(value, str) else value


Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_secrets)]
"""Webhook secrets, written with spaces between them."""


_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


def _rate(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*([1-9][0-9]{0,8})\s*/\s*(second|minute|hour|day)s?\s*", value)
    if found is None:
        raise ValueError("should be a number and a unit, such as 60/minute (second, minute, hour or day)")
    return int(found[1]), _UNITS[found[2]]


Rate = Annotated[tuple[int, int], NoDecode, BeforeValidator(_rate)]
"""How many in how many seconds, written `60/minute`."""


def check_root_path(path: str) -> str:
    """Return a path prefix without its last slash; raise ValueError for text that is none."""
    prefix = path.rstrip("/")
    segments = prefix.split("/")[1:]
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]{1,64}){0,8}", prefix) or {".", ".."} & set(segments):
        raise ValueError("should be a path such as /gateway, of letters, digits and . _ ~ - between slashes")
    if segments[:1] == ["admin"]:
        raise ValueError("should begin with another segment than admin, which is the dashboard's own")
    return prefix


def check_redis_url(url: str) -> None:
    """Raise ValueError for a URL that does not lead to Redis; the text holds nothing of it, for it may be a password's.

    A password with an unescaped `/`, `#` or `?` moves into other parts of the URL.
    """
    try:
        parts = urlsplit(url)
        places = {"redis": r"/?\d*", "rediss": r"/?\d*", "unix": "/.+"}
        fits = re.fullmatch(places.get(parts.scheme, "(?!)"), parts.path) and not parts.fragment and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            "should be redis://USER:PASSWORD@HOST:PORT/NUMBER, rediss:// or unix://, the password percent-encoded"
        )
