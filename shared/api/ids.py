"""Identifiers of jobs and requests, and names of credentials."""

import os
import re
import time
from typing import Annotated

from pydantic import Field, StrictStr

CREDENTIAL_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
CredentialName = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=CREDENTIAL_NAME)]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


def new_id() -> str:
    """Return a UUID of version 7 (RFC 9562) with a fraction of the millisecond, so that ids sort by creation time."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    random = int.from_bytes(os.urandom(8))
    fraction = (rest << 12) // 1_000_000  # units of 244 ns: less than it takes to make an id
    value = (milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | (random & (1 << 62) - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_id(text: str) -> bool:
    """Return whether a text is an id of the gateway: a lower-case UUID of version 4 or 7."""
    return _UUID.match(text) is not None
