"""The plan of a run, made from the stored request. Only this module reads the request."""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from functions.worker.cli.skills import TOOL as SKILL
from functions.worker.cli.turns import Block, split
from functions.worker.relay.client_tools import ClientTools
from functions.worker.relay.git import GitAccess
from shared.api.approvals import APPROVAL_TIMEOUT, may_match, names_of
from shared.configuration.agents import Agent
from shared.configuration.settings import WorkerSettings
from shared.configuration.skills import Skill
from shared.egress import hosts
from shared.egress.repositories import Repository, repository_of
from shared.mcp.config import Server
from shared.store.jobs.pauses import Resumption

# The tool by which the model asks the user.
QUESTION = "AskUserQuestion"


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input of the model: the query, and JSON data that the query is about; None for no data.

    `before` and `after` are content blocks of the user around the query, which is not shown after results of tools.
    """

    query: str = ""
    context: Any = None
    before: tuple[Block, ...] = ()
    after: tuple[Block, ...] = ()
    shows_query: bool = True


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of the CLI, with the deployment's defaults and limits applied; None leaves a choice to the CLI."""

    model: str | None = None
    system_prompt: str | None = None
    effort: Any = None
    max_turns: int | None = None
    max_output_tokens: int | None = None
    # An answer that reaches this limit is complete as far as it goes.
    cuts_answer: bool = False
    max_budget_usd: float | None = None
    tools: tuple[str, ...] = ()
    agents: dict[str, Agent] = field(default_factory=dict)
    # None for one that this worker lacks.
    skills: dict[str, Skill | None] = field(default_factory=dict)
    output_schema: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class McpPlan:
    """The MCP servers of a run: the names that the job is routed to, and the entries that this worker has.

    The job requires those in `required`, also if the run cannot have them.
    """

    names: tuple[str, ...] = ()
    servers: dict[str, Server] = field(default_factory=dict, repr=False)
    required: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """The session that stores a run, `session_id`, and the session that it continues, `resumes`; None for a new one."""

    session_id: str
    resumes: str | None
    # False for a job that could be paused: what it keeps ends with it.
    is_kept: bool = True

    @property
    def is_fork(self) -> bool:
        """Whether the run starts from another session and does not change that one."""
        return self.resumes is not None and self.resumes != self.session_id


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file or an attachment: one of the caller's files by its id, or the bytes of the request."""

    file_id: str = ""
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class InputsPlan:
    """The files of a run with their paths in the working directory, and the attachments that the model is shown."""

    files: tuple[tuple[str, Content], ...] = ()
    attachments: tuple[Content, ...] = ()


@dataclass(frozen=True, slots=True)
class GitPlan:
    """The repository that a run works in, and the branch that its work is pushed to; None for none.

    `credential` is the name of the caller's credential, and `authorization` the header that the relay makes of it.
    """

    repository: Repository
    ref: str | None = None
    depth: int = 1
    credential: str | None = None
    branch: str | None = None
    authorization: str = field(default="", repr=False)

    def access(self, *, pushes: bool = False) -> GitAccess:
        """Return what git may do with the repository: fetch, and for a push that of the branch."""
        target, place, path = self.repository.target, self.repository.place, self.repository.path
        return GitAccess(target, place, path, self.authorization, self.branch if pushes else None)


@dataclass(frozen=True, slots=True)
class ApprovalPlan:
    """The tools whose calls wait for a decision, for how many ms, and what happens then; `*` stands for any text.

    With `asks` the model may ask the user.
    """

    tools: tuple[str, ...] = ()
    timeout_ms: int = APPROVAL_TIMEOUT
    late: Literal["deny", "fail"] = "deny"
    asks: bool = False


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything that a run needs from its job."""

    prompt: Prompt = Prompt()
    options: RunOptions = RunOptions()
    mcp: McpPlan = field(default_factory=McpPlan)
    session: SessionPlan | None = None
    # The turns before the query, as messages of the Messages API.
    history: tuple[dict[str, Any], ...] = ()
    # The tools that the client runs itself: a call of one ends the run.
    client_tools: ClientTools | None = None
    # Models to use while the first is overloaded.
    fallback_models: tuple[str, ...] = ()
    # The models of the caller's policy; None for those of the worker's settings.
    models: tuple[str, ...] | None = None
    # Name of the caller's credential that the run uses instead of the deployment's, and its value for the relay.
    credential: str | None = None
    api_key: str | None = field(default=None, repr=False)
    # The hosts that the tools may reach; without tools none.
    allowed_hosts: tuple[str, ...] = ()
    inputs: InputsPlan = InputsPlan()
    git: GitPlan | None = None
    approval: ApprovalPlan | None = None
    # What the job goes on with after a pause.
    resumption: Resumption | None = None
    job_id: str = ""

    @property
    def offered(self) -> tuple[str, ...]:
        """The built-in tools that the CLI offers the model."""
        asks = self.approval is not None and self.approval.asks and QUESTION not in self.options.tools
        return (*self.options.tools, QUESTION) if asks else self.options.tools

    @property
    def uses_tools(self) -> bool:
        """Whether the run may start processes beside the CLI."""
        return bool(self.options.tools or self.mcp.names)

    @property
    def restores(self) -> str | None:
        """The session whose working directory the run continues; a repository that the job names begins a new one."""
        if self.session is None or not self.options.tools or self.git is not None:
            return None
        return self.session.resumes


def plan_for(request: Mapping[str, Any], settings: WorkerSettings, *, spent_usd: float = 0.0) -> RunPlan:
    """Return the plan of a run for a stored request; `spent_usd` is the cost of the job's earlier attempts."""
    turns = split(request.get("history", ()), len(request.get("attachments", ())))
    return RunPlan(
        prompt=Prompt(request.get("query", ""), request.get("context"), turns.before, turns.after, turns.shows_query),
        options=_options(request, settings, spent_usd),
        mcp=_mcp(request, settings),
        session=_session(request),
        history=turns.history,
        client_tools=_client_tools(request, turns.placeholders),
        credential=request.get("credential"),
        fallback_models=tuple(request.get("fallbackModels", ())),
        models=tuple(request["models"]) if "models" in request else None,
        allowed_hosts=_allowed_hosts(request, settings),
        inputs=InputsPlan(
            tuple((one["path"], _content(one)) for one in request.get("files", ())),
            tuple(_content(one) for one in request.get("attachments", ())),
        ),
        git=_git(request),
        approval=_approval(request, settings),
    )


def _client_tools(request: Mapping[str, Any], placeholders: Mapping[str, Block]) -> ClientTools | None:
    tools = tuple(request.get("clientTools", ()))
    return ClientTools(tools, request.get("clientToolChoice"), placeholders) if tools or placeholders else None


def _options(request: Mapping[str, Any], settings: WorkerSettings, spent_usd: float) -> RunOptions:
    budgets = [limit for limit in (request.get("maxBudgetUsd"), settings.max_budget_usd) if limit is not None]
    agents = {name: settings.agents[name] for name in request.get("agents", ()) if name in settings.agents}
    skills = {name: settings.skills.get(name) for name in request.get("skills", ())}
    return RunOptions(
        model=request.get("model") or settings.claude_model,
        system_prompt=request.get("systemPrompt"),
        effort=request.get("effort"),
        max_turns=request.get("maxTurns"),
        max_output_tokens=request.get("maxOutputTokens"),
        cuts_answer=request.get("live", False),
        max_budget_usd=min(budgets) - spent_usd if budgets else None,
        tools=_tools(request, settings),
        agents=agents,
        skills=skills,
        output_schema=request.get("outputSchema"),
    )


def _tools(request: Mapping[str, Any], settings: WorkerSettings) -> tuple[str, ...]:
    """Return the tools of a run, with those that start an agent and read a skill."""
    agents = ["Agent"] if any(name in settings.agents for name in request.get("agents", ())) else []
    return tuple(dict.fromkeys((*request.get("tools", ()), *agents, *([SKILL] if request.get("skills") else []))))


def _allowed_hosts(request: Mapping[str, Any], settings: WorkerSettings) -> tuple[str, ...]:
    """Return the request's hosts within those of this worker, whose settings may differ from those of the API."""
    if not request.get("tools"):
        return ()
    network = request.get("network")
    if network is None:
        return settings.run_allowed_hosts
    return tuple(host for host in network["allowedHosts"] if hosts.covers(settings.run_allowed_hosts, host))


def _git(request: Mapping[str, Any]) -> GitPlan | None:
    workspace = request.get("workspace")
    if workspace is None:
        return None
    git = workspace["git"]
    ref, branch = git.get("ref"), git.get("push", {}).get("branch")
    named = None if ref == "HEAD" else ref
    return GitPlan(repository_of(git["url"]), named, git["depth"], git.get("credential"), branch)


def _approval(request: Mapping[str, Any], settings: WorkerSettings) -> ApprovalPlan | None:
    """Return what waits for a decision: what the request names, and ALWAYS_ASK_TOOLS whatever it says."""
    stated = request.get("approval")
    always = settings.always_ask_tools
    if stated is None:
        servers = [f"mcp__{name}__" for name in request.get("mcpServers", ())]
        tools = {name for tool in _tools(request, settings) for name in names_of(tool)}
        return ApprovalPlan(always) if any(may_match(pattern, servers, tools) for pattern in always) else None
    return ApprovalPlan((*stated["tools"], *always), stated["timeoutMs"], stated["onTimeout"], asks=True)


def _content(one: Mapping[str, Any]) -> Content:
    data = b64decode(one["data"]) if "data" in one else one.get("text", "").encode()
    return Content(one.get("fileId", ""), data)


def _mcp(request: Mapping[str, Any], settings: WorkerSettings) -> McpPlan:
    names = tuple(request.get("mcpServers", ()))
    servers = {name: settings.servers[name] for name in names if name in settings.servers}
    return McpPlan(names, servers, frozenset(name for name, server in servers.items() if server.routing.required))


def _session(request: Mapping[str, Any]) -> SessionPlan | None:
    # The stored request calls a session a conversation.
    stored = request.get("conversation")
    return None if stored is None else SessionPlan(stored["id"], stored.get("from"))
