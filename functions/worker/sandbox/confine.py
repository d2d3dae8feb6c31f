"""Puts the CLI of each run into a sandbox of its own, where this worker can make one."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from functions.worker.sandbox import bubblewrap, network, system
from functions.worker.sandbox.policy import GIVEN, PLACES, Policy, hidden_places, slot_variables
from functions.worker.sandbox.probe import Kind

if TYPE_CHECKING:
    # The pool knows sandboxes too, and does not need the half second and the memory that the SDK takes.
    from claude_agent_sdk import ClaudeAgentOptions

# The variable by which the CLI finds its relay.
_SOCKET = "ANTHROPIC_UNIX_SOCKET"


class SandboxUnavailableError(Exception):
    """A run with tools was to start on a worker that has no sandbox for it."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Makes the sandboxes of a slot; `kind` is the result of the worker's probe.

    `cli` is the CLI's program, `read` what RUN_READ_PATHS names, `hidden` what no run sees, `largest` bounds a file.
    With `has_network` tools may reach hosts through the relay, which `network` lets them find.
    """

    kind: Kind
    bwrap: Path | None = None
    cli: Path = Path("claude")
    read: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    largest: int = 1 << 30
    has_network: bool = False

    @property
    def takes_tools(self) -> bool:
        """Whether runs with tools may be run here: in a sandbox, or because the operator wants none."""
        return self.kind != "unavailable"

    def check(self, *, has_tools: bool) -> None:
        """Raise SandboxUnavailableError for a run with tools where there is no sandbox and there should be one."""
        if has_tools and not self.takes_tools:
            raise SandboxUnavailableError

    def confine(self, options: "ClaudeAgentOptions", root: Path) -> "ClaudeAgentOptions":
        """Return the options with which the SDK starts the CLI in a sandbox; the same ones where there is none.

        `root` holds the directories of PLACES. A path below one of them is named as the sandbox names it.
        """
        if self.kind != "namespaces" or self.bwrap is None:
            return options
        system.write_etc(root / "etc")
        policy = Policy(self.cli, root, root / "etc", self.read, hidden_places(self.hidden), self.largest)
        environment = {name: _inside(value, root) for name, value in options.env.items()}
        if _SOCKET in environment:
            # Outside it may be named from the working directory, where its path is too long.
            environment[_SOCKET] = str(GIVEN / "relay")
        if self.has_network:
            environment |= network.VARIABLES
        launcher = bubblewrap.write_launcher(root, self.bwrap, policy, slot_variables(environment))
        prompt = options.system_prompt
        if isinstance(prompt, dict) and prompt["type"] == "file":
            prompt = {"type": "file", "path": _inside(prompt["path"], root)}
        for plugin in options.plugins:
            plugin["path"] = _inside(plugin["path"], root)
        return replace(options, cli_path=str(launcher), env=environment, system_prompt=prompt)


def _inside(value: str, root: Path) -> str:
    """Return a path as the sandbox names it; whatever else a value is stays."""
    for name, place in PLACES.items():
        outside = str(root / name)
        if value == outside or value.startswith(outside + os.sep):
            return str(place) + value[len(outside) :]
    return value
