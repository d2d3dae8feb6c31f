"""Which built-in tools of the CLI run commands, and so see its environment."""

from collections.abc import Iterable

# Every other tool counts as one that runs commands, those of later releases too. EnterWorktree runs git's hooks.
_PASSIVE = frozenset(
    {
        "Agent", "AskUserQuestion", "Edit", "Glob", "Grep", "LS", "ListAgents", "MultiEdit", "NotebookEdit",
        "NotebookRead", "Read", "ReportFindings", "SendMessage", "Task", "TaskStop", "TodoRead", "TodoWrite",
        "ToolSearch", "WebFetch", "WebSearch", "Write",
    }
)  # fmt: skip


def run_commands(tools: Iterable[str]) -> bool:
    """Return whether any of these tools runs commands."""
    return not _PASSIVE.issuperset(tools)
