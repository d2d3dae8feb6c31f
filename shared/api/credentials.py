"""Callers' credentials as the API takes them and shows them: the value goes in and never comes out."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, StrictStr

from shared.api.models import Wire
from shared.api.requests import Body

Kind = Literal["anthropic_api_key", "git", "header"]

MAX_CREDENTIALS = 100
"""Credentials that one caller can have."""

MAX_VALUE, MAX_HOSTS, MAX_HOST = 4096, 20, 253
_LABEL = "[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
_HOST = rf"^(\*\.)?{_LABEL}(\.{_LABEL})*\.?$"
# A value becomes a header or a password: visible ASCII with spaces inside.
_VALUE = "^[!-~]+( +[!-~]+)*$"


def _value(value: SecretStr) -> SecretStr:
    """Hold a value to its limits. The messages never repeat it."""
    text = value.get_secret_value()
    if not 1 <= len(text) <= MAX_VALUE:
        raise ValueError(f"should have 1 to {MAX_VALUE} characters")
    if re.fullmatch(_VALUE, text) is None:
        raise ValueError("should be visible ASCII, without spaces at its ends and without line breaks")
    return value


def _hosts(hosts: list[str]) -> list[str]:
    if len(hosts) > MAX_HOSTS:
        raise ValueError(f"may have {MAX_HOSTS} hosts")
    if any(len(host) > MAX_HOST or re.fullmatch(_HOST, host) is None for host in hosts):
        raise ValueError(
            f"should be host names of at most {MAX_HOST} characters without a port, such as git.example.com or "
            "*.example.com"
        )
    return list(dict.fromkeys(host.lower().rstrip(".") for host in hosts))


class CredentialRequest(Body):
    """A credential to store."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "anthropic_api_key", "value": "sk-ant-api03-example"},
                {"kind": "git", "value": "example-token", "hosts": ["git.example.com"]},
            ]
        }
    )

    kind: Kind = Field(description="`anthropic_api_key` runs jobs; `git` and `header` are for what jobs reach.")
    value: Annotated[SecretStr, AfterValidator(_value)] = Field(
        description=f"The secret: 1 to {MAX_VALUE} characters of visible ASCII, with spaces inside only.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_VALUE, "pattern": _VALUE},
    )
    hosts: Annotated[list[StrictStr], AfterValidator(_hosts)] = Field(
        default_factory=list,
        description="The only hosts that the value may be sent to; `*.example.com` for all below example.com. Without "
        "any, the value is sent where the job that names the credential uses it.",
        json_schema_extra={"maxItems": MAX_HOSTS, "items": {"type": "string", "maxLength": MAX_HOST, "pattern": _HOST}},
    )


class StoredCredential(Wire):
    """A credential without its value."""

    name: str
    kind: Kind
    hosts: list[str]
    created_at: str
    updated_at: str
    last_used_at: str | None = Field(description="The minute of the last start of a job that used it.")


class CredentialList(Wire):
    """All credentials of a caller, by name."""

    credentials: list[StoredCredential]
