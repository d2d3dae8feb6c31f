"""Checks what a run says of itself: a tool can write to the output of its CLI, so that any field may have any value."""

import re
from dataclasses import replace
from typing import Any

from claude_agent_sdk import ResultMessage

# Larger counts are no counts: JavaScript has no exact integers above.
_LARGEST = 2**53 - 1
# Anthropic's names, those of cloud providers (ARNs), and `[1m]` behind either.
_MODEL = re.compile(r"[\w.:/@\[\]-]{1,200}", re.ASCII)


def checked(envelope: ResultMessage) -> ResultMessage:
    """Return an envelope whose fields have the types that the SDK declares; a field of another type gets a default."""
    status, cost = envelope.api_error_status, envelope.total_cost_usd
    return replace(
        envelope,
        subtype=envelope.subtype if isinstance(envelope.subtype, str) else "unknown",
        is_error=envelope.is_error is not False,
        num_turns=_count(envelope.num_turns),
        duration_ms=_count(envelope.duration_ms),
        api_error_status=status if isinstance(status, int) else None,
        total_cost_usd=cost if isinstance(cost, int | float) and 0 <= cost <= _LARGEST else None,
        usage=envelope.usage if isinstance(envelope.usage, dict) else None,
        model_usage=envelope.model_usage if isinstance(envelope.model_usage, dict) else None,
    )


def name_of_model(value: Any) -> str | None:
    """Return the name of a model; None for a value that cannot be one."""
    return value if isinstance(value, str) and _MODEL.fullmatch(value) else None


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value <= _LARGEST else 0
