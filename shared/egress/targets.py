"""The allowed targets of webhooks and of runs: public addresses, and the networks that an operator allows.

The URL of a webhook is checked at submission. Addresses are checked at each connection, because a name can resolve to
another address.
"""

import asyncio
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from shared.egress.names import look_up

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 2048

# IANA's special-purpose addresses and the metadata addresses of clouds, listed here because `is_global` differs
# between releases of Python.
REFUSED: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a carrier; one cloud's metadata is 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # metadata of another cloud
        "169.254.0.0/16",  # link-local, with most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, with one cloud's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "::/96",  # unspecified, loopback, and IPv4-compatible
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b:1::/48",  # local-use NAT64
        "100::/64",  # discard
        "2001:2::/48",  # benchmarks
        "2001:10::/28",  # ORCHID
        "2001:20::/28",  # ORCHIDv2
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # private, with some clouds' metadata
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")


class EgressRefused(Exception):
    """The target is not allowed. The text gives the reason and no address that the caller did not write."""


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a URL; `host` is a name in lower case, or an address in its canonical form."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(url: str) -> Target:
    """Return the target of a webhook's URL; raises EgressRefused for a URL that is not allowed."""
    if len(url) > MAX_URL:
        raise EgressRefused(f"should have at most {MAX_URL} characters")
    # Programs parse other characters differently, and so disagree about the host.
    if not re.fullmatch(r"[!-~]+", url) or "\\" in url:
        raise EgressRefused("should be printable ASCII without spaces; write other characters as %XX or xn--")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise EgressRefused("should be an http or https URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise EgressRefused("should be an http or https URL")
    if "@" in parts.netloc:
        raise EgressRefused("should have no user name or password")
    if port == 0:
        raise EgressRefused("should have a port from 1 to 65535")
    return Target(host_of(parts.hostname), port or (443 if parts.scheme == "https" else 80))


def host_of(written: str) -> str:
    """Return the host for a connection; raises EgressRefused for a malformed host or an unusual form of an address."""
    if ":" in written:
        try:
            found = IPv6Address(written)
        except ValueError:
            found = None
        if found is None or found.scope_id:
            raise EgressRefused("should have an IPv6 address without a zone in brackets")
        return str(found)
    name = written.removesuffix(".")
    try:
        # The C library accepts other forms: 0x7f.1, 2130706433 and 0177.0.0.1 are all 127.0.0.1.
        address = str(IPv4Address(socket.inet_aton(name)))
    except OSError:
        pass
    else:
        if address != name:
            raise EgressRefused("should have its address in the usual form, such as 192.0.2.1")
        return address
    last = name.rpartition(".")[2]
    if not _HOST.fullmatch(name) or len(name) > 253 or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last):
        raise EgressRefused("should name a host")
    return name


def _embedded(address: Address) -> Iterator[Address]:
    """Yield the addresses that packets to an address may reach."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            yield address.ipv4_mapped
            return
        if address.sixtofour:
            yield address.sixtofour
        if address.teredo:
            yield from address.teredo
        if address in _NAT64:
            yield IPv4Address(int(address) & 0xFFFFFFFF)
    yield address


def refused(address: str, allowed: Sequence[Network]) -> bool:
    """Return whether an address is refused and not in an `allowed` network."""
    return any(
        any(inner in network for network in REFUSED) and not any(inner in network for network in allowed)
        for inner in _embedded(ip_address(address.partition("%")[0]))
    )


async def resolve(target: Target, owner: str, until: float | None = None) -> list[str]:
    """Return all addresses of a target; raises OSError if it does not resolve by `until` (the event loop's time).

    `owner` is the caller of a webhook or the job of a run, see `look_up`.
    """
    with suppress(ValueError):
        return [str(ip_address(target.host))]
    if until is not None and asyncio.get_running_loop().time() >= until:
        raise TimeoutError
    async with asyncio.timeout_at(until):
        found = await look_up(target.host, target.port, owner)
    return [str(entry[4][0]) for entry in found]


def check(addresses: Iterable[str], allowed: Sequence[Network]) -> None:
    """Raise EgressRefused if any address of a target is refused, because the connection may use any of them."""
    if any(refused(address, allowed) for address in addresses):
        raise EgressRefused("resolves to an address that is not public and not in WEBHOOK_ALLOWED_NETWORKS")
