"""Late initialization: the options of a job for a CLI that started before the job came.

The SDK gives the CLI its options on the command line. A waiting CLI receives them on its standard input instead, as
the SDK of another language sends them: this is no interface of the Python SDK. Only this module knows of it, and
`tests/contract/test_late.py` holds the requests to the API of both ways byte-identical.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, Transport
from claude_agent_sdk._internal.transport.subprocess_cli import SubprocessCLITransport

from functions.worker.cli.tools import run_commands

# The first release of the CLI that is known to take all of it.
_SINCE = (2, 1, 330)
# The agent that a job's list of tools makes, and what the ids of the requests of this module begin with.
_AGENT = "job"
_OURS = "gateway-"
# The id of a request that is sent before the SDK's client connects.
_EARLY = "gateway-early"
SETTINGS_REQUEST, _THINKING_REQUEST = "apply_flag_settings", "set_max_thinking_tokens"
# Seconds that a CLI has for it. It needs a tenth of a second, and more where the machine is busy.
_WITHIN = 30.0
# Code is compiled when it runs again; a third time gains little.
_REHEARSALS = 2
# Tools by which the CLI describes the others, or that pass the process's own list on to a subagent.
_SEARCH = frozenset({"Glob", "Grep"})
_SUBAGENT = frozenset({"Agent", "Task"})


class LateInitializationError(Exception):
    """The CLI did not take the options of its job; it has not received the prompt."""


@dataclass(frozen=True, slots=True)
class Late:
    """The options of a job for a waiting CLI: fields of `initialize`, settings, and whether thinking is disabled."""

    initialize: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    disables_thinking: bool = False

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The requests that follow `initialize`."""
        settings = [{"subtype": SETTINGS_REQUEST, "settings": self.settings}] if self.settings else []
        # After the settings, of which the model may be one.
        thinking = [{"subtype": _THINKING_REQUEST, "max_thinking_tokens": 0}] if self.disables_thinking else []
        return settings + thinking


def is_supported(version: str | None) -> bool:
    """Return whether a release of the CLI takes options late; None is an unknown release."""
    found = re.match(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})", version or "")
    return found is not None and tuple(map(int, found.groups())) >= _SINCE


def tools_fit(wanted: Iterable[str], started: Iterable[str]) -> bool:
    """Return whether a CLI that started with some tools can offer only the wanted ones, and describe them as ever."""
    wanted, started = set(wanted), set(started)
    if wanted == started:
        return True
    # A subagent may use every tool of the process, and Bash is described by the search tools that the process has.
    same_search = bool(wanted & _SEARCH) == bool(started & _SEARCH)
    return wanted < started and not wanted & _SUBAGENT and (same_search or not run_commands(wanted))


def fits(options: ClaudeAgentOptions, started: ClaudeAgentOptions, *, is_relayed: bool) -> bool:
    """Return whether a CLI that started with some options can run a job with others.

    Turns and budget are the relay's; without one they are given at the start. A CLI that cannot use a schema says so
    only at its start: later, the relay sees that it offers the model no tool for the answer.
    """
    limits = options.max_turns == started.max_turns and options.max_budget_usd == started.max_budget_usd
    schema = options.output_format is None or is_relayed
    named = bool(options.agents or options.plugins)
    return limits and schema and not named and tools_fit(_names(options.tools), _names(started.tools))


def late_for(options: ClaudeAgentOptions, started: ClaudeAgentOptions) -> Late:
    """Return what a CLI that started with some options receives to run a job with others."""
    initialize: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    tools, servers = _names(options.tools), _names(options.mcp_servers)
    if isinstance(options.system_prompt, dict) and options.system_prompt["type"] == "custom":
        initialize["systemPrompt"] = [options.system_prompt["prompt"]]
    if options.output_format is not None:
        initialize["jsonSchema"] = options.output_format["schema"]
    if servers:
        initialize["sdkMcpServers"] = servers
    if set(tools) != set(_names(started.tools)):
        # In the order in which a CLI that starts with them offers them.
        offered = [*sorted(tools), *(f"mcp__{name}" for name in servers)]
        initialize["agents"] = {_AGENT: {"description": "The job", "prompt": "", "tools": offered}}
        settings["agent"] = _AGENT
    if options.allowed_tools:
        settings["permissions"] = {"allow": options.allowed_tools}
    if options.model != started.model:
        settings["model"] = options.model
    if options.effort is not None:
        settings["effortLevel"] = options.effort
    if environment := {name: value for name, value in options.env.items() if started.env.get(name) != value}:
        settings["env"] = environment
    return Late(initialize, settings, options.thinking != started.thinking)


class HeldTransport(Transport):
    """The pipes of a CLI that is started before the SDK's client connects, and that then receives a job's options."""

    def __init__(self, options: ClaudeAgentOptions) -> None:
        self._inner = SubprocessCLITransport(_nothing(), options)
        self._messages: AsyncIterator[dict[str, Any]] | None = None
        self._late = Late()
        self._applied: asyncio.Future[bool] | None = None
        self._unanswered: set[str] = set()

    async def spawn(self) -> None:
        """Start the process."""
        await self._inner.connect()
        self._messages = self._inner.read_messages()

    async def rehearse(self, question: str, is_idle: Callable[[], bool]) -> None:
        """Let the CLI ask something beside its conversation, so that its code is compiled before its job comes.

        A CLI for which a job waits as soon as it has started asks nothing. Raise LateInitializationError when it does
        not respond.
        """
        try:
            async with asyncio.timeout(_WITHIN):
                await self._request({"subtype": "mcp_status"})  # its answer shows that the CLI has started
                for _ in range(_REHEARSALS):
                    if is_idle():
                        await self._request({"subtype": "side_question", "question": question})
        except TimeoutError:
            raise LateInitializationError("the CLI does not respond") from None

    async def _request(self, request: dict[str, Any]) -> None:
        line = {"type": "control_request", "request_id": _EARLY, "request": request}
        await self._inner.write(json.dumps(line) + "\n")
        async for message in self._read():
            if message.get("type") == "control_response" and message["response"].get("request_id") == _EARLY:
                return
        raise LateInitializationError("the CLI exited")

    def _read(self) -> AsyncIterator[dict[str, Any]]:
        if self._messages is None:
            raise LateInitializationError("the CLI is not started")
        return self._messages

    @property
    def process(self) -> Any:
        """The process; None while there is none."""
        # The SDK has no public attribute for it.
        return self._inner._process  # noqa: SLF001

    def give(self, late: Late) -> None:
        """Set what the CLI receives with the client's `initialize` request."""
        self._late = late

    async def applied(self) -> None:
        """Wait until the CLI has taken the requests; raise LateInitializationError when it refused one."""
        if self._applied is not None and not await self._applied:
            raise LateInitializationError("the CLI refused the settings")

    async def connect(self) -> None:
        """Do nothing: the process runs."""

    async def write(self, data: str) -> None:
        """Write a line, the `initialize` request with the options of the job."""
        if self._late != Late():
            data, self._late = self._with_options(data), Late()
        await self._inner.write(data)

    def _with_options(self, data: str) -> str:
        line = json.loads(data)
        if line.get("request", {}).get("subtype") != "initialize":
            raise LateInitializationError("the SDK sent another request first")
        line["request"] |= self._late.initialize
        requests = {f"{_OURS}{request['subtype']}": request for request in self._late.requests}
        if requests:
            self._applied = asyncio.get_running_loop().create_future()
        self._unanswered = set(requests)
        own = [{"type": "control_request", "request_id": name, "request": one} for name, one in requests.items()]
        return "".join(json.dumps(one) + "\n" for one in (line, *own))

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the CLI's messages, without its answers to the requests of this module."""
        try:
            async for message in self._read():
                if message.get("type") == "control_response":
                    response = message.get("response", {})
                    if response.get("request_id") in self._unanswered:
                        self._answered(response["request_id"], taken=response.get("subtype") == "success")
                        continue
                yield message
        finally:
            self._settle(taken=False)

    def _answered(self, name: str, *, taken: bool) -> None:
        self._unanswered.discard(name)
        if not taken or not self._unanswered:
            self._settle(taken=taken)

    def _settle(self, *, taken: bool) -> None:
        if self._applied is not None and not self._applied.done():
            self._applied.set_result(taken)

    async def close(self) -> None:
        """Close the pipes."""
        await self._inner.close()

    def is_ready(self) -> bool:
        """Return whether the CLI can be written to."""
        return self._inner.is_ready()

    async def end_input(self) -> None:
        """Close the CLI's standard input."""
        await self._inner.end_input()


async def initialize(client: Any, transport: HeldTransport) -> None:
    """Connect the SDK's client to a waiting CLI; raise LateInitializationError when the CLI does not take the options.

    The prompt may be sent afterwards, and not before.
    """
    try:
        async with asyncio.timeout(_WITHIN):
            await client.connect()
            await transport.applied()
    except LateInitializationError:
        raise
    except Exception as error:
        raise LateInitializationError(type(error).__name__) from error


def _names(given: object) -> list[str]:
    return list(given) if isinstance(given, list | dict) else []


async def _nothing() -> AsyncIterator[dict[str, Any]]:
    no_messages: list[dict[str, Any]] = []
    for message in no_messages:
        yield message
