"""Names of the hosts that runs may reach: `example.com`, or `*.example.com` for every name below it.

A name is kept in lower case and without a final dot. Addresses are not names: a target is always named, so that its
certificate can be checked.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from shared.egress.targets import EgressRefused, host_of

EXPECTED = "should be a host name without scheme, port and path, such as example.com or *.example.com"
LONGEST = 253
# The form of a name, for the API's document, where `](` would make a link. The last label begins with a letter, as that
# of no address does.
_LABEL = "[A-Za-z0-9_]{1}([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
PATTERN = rf"^(\*\.)?({_LABEL}\.)*[A-Za-z]{{1}}([A-Za-z0-9_-]{{0,61}}[A-Za-z0-9_])?\.?$"


def parse(text: str) -> str:
    """Return a name or a wildcard in its canonical form; raise ValueError, which says what is wrong."""
    wildcard = "*." if text.startswith("*.") else ""
    name = text.removeprefix(wildcard)
    if not name.isascii():
        raise ValueError("should be in ASCII; write an international name in its xn-- form")
    if not re.fullmatch(r"[!-~]+", name) or ":" in name:
        raise ValueError(EXPECTED)
    try:
        host = host_of(name.lower())
    except EgressRefused:
        raise ValueError(EXPECTED) from None
    if _is_address(host):
        raise ValueError("should be a name; addresses cannot be reached")
    if len(wildcard + host) > LONGEST:
        raise ValueError(EXPECTED)
    return wildcard + host


def covers(allowed: Iterable[str], host: str) -> bool:
    """Return whether a canonical name, or all names of a canonical wildcard, are among the allowed ones.

    A wildcard stands for names of any depth below its domain, and not for the domain itself.
    """
    return any(host == one or (one.startswith("*.") and host.endswith(one[1:])) for one in allowed)


def common(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Return the names and wildcards that both lists cover."""
    shared = [host for host in first if covers(second, host)] + [host for host in second if covers(first, host)]
    return list(dict.fromkeys(shared))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
