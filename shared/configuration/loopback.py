"""Addresses that only this machine can reach."""

from functools import cache
from ipaddress import ip_address


@cache
def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    return host == "localhost" or (host != "" and _parsed(host) is not None and ip_address(host).is_loopback)


def _parsed(host: str) -> object:
    try:
        return ip_address(host)
    except ValueError:
        return None
