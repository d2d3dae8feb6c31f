"""The end of a command that follows a job: an error, Ctrl-C, SIGTERM, or standard output that cannot be written."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from local.client import Client, CommandError
from local.interrupts import CANCEL_WITHIN, Terminated, sigterm_raises, wait_for_another
from local.output import INTERRUPTED, TERMINATED, UNUSABLE, OutputFailed, is_terminal, print_message
from local.paths import job_path


@dataclass(slots=True)
class JobCommand:
    """A command that follows a job of a gateway; `job_id` is None until the job is submitted.

    `options` are what another command needs to address the same gateway. `transport` is for tests.
    """

    url: str
    api_key: str | None
    options: str = ""
    transport: httpx.BaseTransport | None = None
    job_id: str | None = None

    def connect(self) -> Client:
        """Return a client; raises CommandError for a URL or key that cannot be used."""
        return Client(self.url, self.api_key, self.transport)

    def run(self, work: Callable[[], int], *, second_cancels: bool) -> int:
        """Run `work` and return its exit status, or that of the error or signal that ended it.

        With `second_cancels` a second Ctrl-C cancels the job.
        """
        try:
            with sigterm_raises():
                try:
                    return work()
                except Terminated:
                    self._print_job_continues()
                    return TERMINATED
                except KeyboardInterrupt:
                    self._on_interrupt(second_cancels=second_cancels)
                    return INTERRUPTED
        except CommandError as error:
            self._failed(str(error))
            return error.status
        except OutputFailed as error:
            self._failed(str(error))
            return UNUSABLE

    def _failed(self, message: str) -> None:
        print_message(f"{message}\nThe job's id is {self.job_id}." if self.job_id else message)

    def _print_job_continues(self) -> None:
        if self.job_id is None:
            print_message("interrupted: no job is known to have been created")
        else:
            print_message(f"interrupted: job {self.job_id} continues\n{self._commands()}")

    def _on_interrupt(self, *, second_cancels: bool) -> None:
        """Print that the job continues; on a terminal, wait for a second Ctrl-C, which cancels it."""
        if self.job_id is None or not second_cancels or not is_terminal(sys.stderr):
            self._print_job_continues()
            return
        try:
            print_message(
                f"\nStopped following job {self.job_id}, which continues.\n"
                f"Press Ctrl-C again within {CANCEL_WITHIN:g} s to cancel it, or Enter to leave now."
            )
            wait_for_another()
        except Terminated:
            print_message(self._commands())
        except KeyboardInterrupt:
            self._cancel(self.job_id)
        else:
            print_message(self._commands())

    def _cancel(self, job_id: str) -> None:
        try:
            with self.connect() as client:
                client.send("DELETE", job_path(job_id))
        except CommandError as error:
            print_message(f"\njob {job_id} was not cancelled: {error}\n{self._commands()}")
        except KeyboardInterrupt:
            print_message(f"\nno response yet: job {job_id} may continue\n{self._commands()}")
        else:
            print_message(f"\njob {job_id} was cancelled")

    def _commands(self) -> str:
        job = f"{self.job_id}{self.options}"
        return f"Follow it: claude-gateway jobs follow {job}\nCancel it: claude-gateway jobs cancel {job}"
