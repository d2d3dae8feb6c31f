"""What a run has spent so far, as the API tells it message by message; the CLI's own sum comes at its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from claude_agent_sdk import ResultMessage, StreamEvent, SystemMessage
from claude_agent_sdk.types import Message

from shared.store.callers.spending import Spend

_FIELDS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_creation": "cache_creation_input_tokens",
}
_SUMMED = {
    "input": "inputTokens",
    "output": "outputTokens",
    "cache_read": "cacheReadInputTokens",
    "cache_creation": "cacheCreationInputTokens",
}


@dataclass(slots=True)
class Meter:
    """Tokens by model: of the messages that are whole, and of the one that is being written.

    The run's own model has the name that the CLI's sum gives it, which the API's may differ from: by a date, say.
    """

    _done: dict[str, dict[str, int]] = field(default_factory=dict)
    _own: str = ""
    _model: str = ""
    _now: dict[str, int] = field(default_factory=dict)

    def look(self, message: Message) -> None:
        """Take down what a message tells of tokens."""
        match message:
            case SystemMessage(subtype="init", data={"model": str(model)}):
                self._own = model
            case StreamEvent(event=event, parent_tool_use_id=None):
                self._look(event, self._own)
            case StreamEvent(event=event):
                self._look(event, "")
            case _:
                pass

    def _look(self, event: dict[str, Any], own: str) -> None:
        match event:
            case {"type": "message_start", "message": {"model": str(model), "usage": dict(usage)}}:
                self._take_over()
                self._model, self._now = own or model, _counts(usage, _FIELDS)
            case {"type": "message_delta", "usage": dict(usage)}:
                # Of the whole message so far; what it leaves out stands.
                self._now |= {kind: count for kind, count in _counts(usage, _FIELDS).items() if count}
            case _:
                pass

    @property
    def spends(self) -> list[Spend]:
        """What has been spent, by model; nobody has said what it costs."""
        return [Spend(model, None, **counts) for model, counts in self._sum().items()]

    def _take_over(self) -> None:
        self._done, self._now = self._sum(), {}

    def _sum(self) -> dict[str, dict[str, int]]:
        if not self._now:
            return self._done
        before = self._done.get(self._model, {})
        both = {kind: before.get(kind, 0) + count for kind, count in self._now.items()}
        return {**self._done, self._model: both}


def of_envelope(envelope: ResultMessage, model: str | None) -> list[Spend]:
    """Return what a run cost by its own sum: by model, where the CLI tells that."""
    if envelope.model_usage:
        return [
            Spend(name, float(told.get("costUSD") or 0), **_counts(told, _SUMMED))
            for name, told in envelope.model_usage.items()
        ]
    return [Spend(model or "unknown", envelope.total_cost_usd or 0.0, **_counts(envelope.usage or {}, _FIELDS))]


def _counts(told: Mapping[str, Any], names: dict[str, str]) -> dict[str, int]:
    return {kind: int(told.get(name) or 0) for kind, name in names.items()}
