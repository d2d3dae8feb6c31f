"""The report of a run, from which its outcome is judged."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from claude_agent_sdk import ResultMessage

from functions.worker.cli.usage import Meter, spends_of_envelope
from functions.worker.relay.run import RelayedRun
from shared.api.vocabulary import ErrorCode
from shared.store.callers.spending import Spend
from shared.store.jobs.pauses import Question

# Failed requests that are kept of one attempt.
MOST_REQUESTS = 50


@dataclass(frozen=True, slots=True)
class Structured:
    """The answer of a run with an outputSchema: JSON, if it `fits` the schema."""

    fits: bool
    value: Any = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the runs of the same attempt have seen before their pauses; `duration` in ms."""

    text: str = ""
    turns: int = 0
    requests: int = 0
    duration: int = 0
    spends: tuple[Spend, ...] = ()
    # Messages to the job that the model has received.
    messages: int = 0


@dataclass(slots=True)
class Report:
    """The observations of a run; `structured` is None unless a schema was given.

    `text` is the answer: all text blocks of the last message that has any (see `answer_text`). `structured_input` is
    the input of the model's StructuredOutput call with its exact digits. A run that `is_free` costs nothing, whatever
    the CLI computes: the demo model answers.

    `absent` are the MCP servers that did not start or died; `truncated` the tools whose results were cut; `shown` the
    failed requests to Claude that the CLI reports. `relayed` is the relay's complete account of them.

    `failure` is set when something other than the CLI ended the run, with a `message` where the code says too little.
    `error_kind`, `error_status` and, when the API
    sent one, `retry_after` (ms) describe an API error.
    """

    envelope: ResultMessage | None = None
    # The answer reached the limit of its tokens, and is complete as far as it goes.
    is_cut: bool = False
    # The calls of the client's tools with which the model ended its message, and the run ended.
    calls: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    error_kind: str | None = None
    retry_after: int | None = None
    model: str | None = None
    failure: ErrorCode | None = None
    message: str = ""
    absent: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()
    shown: list[dict[str, Any]] = field(default_factory=list)
    relayed: RelayedRun | None = None
    text: str = ""
    text_bytes: int = 0
    structured_input: Any = None
    structured: Structured | None = None
    meter: Meter | None = None
    is_free: bool = False
    earlier: Earlier = Earlier()
    # The call that the run has ended for, the CLI's id of it, and its step as JSON.
    question: Question | None = None
    call_id: str = ""
    step: str = ""
    messages: int = 0

    @property
    def answer(self) -> str:
        """The answer: that of a run before a pause when the model has written none since."""
        return self.text if self.text.strip() else self.earlier.text

    @property
    def seen(self) -> dict[str, Any]:
        """The part that the job's record keeps of this attempt; empty values are left out."""
        requests = self.shown if self.relayed is None else self.relayed.failures
        values = {"model": self.model, "truncated": list(self.truncated), "requests": requests[-MOST_REQUESTS:]}
        return {name: value for name, value in values.items() if value}

    @property
    def spends(self) -> Sequence[Spend]:
        """The cost: by the relay's meter, or else the CLI's own sum, or the sum of what the API has reported."""
        spends: Sequence[Spend]
        if self.relayed is not None:
            spends = self.relayed.ledger.spends
        elif self.envelope is not None:
            spends = spends_of_envelope(self.envelope, self.model)
        else:
            spends = [] if self.meter is None else self.meter.spends
        if not self.is_free:
            return spends
        # The CLI books under the model that it asked for: no model of Claude's, but the demo, used these tokens.
        return [replace(spend, cost=0.0, model=self.model or spend.model) for spend in spends]
