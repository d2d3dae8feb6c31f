"""Finds out at the worker's start whether runs have a sandbox, and logs what it means when they do not."""

import logging
import os
import time
from pathlib import Path

from functions.worker.cli import version
from functions.worker.cli.environment import uses_cloud
from functions.worker.jobs.spool import spool_dir
from functions.worker.sandbox.confine import Sandbox
from functions.worker.sandbox.probe import Probe, probe
from shared.configuration.files_address import directory_of
from shared.configuration.settings import SettingsError, WorkerSettings
from shared.host import processes
from shared.logs import event

log = logging.getLogger("worker.pool")

_OFF = (
    "tools of a run have the rights of the worker's user: they can read its secrets and the runs of other callers, and "
    "RUN_ALLOWED_HOSTS does not limit them"
)
_UNAVAILABLE = "jobs with tools are not taken by this worker"


def find(settings: WorkerSettings) -> Sandbox:
    """Return what the slots make sandboxes of; raise SettingsError for RUN_SANDBOX=required where there is none."""
    if settings.run_sandbox == "off":
        event(log, "sandbox_off", logging.WARNING, meaning=_OFF)
        return Sandbox("off")
    cli = version.program(settings)
    # These providers are reached by the CLI itself, over a network that a sandbox does not have.
    found = (
        Probe("unavailable", reason="Bedrock, Vertex AI and Foundry are reached without the relay")
        if uses_cloud(os.environ)
        else probe(cli, settings.run_read_paths, has_network=bool(settings.run_allowed_hosts))
    )
    _collect_children()
    if found.kind != "namespaces":
        if settings.run_sandbox == "required":
            raise SettingsError(f"RUN_SANDBOX: is required, and this machine has none: {found.reason}")
        event(log, "sandbox_unavailable", logging.WARNING, reason=found.reason, meaning=_UNAVAILABLE)
        return Sandbox("unavailable")
    hidden: tuple[Path, ...] = (spool_dir(settings).absolute(),)
    if settings.files_url.startswith("file:"):
        hidden += (Path(directory_of(settings.files_url)).absolute(),)
    return Sandbox(
        "namespaces",
        found.bwrap,
        cli,
        settings.run_read_paths,
        hidden=hidden,
        largest=settings.max_workspace_bytes,
        has_network=bool(settings.run_allowed_hosts),
    )


def _collect_children() -> None:
    """Wait for what bubblewrap leaves to the pool, which adopts orphans and has started no other process yet."""
    deadline = time.monotonic() + 1.0
    while processes.collect(processes.children(os.getpid())) and time.monotonic() < deadline:
        time.sleep(0.01)
