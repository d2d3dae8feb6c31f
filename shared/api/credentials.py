"""Callers' credentials as the API takes them and shows them: the value goes in and never comes out."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StrictStr, ValidationInfo, field_validator

from shared.api.models import Wire
from shared.api.requests import Body

Kind = Literal["anthropic_api_key", "git", "header"]

MAX_CREDENTIALS = 100
"""Credentials that one caller can have."""

MAX_VALUE, MAX_HOSTS, MAX_HOST = 4096, 20, 253
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*")
# A value becomes a header or a password: visible ASCII, in a header with spaces inside.
_VALUE = re.compile(r"[!-~]+")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")


def _hosts(hosts: list[str]) -> list[str]:
    if len(hosts) > MAX_HOSTS:
        raise ValueError(f"may have {MAX_HOSTS} hosts")
    names = [host.lower().rstrip(".") for host in hosts]
    if any(len(name) > MAX_HOST or _HOST.fullmatch(name) is None for name in names):
        raise ValueError(
            f"should be host names of at most {MAX_HOST} characters without a port, such as git.example.com or "
            "*.example.com"
        )
    return list(dict.fromkeys(names))


class CredentialRequest(Body):
    """A credential to store."""

    kind: Kind = Field(description="`anthropic_api_key` runs jobs; `git` and `header` are for what jobs reach.")
    value: SecretStr = Field(
        description=f"The secret: 1 to {MAX_VALUE} characters of visible ASCII; a `header` may have spaces inside.",
        json_schema_extra={"type": "string", "minLength": 1, "maxLength": MAX_VALUE, "writeOnly": True},
    )
    hosts: Annotated[list[StrictStr], AfterValidator(_hosts)] = Field(
        default_factory=list,
        description="The only hosts that the value may be sent to; `*.example.com` for all below example.com. Without "
        "any, the value is sent where the job that names the credential uses it.",
        json_schema_extra={"maxItems": MAX_HOSTS, "items": {"type": "string", "maxLength": MAX_HOST}},
    )

    @field_validator("value")
    @classmethod
    def _is_usable(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        # The messages never repeat the value.
        text = value.get_secret_value()
        if not 1 <= len(text) <= MAX_VALUE:
            raise ValueError(f"should have 1 to {MAX_VALUE} characters")
        if info.data.get("kind") == "header" and _HEADER_VALUE.fullmatch(text) is None:
            raise ValueError("should be visible ASCII, without spaces at its ends and without line breaks")
        if info.data.get("kind") in {"anthropic_api_key", "git"} and _VALUE.fullmatch(text) is None:
            raise ValueError("should be visible ASCII without spaces and line breaks")
        return value


class StoredCredential(Wire):
    """A credential without its value."""

    name: str
    kind: Kind
    hosts: list[str]
    created_at: str
    updated_at: str


class CredentialList(Wire):
    """All credentials of a caller, by name."""

    credentials: list[StoredCredential]
