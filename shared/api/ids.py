"""Identifiers of jobs and requests, and names of credentials."""

import os
import re
import time
from typing import Annotated

from pydantic import Field, StrictStr

CREDENTIAL_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
CredentialName = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=CREDENTIAL_NAME)]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
# The first digit of the fourth group: the two bits of the variant, and two random ones.
_VARIANT = {f"{digit:x}": f"{0b1000 | digit & 0b11:x}" for digit in range(16)}


def new_id() -> str:
    """Return a UUID of version 7 (RFC 9562) with a fraction of the millisecond, so that ids sort by creation time."""
    # Milliseconds in 12 digits and their fraction in 3, in units of 244 ns: less than it takes to make an id.
    now = f"{(time.time_ns() << 12) // 1_000_000:015x}"
    random = os.urandom(8).hex()
    return f"{now[:8]}-{now[8:12]}-7{now[12:]}-{_VARIANT[random[0]]}{random[1:4]}-{random[4:]}"


def is_id(text: str) -> bool:
    """Return whether a text is an id of the gateway: a lower-case UUID of version 4 or 7."""
    return _UUID.match(text) is not None
