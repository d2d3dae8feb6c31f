"""The agents of AGENTS_DIR: files in the CLI's own format, `NAME.md` with a front matter and a prompt.

    ---
    name: reviewer
    description: Reviews a change for mistakes.
    tools: Read, Grep
    model: sonnet
    ---
    You review changes. ...

`name` is the file's name, and may be left out; so may `tools`, for those of the job, and `model`, for its model.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import PrivateAttr, model_validator

from shared.configuration.sources import TextSettings

_MOST_BYTES, _MOST_AGENTS = 65_536, 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TOOL = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_MODEL = re.compile(r"[A-Za-z0-9][\w.:/@\[\]-]{0,199}")
_FILE = re.compile(r"---[ \t]*\n(?P<head>.*?\n)---[ \t]*\n(?P<prompt>.*)", re.DOTALL)
_KEYS = {"name", "description", "tools", "model", "color"}


class AgentError(ValueError):
    """A file of AGENTS_DIR is invalid; the text names it."""


@dataclass(frozen=True, slots=True)
class Agent:
    """A subagent that runs may start; None leaves tools and model to the job."""

    description: str
    prompt: str
    tools: tuple[str, ...] | None = None
    model: str | None = None


class AgentFields(TextSettings):
    """The directory of the agents, and the agents in it by name."""

    agents_dir: Path | None = None
    _agents: dict[str, Agent] = PrivateAttr(default_factory=dict)

    @property
    def agents(self) -> dict[str, Agent]:
        """The agents that requests may name."""
        return self._agents

    @model_validator(mode="after")
    def _read_agents(self) -> Self:
        if self.agents_dir is not None:
            try:
                self._agents = read(self.agents_dir)
            except AgentError as error:
                raise ValueError(f"AGENTS_DIR: {error}") from None
        return self


def read(folder: Path) -> dict[str, Agent]:
    """Read all agents of a directory; raise AgentError."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".md")
    except OSError:
        raise AgentError("should be a directory that the gateway's user can read") from None
    if len(files) > _MOST_AGENTS:
        raise AgentError(f"should have at most {_MOST_AGENTS} agents")
    return {path.stem: _agent(path) for path in files}


def _agent(path: Path) -> Agent:
    try:
        data = path.read_bytes()
        text = data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except OSError as error:
        raise AgentError(f"{path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AgentError(f"{path.name} is not UTF-8") from None
    found = _FILE.fullmatch(text)
    if not _NAME.fullmatch(path.stem):
        raise AgentError(f"{path.name}: a name has 1 to 64 letters, digits, - and _")
    if len(data) > _MOST_BYTES:
        raise AgentError(f"{path.name} should have at most {_MOST_BYTES} bytes")
    if found is None:
        raise AgentError(f"{path.name} should begin with a front matter between two lines ---")
    fields = _fields(path.name, found["head"])
    if fields.get("name", path.stem) != path.stem:
        raise AgentError(f"{path.name}: name should be {path.stem}, as the file's")
    if not fields.get("description") or not found["prompt"].strip():
        raise AgentError(f"{path.name} should have a description, and a prompt below the front matter")
    tools = tuple(re.split(r"[\s,]+", fields["tools"].strip("[] "))) if fields.get("tools") else None
    if tools is not None and not all(_TOOL.fullmatch(tool) for tool in tools):
        raise AgentError(f"{path.name}: tools should be names of built-in tools, separated by commas")
    model = fields.get("model") or None
    if model is not None and not _MODEL.fullmatch(model):
        raise AgentError(f"{path.name}: model should be the name of a model, or inherit")
    return Agent(fields["description"], found["prompt"].strip(), tools, None if model == "inherit" else model)


def _fields(file: str, head: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in head.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        key, colon, value = line.partition(":")
        if not colon or key not in _KEYS or key in fields:
            raise AgentError(f"{file}: each line of the front matter should be one of {', '.join(sorted(_KEYS))}, once")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        fields[key] = value
    return fields
