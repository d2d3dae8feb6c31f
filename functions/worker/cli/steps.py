"""The steps of a run: its tool calls and the messages that it was sent, as the CLI reports them.

A tool can write to the CLI's output, so that it can forge steps of its own job: every field has a type and a size.
"""

import re
import time
from dataclasses import dataclass, field
from typing import Any

from claude_agent_sdk import AssistantMessage, SystemMessage, ToolResultBlock, ToolUseBlock, UserMessage
from claude_agent_sdk.types import Message

from functions.worker.cli.cut import cut_input
from functions.worker.cli.publisher import Publisher
from functions.worker.cli.structured_input import TOOL as ANSWER_TOOL
from functions.worker.relay.run import Watcher
from shared.api.steps import MOST_STEPS, Step, StepStatus, as_json, for_step
from shared.api.times import rfc3339

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_TOOL = re.compile(r"[\w.:/ -]{1,200}", re.ASCII)


@dataclass(slots=True)
class Steps:
    """Publishes each step of a run when it begins and when it ends. At most `MOST_STEPS`; the others are counted.

    `denied` has the ids of calls that were denied, also by others than the CLI.
    """

    publisher: Publisher
    watcher: Watcher = field(default_factory=Watcher)
    denied: set[str] = field(default_factory=set)
    _open: dict[str, tuple[Step, int]] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def observe(self, message: Message) -> None:
        """Publish the steps that begin or end with a message of the CLI."""
        match message:
            case AssistantMessage(content=list(blocks)):
                for block in blocks:
                    if isinstance(block, ToolUseBlock) and block.name != ANSWER_TOOL:
                        self._begin(block, message.parent_tool_use_id)
            case SystemMessage(subtype="permission_denied", data={"tool_use_id": str(step_id)}):
                if step_id in self._open:
                    self.denied.add(step_id)
            case UserMessage(content=list(blocks)):
                for block in blocks:
                    if isinstance(block, ToolResultBlock):
                        self._end(block)
            case _:
                pass

    def _begin(self, block: ToolUseBlock, parent: Any) -> None:
        if not _matches(_ID, block.id) or block.id in self._known:
            return
        if len(self._known) >= MOST_STEPS:
            self.publisher.count_step()
            return
        self._known.add(block.id)
        step = _begun(block, parent)
        self._open[step.id] = step, time.time_ns()
        self.publisher.add_step(step.id, as_json(step), is_new=True)

    def _end(self, block: ToolResultBlock) -> None:
        if not isinstance(block.tool_use_id, str) or block.tool_use_id not in self._open:
            return
        step, began = self._open.pop(block.tool_use_id)
        status: StepStatus = "failed" if block.is_error else "completed"
        if step.id in self.denied:
            status = "denied"
        output, is_cut = for_step(_text_of(block.content))
        duration = max(0, (time.time_ns() - began) // 1_000_000)
        ended = {"status": status, "output": output, "duration_ms": duration, "truncated": step.truncated or is_cut}
        self._publish_end(step.model_copy(update=ended), began)

    def _publish_end(self, step: Step, began: int) -> None:
        self.publisher.add_step(step.id, as_json(step), is_new=False)
        self.watcher.step_ended(step, began)

    def go_on(self, step: Step, changed: Any = None) -> None:
        """Expect the end of a step that began in the run before a pause; its call may be made with a changed input."""
        if changed is not None:
            given, is_cut = cut_input(changed)
            step = step.model_copy(update={"input": given, "truncated": is_cut})
        self._known.add(step.id)
        self._open[step.id] = step, time.time_ns()

    def close(self, waiting: str = "") -> Step | None:
        """Publish that the steps which have not ended have failed: their run is over.

        Return the step of the call that waits for a decision.
        """
        waits = self._open.pop(waiting, None)
        for step, began in self._open.values():
            self._publish_end(step.model_copy(update={"status": "failed"}), began)
        self._open.clear()
        return None if waits is None else waits[0]


def _begun(block: ToolUseBlock, parent: Any) -> Step:
    given, is_cut = cut_input(block.input)
    return Step(
        id=block.id,
        parent_id=parent if _matches(_ID, parent) else None,
        kind="tool",
        tool=block.name if _matches(_TOOL, block.name) else "unknown",
        input=given,
        status="started",
        output=None,
        started_at=rfc3339(int(time.time() * 1000)),
        duration_ms=None,
        truncated=is_cut,
    )


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _text_of(content: Any) -> str:
    """Return the text of a tool's result; what is no text is named by its type."""
    if isinstance(content, str):
        return content
    parts = []
    for block in content if isinstance(content, list) else []:
        match block:
            case {"type": "text", "text": str(text)}:
                parts.append(text)
            case {"type": str(kind)}:
                parts.append(f"[{kind[:40]}]")
            case _:
                pass
    return "\n".join(parts)
