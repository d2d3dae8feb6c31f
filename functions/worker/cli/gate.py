"""The gate of a run: which of its calls wait for a decision, and what becomes of the call that was decided.

A tool can write to the CLI's output, and so ask anything here. It can pause its own job, and nothing else: a decision
holds for the call as it was shown, whatever the transcript says, and only one run ever begins it.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from claude_agent_sdk import HookMatcher, PermissionResultAllow, PermissionResultDeny, ToolPermissionContext

from functions.worker.cli.mcp_servers import renamed
from functions.worker.cli.plan import QUESTION, RunPlan
from shared.api.approvals import matches, names_of
from shared.api.steps import MOST_STEPS
from shared.store.jobs.pauses import Kind, Question, Resumption

# Bytes of a call, as JSON, that a person can be asked about.
MOST_INPUT = 65_536

_ONE_AT_A_TIME = "Only one call at a time can wait for a decision, and another one does. Ask again for this call"
_TOO_LARGE = f"This call needs a decision, and its input is larger than {MOST_INPUT} bytes. Make a smaller call"
_NOT_TEXT = "This call needs a decision, and its input holds half of a UTF-16 pair, which nobody can read. Leave it out"
_OF_SUBAGENT = "This call needs a decision, which a subagent cannot wait for. Make the call in the main conversation"
_UNKNOWN = (
    "The call was allowed and begun, and its worker was lost: it may or may not have taken effect, and was not "
    "repeated. Find out before you ask again"
)
_OTHER = "The call differs from the one that was shown to the person who decided. It was not made"
_DENIED = "The call was denied"
_NOT_ALLOWED = "The gateway does not allow this call"


class Gate:
    """Decides on the calls of one run. `question` is the call that the run ends for, `call_id` the CLI's id of it.

    `is_settled` says that the decided call of a run that goes on has been made or refused. `begin` returns whether this
    run may begin it, and `open_network` is called before.
    """

    def __init__(self, plan: RunPlan, begin: Callable[[], Awaitable[bool]]) -> None:
        self.question: Question | None = None
        self.call_id = ""
        self._approval = plan.approval
        self._resumption = plan.resumption
        self.is_settled = plan.resumption is None
        # The CLI's ids of the calls that were denied.
        self.denied: set[str] = set()
        self.open_network: Callable[[], None] = lambda: None
        self._begin = begin
        self._granted: tuple[str, Any] | None = None

    def hooks(self) -> dict[Any, list[HookMatcher]]:
        """Return the hooks of the run."""
        return {"PreToolUse": [HookMatcher(matcher=None, hooks=[self._before])]}

    def needs_decision(self, tool: str) -> bool:
        """Return whether a call of a tool waits for a decision."""
        approval = self._approval
        if approval is None:
            return False
        is_named = any(matches(approval.tools, name) for name in names_of(tool))
        return is_named or (approval.asks and tool == QUESTION)

    def permits(self, server: str, tool: str, arguments: Any) -> bool:
        """Return whether a call may reach an MCP server: what needs a decision may, once, as it was allowed."""
        name = renamed(f"mcp__{server}__{tool}")
        if not self.needs_decision(name):
            return True
        granted, self._granted = self._granted, None
        return granted == (name, arguments)

    async def _before(self, call: Any, call_id: str | None, _context: Any) -> Any:
        """Answer the CLI before a call."""
        try:
            verdict, reason = self._verdict(call, call_id)
        except Exception:  # noqa: BLE001 -- a forged call may hold anything; the CLI would go on after an error
            verdict, reason = "deny", _NOT_ALLOWED
        if verdict == "deny":
            self._note_denied(call_id)
        return _hook(verdict, reason)

    def _verdict(self, call: Any, call_id: str | None) -> tuple[str, str]:
        tool, given = call["tool_name"], call["tool_input"]
        if self._is_decided(call_id):
            # The CLI asks `answer` next, also where its rules would allow the call.
            return "ask", ""
        if not isinstance(tool, str):
            return "deny", _NOT_ALLOWED
        if not self.needs_decision(tool):
            return "", ""
        if call.get("agent_id"):
            return "deny", _OF_SUBAGENT
        if self.question is not None:
            return "deny", _ONE_AT_A_TIME
        approval = self._approval
        if approval is None or not isinstance(given, dict) or not isinstance(call_id, str):
            return "deny", _NOT_ALLOWED
        if problem := _unreadable(tool, given):
            return "deny", problem
        self.call_id = call_id[:200]
        kind: Kind = "question" if tool == QUESTION else "tool"
        self.question = Question(str(uuid4()), kind, tool[:200], given, approval.timeout_ms, approval.late)
        return "defer", ""

    async def answer(
        self, tool: str, given: dict[str, Any], context: ToolPermissionContext
    ) -> PermissionResultAllow | PermissionResultDeny:
        """Answer the CLI's question whether a call is permitted: only the decided one ever is."""
        answer = await self._answer(tool, given, context)
        if isinstance(answer, PermissionResultDeny):
            self._note_denied(context.tool_use_id)
        return answer

    async def _answer(
        self, tool: str, given: dict[str, Any], context: ToolPermissionContext
    ) -> PermissionResultAllow | PermissionResultDeny:
        resumption = self._resumption
        if resumption is None or not self._is_decided(context.tool_use_id):
            return PermissionResultDeny(message=_NOT_ALLOWED)
        self.is_settled = True
        if (tool, given) != (resumption.tool, resumption.input):
            return PermissionResultDeny(message=_OTHER)
        decision = resumption.decision
        if decision["decision"] != "allow":
            return PermissionResultDeny(message=decision.get("message") or _DENIED)
        changed = decision.get("updatedInput")
        if changed == {} and given:
            # The CLI takes an empty input for none, and would make the call as it was.
            return PermissionResultDeny(message=_OTHER)
        if resumption.begun or not await self._begin():
            return PermissionResultDeny(message=_UNKNOWN)
        made = resumption.input if changed is None else changed
        if tool == QUESTION:
            made = {**made, "answers": _texts(decision.get("answers") or {})}
        self._granted = (tool, made)
        self.open_network()
        # Never asked a second time: the next call with this id is another one.
        self._resumption = None
        return PermissionResultAllow(updated_input=made)

    def _note_denied(self, call_id: Any) -> None:
        if isinstance(call_id, str) and len(self.denied) < MOST_STEPS:
            self.denied.add(call_id[:200])

    def _is_decided(self, call_id: str | None) -> bool:
        return self._resumption is not None and call_id == self._resumption.kept["callId"]


def _unreadable(tool: str, given: dict[str, Any]) -> str:
    """Return why no person could decide on a call; empty if one can."""
    try:
        size = len(json.dumps([tool, given], ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return _NOT_TEXT
    return _TOO_LARGE if size > MOST_INPUT else ""


def decided_tool(resumption: Resumption | None) -> list[str]:
    """Return the rule by which the CLI asks about the decided call, whatever else its rules allow."""
    return [] if resumption is None else [resumption.tool]


def _texts(answers: dict[str, Any]) -> dict[str, str]:
    """Return answers as the CLI takes them: several choices are one text."""
    return {question: ", ".join(one) if isinstance(one, list) else one for question, one in answers.items()}


def _hook(verdict: str, reason: str) -> dict[str, Any]:
    if not verdict:
        return {}
    output = {"hookEventName": "PreToolUse", "permissionDecision": verdict}
    return {"hookSpecificOutput": output | ({"permissionDecisionReason": reason} if reason else {})}
