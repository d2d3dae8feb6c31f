"""Parse `Origin` and `Host` values into comparable parts; a malformed value is None, never an exception."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

_HOST = r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[^\s\x00-\x20:/?#@\[\]\\,]{1,1000})(?::(?P<port>[0-9]{1,5}))?"
_AUTHORITY = re.compile(_HOST)
_ORIGIN = re.compile(rf"(?P<scheme>https?)://{_HOST}", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """A web origin with a lower-case scheme and host and an explicit port."""

    scheme: str
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether browsers treat the host as this machine, which makes plain HTTP trustworthy."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")


def parse_origin(text: str) -> Origin | None:
    """Return the origin that an `Origin` header names; None for `null` and for a malformed value."""
    found = _ORIGIN.fullmatch(text.strip())
    return None if found is None else _origin(found["scheme"].lower(), found["host"], found["port"])


def parse_host(text: str, scheme: str) -> Origin | None:
    """Return the origin that a `Host` header names under a scheme, which decides the default port."""
    found = _AUTHORITY.fullmatch(text.strip())
    return None if found is None else _origin(scheme, found["host"], found["port"])


def _origin(scheme: str, host: str, port: str | None) -> Origin | None:
    number = int(port) if port else _DEFAULT_PORTS.get(scheme, 80)
    name = _normal(host)
    return None if name is None or not 0 < number <= 65_535 else Origin(scheme, name, number)


def _normal(host: str) -> str | None:
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1]))
        name = host.removesuffix(".")
        if not name.isascii():
            # ASGI decodes header bytes as Latin-1; a client that skips Punycode sends UTF-8.
            name = name.encode("latin-1").decode("utf-8").encode("idna").decode("ascii")
    except ValueError:
        return None
    return name.lower() or None
