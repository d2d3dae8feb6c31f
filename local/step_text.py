"""One line for a step of a job, such as `● Bash npm test … 2.1 s`."""

import json
import sys
from typing import Any

from local.client import Body

# The input that says most about a call, the first that it has.
_MAIN = ("command", "file_path", "path", "pattern", "query", "url", "description", "text")
_LONGEST = 80


def step_line(step: Body) -> str:
    """Return the line of a step that has ended, or of a message that the model has received; empty for others."""
    status = step.get("status")
    if status not in {"completed", "failed", "denied"}:
        return ""
    mark = "●" if sys.stderr is not None and (sys.stderr.encoding or "").lower().startswith("utf") else "*"
    indent = "  " if step.get("parentId") else ""
    if step.get("kind") == "message":
        return f"{indent}{mark} message {_short(step.get('input'))}"
    took, given = step.get("durationMs"), _short(step.get("input"))
    ended = [] if status == "completed" else [str(status)]
    ended += [f"{took / 1000:.1f} s"] if isinstance(took, int | float) else []
    return " ".join(part for part in (f"{indent}{mark} {step.get('tool')}", given, "…", ", ".join(ended)) if part)


def _short(given: Any) -> str:
    if not isinstance(given, dict):
        return ""
    main = next((given[name] for name in _MAIN if isinstance(given.get(name), str)), None)
    text = " ".join((main if main is not None else json.dumps(given, ensure_ascii=False)).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
