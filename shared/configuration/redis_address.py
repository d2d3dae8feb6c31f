"""Check REDIS_URL and REDIS_HOST, and build the URL to connect to.

No message quotes a value, because it may be a password.
"""

import re
from ipaddress import IPv6Address
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from shared.configuration.booleans import parse_boolean

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_EXAMPLE = "such as redis://127.0.0.1:6379/0"
_SCHEMES = ("redis", "rediss", "unix")
# Options of redis-py for the check of TLS. Other options would override what the gateway depends on.
_CHECK_HOSTNAME = "ssl_check_hostname"
_FLAGS = {_CHECK_HOSTNAME: ("true", "false"), "ssl_cert_reqs": ("required", "optional", "none")}
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_LONGEST_SOCKET_PATH = 107
_BY_PASSWORD = (
    "reserved characters in the user name and the password are percent-encoded (# as %23, / as %2F, ? as %3F, "  # noqa: S105
    "@ as %40, % as %25); or set REDIS_PASSWORD to the unencoded password instead"
)


def check_host(host: str) -> str:
    """Return a host name or an address, IPv6 without brackets; raises ValueError for anything else."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if "://" in host or "@" in host:
        raise ValueError("should be a host name or an address, such as redis.internal; for a URL set REDIS_URL")
    if host.startswith("/"):
        raise ValueError("should be a host name or an address; for a socket set REDIS_URL to unix:///run/redis.sock")
    if _is_ipv6(bare) or (bare == host and _HOST.fullmatch(host)):
        return bare
    if re.fullmatch(r"[^:]+:[0-9]*|\[.*\]:[0-9]*", host):
        raise ValueError("should have no port, such as redis.internal; set REDIS_PORT to the port")
    raise ValueError("should be a host name or an address, such as redis.internal, 10.0.0.5 or ::1")


def check_url(url: str) -> str:
    """Return a URL with user name and password encoded; raises ValueError for an invalid URL."""
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower()
    if not found or scheme not in _SCHEMES:
        raise ValueError(f"should begin with redis://, rediss:// (TLS) or unix:// (a socket), {_EXAMPLE}")
    if not url.isprintable() or " " in url:
        raise ValueError(f"should have no spaces or control characters, {_EXAMPLE}; {_BY_PASSWORD}")
    authority, tail = _split(rest, "/?#")
    if "@" in tail:
        raise ValueError(f"has a / ? or # before its last @; {_BY_PASSWORD}")
    user, _, place = authority.rpartition("@")
    path, query = _split(tail, "?#")
    if "#" in tail:
        raise ValueError(f"should have no #, {_EXAMPLE}; {_BY_PASSWORD}")
    options = _options(scheme, query.removeprefix("?"))
    if scheme == "unix":
        where, end = _socket(place, path), ""
    else:
        where, end = _place(place), _database(path, options)
    return f"{scheme}://{_credentials(user)}{where}{end}{'?' if options else ''}{'&'.join(options)}"


def address(url: str | None, host: str, port: int, password: str | None) -> str:
    """Return the URL to connect to, from checked values; it may contain a password, so never log it."""
    if url is None:
        place = f"[{host.replace('%', '%25')}]" if ":" in host else host
        url = f"redis://{place}:{port}/0"
    scheme, _, rest = url.partition("://")
    user, _, place = rest.rpartition("@")
    if password is None or ":" in user:
        return url
    # A separate variable, so that it can come from a secret store.
    return f"{scheme}://{user}:{quote(password, safe='')}@{place}"


def _split(text: str, ends: str) -> tuple[str, str]:
    position = min((text.find(end) for end in ends if end in text), default=len(text))
    return text[:position], text[position:]


def _is_ipv6(text: str) -> bool:
    plain, _, zone = text.partition("%")
    try:
        return bool(IPv6Address(plain)) and (not zone or _ZONE.fullmatch(zone) is not None)
    except ValueError:
        return False


def _credentials(user: str) -> str:
    """Return user name and password with reserved characters encoded, and `@`; "" without them."""
    name, colon, password = user.partition(":")
    parts = []
    for part in (name, password):
        try:
            parts.append(quote(unquote_to_bytes(part).decode(), safe=""))
        except UnicodeDecodeError:
            raise ValueError(f"has a user name or password that is not UTF-8 after decoding; {_BY_PASSWORD}") from None
    if not parts[1]:  # an empty password counts as none
        return f"{parts[0]}@" if parts[0] else ""
    return f"{parts[0]}{colon}{parts[1]}@"


def _place(place: str) -> str:
    """Return host and port."""
    inside = re.fullmatch(r"\[(.*)\](?::(.*))?", place)
    host, port = (inside[1], inside[2]) if inside else (place.partition(":")[0], place.partition(":")[2])
    if not inside and place.count(":") > 1:
        raise ValueError("should have an IPv6 address in brackets, such as redis://[::1]:6379/0")
    if not host:
        raise ValueError(
            f"should name a host, {_EXAMPLE}; a password needs an @ after it, as redis://:PASSWORD@HOST:6379/0"
        )
    if not (_is_ipv6(host.replace("%25", "%")) if inside else _HOST.fullmatch(host)):
        raise ValueError(f"should have a host name or an address as its host, {_EXAMPLE}; {_BY_PASSWORD}")
    if port and not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65_535):
        raise ValueError(f"should have a port from 1 to 65535, {_EXAMPLE}; {_BY_PASSWORD}")
    return (f"[{host}]" if inside else host) + (f":{port}" if port else "")


def _database(path: str, options: list[str]) -> str:
    if not re.fullmatch(r"/?|/[0-9]{1,5}/?", path):
        raise ValueError(f"should end with the number of the database, {_EXAMPLE}")
    number = path.strip("/")
    if number and any(option.startswith("db=") and option != f"db={number}" for option in options):
        raise ValueError("should name one database: either /0 after the port or ?db=0")
    return path


def _socket(place: str, path: str) -> str:
    if place or not path.startswith("/") or len(path) < 2:
        raise ValueError("should have the absolute path of the socket, such as unix:///run/redis.sock")
    if len(unquote_to_bytes(path)) > _LONGEST_SOCKET_PATH:
        raise ValueError(f"should have a socket path of {_LONGEST_SOCKET_PATH} bytes or fewer")
    return path


def _options(scheme: str, query: str) -> list[str]:
    """Return the options of a URL; raises ValueError for an option that is not supported."""
    found = parse_qsl(query, keep_blank_values=True)
    taken = ["db", *_FLAGS, *_FILES] if scheme == "rediss" else ["db"]
    if len({name for name, _ in found}) < len(found):
        raise ValueError("should have each option once")
    for name, value in found:
        if name in {*_FLAGS, *_FILES} and scheme != "rediss":
            raise ValueError(f"should have the option {name} with rediss:// (TLS) only")
        if name not in taken:
            raise ValueError(f"should have no options except {', '.join(taken)} after the ?")
        _check_option(name, value)
    return [f"{name}={quote(_normalized(name, value), safe='/')}" for name, value in found]


def _normalized(name: str, value: str) -> str:
    """Return the value of an option as redis-py expects it."""
    if name == _CHECK_HOSTNAME:
        return str(parse_boolean(value)).lower()
    return value.lower() if name in _FLAGS else value


def _check_option(name: str, value: str) -> None:
    if name == "db" and not re.fullmatch(r"[0-9]{1,5}", value):
        raise ValueError("should have a number as the option db, such as ?db=0")
    is_boolean = name == _CHECK_HOSTNAME and parse_boolean(value) is not None
    if name in _FLAGS and not is_boolean and value.lower() not in _FLAGS[name]:
        raise ValueError(
            f"should have {' or '.join(_FLAGS[name])} as the option {name}, such as ?{name}={_FLAGS[name][0]}"
        )
    if name in _FILES:
        try:
            found = Path(value).is_dir() if name == "ssl_ca_path" else bool(Path(value).read_bytes())
        except OSError:
            found = False
        if not found:
            kind = "directory" if name == "ssl_ca_path" else "file"
            raise ValueError(f"should name a {kind} that the gateway's user can read as the option {name}")
