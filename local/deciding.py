"""Decides, on a terminal, the calls that a followed job is paused for."""

import json
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from local.client import Body, Client, CommandError
from local.output import is_terminal, print_message
from local.paths import job_path
from shared.api.approvals import exact


class TerminalDecider:
    """Asks the user about each call once; where there is no terminal, prints how to decide it.

    `ask` reads a line of the user's after a prompt, and is for tests.
    """

    def __init__(self, client: Client, job_id: str, ask: Callable[[str], str] = input) -> None:
        self._client, self._job_id, self._ask = client, job_id, ask
        self._shown: set[str] = set()

    def is_new(self, pending: object) -> bool:
        """Return whether a status body's `pending` is a call that the user has not seen."""
        match pending:
            case {"id": str(ask)}:
                return ask not in self._shown
            case _:
                return False

    def decide(self, pending: Body) -> None:
        """Show the call, and send the user's decision. One that is decided elsewhere meanwhile is no error."""
        self._shown.add(pending["id"])
        found = pending.get("input")
        shown = exact(json.dumps(found, indent=2, ensure_ascii=False))
        print_message(f"\nThe job waits for a decision on {pending.get('tool')}:\n{shown}")
        if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
            print_message(f"Decide it: claude-gateway jobs decide {self._job_id} allow|deny")
            return
        _forget_typed()
        decision = self._answered(found) if pending.get("kind") == "question" else self._allowed()
        try:
            self._client.send("POST", f"{job_path(self._job_id)}/decisions/{pending['id']}", decision)
        except CommandError as error:
            if error.code != "already_decided":
                raise
            print_message("It was decided elsewhere, or its time is over.")

    def _allowed(self) -> Body:
        while (answer := self._line("Allow it? [y/n] ").lower()) not in {"y", "yes", "n", "no"}:
            pass
        if answer.startswith("y"):
            return {"decision": "allow"}
        reason = self._line("Message to the model, or Enter: ")
        return {"decision": "deny", **({"message": reason[:4000]} if reason else {})}

    def _answered(self, found: Any) -> Body:
        # The call may hold anything: only questions that are text are asked.
        questions = found.get("questions") if isinstance(found, dict) else None
        known = (
            [one.get("question") for one in questions if isinstance(one, dict)] if isinstance(questions, list) else []
        )
        texts = [text for text in known if isinstance(text, str)]
        answers = {text: line for text in texts if (line := self._line(f"{exact(text)} ([Enter] to skip) "))}
        return {"decision": "allow", "answers": answers} if answers else {"decision": "deny"}

    def _line(self, prompt: str) -> str:
        try:
            return self._ask(prompt).strip()
        except EOFError:
            raise CommandError("standard input ended before the decision") from None


def _forget_typed() -> None:
    """Discard what was typed before the call was shown: it is no answer."""
    with suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def decide_pending(client: Client, job_id: str, decision: str, message: str | None) -> Body:
    """Decide what a job is paused for; raises CommandError when it waits for nothing."""
    status, _ = client.send("GET", job_path(job_id))
    match status.get("pending"):
        case {"id": str(ask)}:
            body = {"decision": decision, **({"message": message} if message else {})}
            return client.send("POST", f"{job_path(job_id)}/decisions/{ask}", body)[0]
        case _:
            raise CommandError(f"the job waits for no decision; its state is {status.get('state')}")
