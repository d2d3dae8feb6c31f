"""Token usage of a run: counted message by message, and as the total that the CLI reports at its end."""

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
_TOTAL_FIELDS = {
    "input": "inputTokens",
    "output": "outputTokens",
    "cache_read": "cacheReadInputTokens",
    "cache_creation": "cacheCreationInputTokens",
}


@dataclass(slots=True)
class Meter:
    """Counts tokens by model: of complete messages, and of the message in progress.

    The run's own model has the name that the CLI's total uses, which may differ from the API's name, for example by a
    date.
    """

    _done: dict[str, dict[str, int]] = field(default_factory=dict)
    _run_model: str = ""
    _model: str = ""
    _current: dict[str, int] = field(default_factory=dict)

    def observe(self, message: Message) -> None:
        """Count the tokens that a message reports."""
        match message:
            case SystemMessage(subtype="init", data={"model": str(model)}):
                self._run_model = model
            case StreamEvent(event=event, parent_tool_use_id=None):
                self._observe_event(event, self._run_model)
            case StreamEvent(event=event):
                self._observe_event(event, "")
            case _:
                pass

    def _observe_event(self, event: dict[str, Any], run_model: str) -> None:
        match event:
            case {"type": "message_start", "message": {"model": str(model), "usage": dict(usage)}}:
                self._finish_message()
                self._model, self._current = run_model or model, _counts(usage, _FIELDS)
            case {"type": "message_delta", "usage": dict(usage)}:
                # Counts of the whole message so far; omitted counts keep their value.
                self._current |= {kind: count for kind, count in _counts(usage, _FIELDS).items() if count}
            case _:
                pass

    @property
    def spends(self) -> list[Spend]:
        """The usage so far, by model, without its cost."""
        return [Spend(model, None, **counts) for model, counts in self._sum().items()]

    def _finish_message(self) -> None:
        self._done, self._current = self._sum(), {}

    def _sum(self) -> dict[str, dict[str, int]]:
        if not self._current:
            return self._done
        before = self._done.get(self._model, {})
        both = {kind: before.get(kind, 0) + count for kind, count in self._current.items()}
        return {**self._done, self._model: both}


def spends_of_envelope(envelope: ResultMessage, model: str | None) -> list[Spend]:
    """Return the usage and cost of a run from its result envelope: by model, when the CLI reports that."""
    if envelope.model_usage:
        return [
            Spend(name, float(usage.get("costUSD") or 0), **_counts(usage, _TOTAL_FIELDS))
            for name, usage in envelope.model_usage.items()
        ]
    return [Spend(model or "unknown", envelope.total_cost_usd or 0.0, **_counts(envelope.usage or {}, _FIELDS))]


def _counts(usage: Mapping[str, Any], names: dict[str, str]) -> dict[str, int]:
    return {kind: int(usage.get(name) or 0) for kind, name in names.items()}
