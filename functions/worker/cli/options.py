"""Translation of a run's plan into options of the CLI."""

import json
from dataclasses import replace
from typing import Any, cast

from claude_agent_sdk import AgentDefinition, ClaudeAgentOptions
from claude_agent_sdk.types import (
    SessionStore,
    SystemPromptCustom,
    SystemPromptFile,
    SystemPromptPreset,
    ThinkingConfigDisabled,
)

from functions.worker.cli import mcp_servers
from functions.worker.cli.environment import for_relay, for_run
from functions.worker.cli.gate import Gate, decided_tool
from functions.worker.cli.history import HISTORY_ID, HistorySession
from functions.worker.cli.plan import RunOptions, RunPlan, plan_for
from functions.worker.cli.skills import listing
from functions.worker.cli.transcripts import PausableSession
from functions.worker.cli.workspace import Workspace
from functions.worker.relay.credential import Credential
from shared.configuration.settings import WorkerSettings
from shared.json_schema.for_model import for_the_model
from shared.store.jobs.sessions import StagedSession

# One JSON message of the CLI holds the whole answer, which escaping makes at most six times as long, and other fields.
_MESSAGE_FACTOR, _MESSAGE_EXTRA = 6, 1 << 20
# Only the named agents, and none that goes on in the background when the run has its answer.
_AGENTS = {"CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS": "1", "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1"}
# An answer of at most this many tokens leaves no room for thinking.
_SHORT_ANSWER = 1024


def options_for(
    plan: RunPlan,
    settings: WorkerSettings,
    workspace: Workspace,
    session: StagedSession | HistorySession | PausableSession | None = None,
    credential: Credential | None = None,
    gate: Gate | None = None,
) -> ClaudeAgentOptions:
    """Return the options of the CLI for a plan; `session` stores the transcript of a plan with a session.

    With a credential the CLI reaches Claude through the relay, which counts turns and cost.
    """
    options, kept = plan.options, plan.session
    resumes = HISTORY_ID if plan.history else kept.resumes if kept else None
    if kept and plan.resumption:
        resumes = kept.session_id
    gated = {} if gate is None else _gated(plan, gate)
    relayed = {} if credential is None else for_relay(workspace.socket_for_cli, credential)
    made = ClaudeAgentOptions(
        cli_path=settings.claude_command,
        cwd=workspace.work,
        env=for_run(workspace.home, workspace.config, workspace.temporary)
        | relayed
        | _no_copies(plan)
        | _output_limit(options)
        | (_AGENTS if options.agents else {}),
        model=options.model,
        system_prompt=_system_prompt(options, workspace),
        # The CLI takes no 0, which is left after pauses.
        max_turns=None if credential or options.max_turns is None else max(1, options.max_turns),
        max_budget_usd=None if credential else options.max_budget_usd,
        effort=options.effort,
        thinking=_thinking(options, uses_client_tools=plan.client_tools is not None),
        # Only the named ones: neither the CLI's own nor those of a workspace.
        skills=list(options.skills) if options.skills else None,
        plugins=[{"type": "local", "path": str(workspace.plugin)}] if options.skills else [],
        # Only what the gateway configures: no other tool, settings file, MCP server, slash command or transcript.
        tools=list(plan.offered),
        agents=_agents(options),
        allowed_tools=[*options.tools, *mcp_servers.allowed_tools(plan.mcp.servers)],
        setting_sources=[],
        strict_mcp_config=True,
        extra_args={
            "restricted": None,
            **_commands(options),
            **({} if kept or plan.history else {"no-session-persistence": None}),
        },
        session_store=cast("SessionStore | None", session),
        # A session that continues keeps its id, which only `resume` names; a fork has both.
        session_id=kept.session_id if kept and kept.session_id != resumes else None,
        resume=resumes,
        fork_session=kept is not None and resumes not in {None, kept.session_id},
        permission_mode="dontAsk",
        # The query is data: the CLI runs no slash command and reads no file that the query mentions.
        verbatim_prompts=True,
        output_format=_output_format(options.output_schema),
        include_partial_messages=True,
        max_buffer_size=settings.max_output_bytes * _MESSAGE_FACTOR + _MESSAGE_EXTRA,
    )
    return replace(made, **gated)


def _gated(plan: RunPlan, gate: Gate) -> dict[str, Any]:
    """Return the options of a run whose calls may wait for a decision: no rule allows one that needs it."""
    free = [tool for tool in plan.options.tools if not gate.needs_decision(tool)]
    allowed = [*free, *mcp_servers.allowed_tools(plan.mcp.servers)]
    gated = [tool for tool in plan.offered if gate.needs_decision(tool)]
    rules = sorted({*gated, *decided_tool(plan.resumption)})
    return {
        # Not as options, which the SDK warns about beside `can_use_tool`.
        "allowed_tools": [],
        "settings": json.dumps({"permissions": {"ask": rules, "allow": allowed}}),
        # The CLI asks the gate where no rule allows a call; without a gate it denies it.
        "permission_mode": "default",
        "can_use_tool": gate.answer,
        "hooks": gate.hooks(),
    }


def options_of_held(
    settings: WorkerSettings,
    workspace: Workspace,
    credential: Credential | None = None,
    *,
    tools: tuple[str, ...] | None = (),
    resumes: str | None = None,
) -> ClaudeAgentOptions:
    """Return the options of a CLI that starts before its job is known, and may continue the session `resumes`.

    It can offer any of `tools`; None is for a CLI that takes no options after its start.
    """
    options = options_for(plan_for({}, settings), settings, workspace, credential=credential)
    if tools is None:
        return options
    flags = {name: value for name, value in options.extra_args.items() if name != "no-session-persistence"}
    # The transcript is sent to the SDK, which drops that of a job without a session.
    flags["session-mirror"] = None
    if resumes is not None:
        flags["await-initialize"] = None
    return replace(options, tools=list(tools), extra_args=flags, resume=resumes)


def as_given_late(options: ClaudeAgentOptions, plan: RunPlan) -> ClaudeAgentOptions:
    """Return the options of a job as a held CLI receives them: nothing in a file, no session of the SDK's making."""
    prompt = plan.options.system_prompt
    if prompt is not None:
        options = replace(options, system_prompt=SystemPromptCustom(type="custom", prompt=prompt))
    return replace(options, session_id=None, resume=None, fork_session=False)


def _system_prompt(options: RunOptions, workspace: Workspace) -> SystemPromptFile | SystemPromptPreset:
    if options.system_prompt is not None:
        # A command line cannot hold a long system prompt, or one with a NUL.
        return SystemPromptFile(type="file", path=str(workspace.system_prompt))
    # When unset, the SDK sends an empty system prompt; the gateway's default is the CLI's own.
    return SystemPromptPreset(type="preset", preset="claude_code")


def _commands(options: RunOptions) -> dict[str, str | None]:
    """Return the flags for commands: without them there are no skills, and a prompt that is sent verbatim is none."""
    return {"append-system-prompt": listing(options.skills)} if options.skills else {"disable-slash-commands": None}


def _agents(options: RunOptions) -> dict[str, AgentDefinition] | None:
    """Return the agents for the SDK. The CLI offers an agent no tool that the job does not have."""
    return {
        name: AgentDefinition(
            agent.description, agent.prompt, list(agent.tools) if agent.tools else None, model=agent.model
        )
        for name, agent in options.agents.items()
    } or None


def _output_limit(options: RunOptions) -> dict[str, str]:
    """Return the environment variable that limits one message of the model: the CLI has no option for it."""
    most = options.max_output_tokens
    return {} if most is None else {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(most)}


def _no_copies(plan: RunPlan) -> dict[str, str]:
    """Return the environment in which the CLI copies no image into a file, and does not tell the model where it is.

    A session needs what the variable turns off.
    """
    return {} if plan.session or not plan.inputs.attachments else {"CLAUDE_CODE_SKIP_PROMPT_HISTORY": "1"}


def _thinking(options: RunOptions, *, uses_client_tools: bool) -> ThinkingConfigDisabled | None:
    """Disable thinking for an answer so short that thinking would use all its tokens; None leaves it to the model.

    The Messages API accepts no thinking budget below 1,024 tokens, and counts thinking in `max_tokens`. With a client's
    tools it accepts no choice that forces one, and requires the thinking of earlier calls, which clients do not have.
    """
    if uses_client_tools:
        return ThinkingConfigDisabled(type="disabled")
    most = options.max_output_tokens
    short = most is not None and most <= _SHORT_ANSWER and options.effort is None
    return ThinkingConfigDisabled(type="disabled") if short else None


def _output_format(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if schema is None else {"type": "json_schema", "schema": for_the_model(schema)}
