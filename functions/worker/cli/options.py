"""The plan of a run as options of the CLI."""

from typing import Any, cast

from claude_agent_sdk import ClaudeAgentOptions
from claude_agent_sdk.types import SessionStore, SystemPromptFile, SystemPromptPreset, ThinkingConfigDisabled

from functions.worker.cli import mcp_servers
from functions.worker.cli.environment import for_relay, for_run
from functions.worker.cli.plan import RunOptions, RunPlan
from functions.worker.cli.workspace import Workspace
from functions.worker.relay.credential import Credential
from shared.configuration.settings import WorkerSettings
from shared.json_schema.for_model import for_the_model
from shared.store.jobs.sessions import StagedSession

# One JSON message of the CLI holds the whole answer, escaped at worst sixfold, beside its own fields.
_MESSAGE_FACTOR, _MESSAGE_EXTRA = 6, 1 << 20
# Tokens of an answer that leave no room for thinking.
_SHORT_ANSWER = 1024


def options_for(
    plan: RunPlan,
    settings: WorkerSettings,
    workspace: Workspace,
    session: StagedSession | None = None,
    credential: Credential | None = None,
) -> ClaudeAgentOptions:
    """Return the options of the CLI for a plan; `session` stores the transcript of a plan with a session.

    With a credential the CLI reaches Claude through the relay, which counts turns and cost.
    """
    asked, kept = plan.options, plan.session
    relayed = {} if credential is None else for_relay(workspace.socket_for_cli, credential)
    return ClaudeAgentOptions(
        cli_path=settings.claude_command,
        cwd=workspace.work,
        env=for_run(workspace.home, workspace.config) | relayed | _output_limit(asked),
        model=asked.model,
        system_prompt=_system_prompt(asked, workspace),
        max_turns=None if credential else asked.max_turns,
        max_budget_usd=None if credential else asked.max_budget_usd,
        effort=asked.effort,
        thinking=_thinking(asked),
        # Nothing but what the gateway gives: no other tool, no file of settings, no server, no command, no transcript.
        tools=list(asked.tools),
        allowed_tools=[*asked.tools, *mcp_servers.allowed_tools(plan.mcp.servers)],
        setting_sources=[],
        # A file: on the command line everybody could read the secrets of its entries.
        mcp_servers=workspace.servers if plan.mcp.servers else {},
        strict_mcp_config=True,
        extra_args={
            "restricted": None,
            "disable-slash-commands": None,
            **({} if kept else {"no-session-persistence": None}),
        },
        session_store=cast("SessionStore | None", session),
        # A session that continues keeps its id, which `resume` alone names; a fork has both.
        session_id=kept.session_id if kept and kept.session_id != kept.resumes else None,
        resume=kept.resumes if kept else None,
        fork_session=kept is not None and kept.is_fork,
        permission_mode="dontAsk",
        # The query is data: no slash command is run, no file that it mentions is read.
        verbatim_prompts=True,
        output_format=_output_format(asked.output_schema),
        include_partial_messages=True,
        max_buffer_size=settings.max_output_bytes * _MESSAGE_FACTOR + _MESSAGE_EXTRA,
    )


def _system_prompt(asked: RunOptions, workspace: Workspace) -> SystemPromptFile | SystemPromptPreset:
    if asked.system_prompt is not None:
        # A command line has no room for a long one, and none for a NUL.
        return SystemPromptFile(type="file", path=str(workspace.system_prompt))
    # Unset, the SDK's is empty; the gateway's default is the CLI's own.
    return SystemPromptPreset(type="preset", preset="claude_code")


def _output_limit(asked: RunOptions) -> dict[str, str]:
    """Return the environment variable that bounds one message of the model: the CLI has no option for that."""
    most = asked.max_output_tokens
    return {} if most is None else {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(most)}


def _thinking(asked: RunOptions) -> ThinkingConfigDisabled | None:
    """Return no thinking for an answer so short that thinking would use it up; None leaves it to the model.

    The Messages API takes no thinking budget below 1,024 tokens, and counts thinking in `max_tokens`.
    """
    most = asked.max_output_tokens
    short = most is not None and most <= _SHORT_ANSWER and asked.effort is None
    return ThinkingConfigDisabled(type="disabled") if short else None


def _output_format(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if schema is None else {"type": "json_schema", "schema": for_the_model(schema)}
