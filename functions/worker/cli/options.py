"""A job's request as options of the CLI."""

from typing import Any, cast

from claude_agent_sdk import ClaudeAgentOptions
from claude_agent_sdk.types import SessionStore, SystemPromptFile, SystemPromptPreset, ThinkingConfigDisabled

from functions.worker.cli import mcp_servers
from functions.worker.cli.environment import for_relay, for_run
from functions.worker.cli.workspace import Workspace
from functions.worker.relay.credential import Credential
from shared.configuration.settings import WorkerSettings
from shared.json_schema.for_model import for_the_model
from shared.store.jobs.sessions import Turn

# One JSON message of the CLI holds the whole answer, escaped at worst sixfold, beside its own fields.
_MESSAGE_FACTOR, _MESSAGE_EXTRA = 6, 1 << 20
# Tokens of an answer that leave no room for thinking.
_SHORT_ANSWER = 1024


def options_for(
    request: dict[str, Any],
    settings: WorkerSettings,
    workspace: Workspace,
    turn: Turn | None = None,
    credential: Credential | None = None,
) -> ClaudeAgentOptions:
    """Say how the CLI is to be started for a request, as the submit function stored it; `turn` keeps what is said.

    With a credential the CLI reaches Claude through the relay, which counts turns and cost.
    """
    servers = mcp_servers.of_request(request, settings.servers)
    talk = request.get("conversation", {})
    resumed, kept = talk.get("from"), talk.get("id")
    budgets = [limit for limit in (request.get("maxBudgetUsd"), settings.max_budget_usd) if limit is not None]
    relayed = {} if credential is None else for_relay(workspace.socket_for_cli, credential)
    return ClaudeAgentOptions(
        cli_path=settings.claude_command,
        cwd=workspace.work,
        env=for_run(workspace.home, workspace.config) | relayed | _longest(request),
        model=request.get("model") or settings.claude_model,
        system_prompt=_system_prompt(request, workspace),
        max_turns=None if credential else request.get("maxTurns"),
        max_budget_usd=None if credential else min(budgets, default=None),
        effort=request.get("effort"),
        thinking=_thinking(request),
        # Nothing but what the gateway gives: no other tool, no file of settings, no server, no command, no transcript.
        tools=request.get("tools", []),
        allowed_tools=[*request.get("tools", []), *mcp_servers.allowed_tools(servers)],
        setting_sources=[],
        # A file: on the command line everybody could read the secrets of its entries.
        mcp_servers=workspace.servers if servers else {},
        strict_mcp_config=True,
        extra_args={
            "restricted": None,
            "disable-slash-commands": None,
            **({} if kept else {"no-session-persistence": None}),
        },
        session_store=cast("SessionStore | None", turn),
        # One that goes on keeps its id, and is told it by `resume` alone; a fork has both.
        session_id=None if kept == resumed else kept,
        resume=resumed,
        fork_session=resumed is not None and kept != resumed,
        permission_mode="dontAsk",
        # The query is data: no slash command is run, no file that it mentions is read.
        verbatim_prompts=True,
        output_format=_output_format(request.get("outputSchema")),
        include_partial_messages=True,
        max_buffer_size=settings.max_output_bytes * _MESSAGE_FACTOR + _MESSAGE_EXTRA,
    )


def _system_prompt(request: dict[str, Any], workspace: Workspace) -> SystemPromptFile | SystemPromptPreset:
    if request.get("systemPrompt") is not None:
        # A command line has no room for a long one, and none for a NUL.
        return SystemPromptFile(type="file", path=str(workspace.system_prompt))
    # Unset, the SDK's is empty; the gateway's default is the CLI's own.
    return SystemPromptPreset(type="preset", preset="claude_code")


def _longest(request: dict[str, Any]) -> dict[str, str]:
    """Return how the CLI is told what one message may be at most: it has no option for it."""
    most = request.get("maxOutputTokens")
    return {} if most is None else {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(most)}


def _thinking(request: dict[str, Any]) -> ThinkingConfigDisabled | None:
    """Return no thinking for an answer so short that thinking would use it up; None leaves it to the model.

    The Messages API takes no thinking budget below 1,024 tokens, and counts thinking in `max_tokens`.
    """
    most = request.get("maxOutputTokens")
    short = most is not None and most <= _SHORT_ANSWER and request.get("effort") is None
    return ThinkingConfigDisabled(type="disabled") if short else None


def _output_format(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if schema is None else {"type": "json_schema", "schema": for_the_model(schema)}
