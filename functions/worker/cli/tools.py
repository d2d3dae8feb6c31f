"""The built-in tools of the CLI that run commands, and so see its environment."""

from collections.abc import Iterable

# Every other tool counts as one that runs commands, also tools of later releases. EnterWorktree runs git hooks.
_PASSIVE = frozenset(
    {
        "Agent", "AskUserQuestion", "Edit", "Glob", "Grep", "LS", "ListAgents", "MultiEdit", "NotebookEdit",
        "NotebookRead", "Read", "ReportFindings", "SendMessage", "Task", "TaskStop", "TodoRead", "TodoWrite",
        "ToolSearch", "WebFetch", "WebSearch", "Write",
    }
)  # fmt: skip


def run_commands(tools: Iterable[str]) -> bool:
    """Return whether any of the tools runs commands."""
    return not _PASSIVE.issuperset(tools)
