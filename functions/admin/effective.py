"""The settings that this process works with: each value, and where it comes from."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from shared.configuration import credentials, env_file
from shared.configuration.settings import ALL_SETTINGS, HTTP_SETTINGS
from shared.store.redis import failures

MASK = "********"


def settings() -> list[dict[str, Any]]:
    """List every variable: its value, without secrets, its source, and the processes that read it."""
    # A process keeps what it read at its start. It reads its environment once more here, which does not change.
    sources = [("environment", env_file.cleaned(dict(os.environ))), (".env", env_file.read())]
    names = sorted({name for one in ALL_SETTINGS for name in one.model_fields})
    return [_setting(name, sources) for name in names] + _credentials(sources)


def _setting(name: str, sources: list[tuple[str, dict[str, str]]]) -> dict[str, Any]:
    fields = [one.model_fields[name] for one in ALL_SETTINGS if name in one.model_fields]
    given, source = _given(name, sources)
    value = _default(fields[0]) if given is None else _shown(name, given, fields)
    read_by = ["api"] if any(name in one.model_fields for one in HTTP_SETTINGS) else []
    read_by += ["worker"] if name in ALL_SETTINGS[-1].model_fields else []
    return {"name": name.upper(), "value": value, "source": source, "readBy": read_by}


def _given(name: str, sources: list[tuple[str, dict[str, str]]]) -> tuple[str | None, str]:
    for source, variables in sources:
        for key, value in variables.items():
            if value and key.lower() == name.lower():
                return value, source
    return None, "default"


def _shown(name: str, text: str, fields: Iterable[FieldInfo]) -> str:
    """Return a value as an operator may see it: no secret, and of an address only where it leads."""
    if name == "redis_url":
        return failures.address(text)
    if any("SecretStr" in repr(field.annotation) for field in fields):
        return MASK
    if name == "budget_webhook_url":  # its path may be a secret
        return f"{urlsplit(text).scheme}://{urlsplit(text).hostname}/…"
    return text


def _default(field: FieldInfo) -> str | None:
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value == () or isinstance(value, SecretStr):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, str | int | float | Path) else None


def _credentials(sources: list[tuple[str, dict[str, str]]]) -> list[dict[str, Any]]:
    """List the credentials of the CLI that this process has; a worker on another machine may have others."""
    found = ((name, *_given(name, sources)) for name in sorted(credentials.SECRETS))
    return [
        {"name": name, "value": None if value is None else MASK, "source": source, "readBy": ["worker"]}
        for name, value, source in found
    ]
