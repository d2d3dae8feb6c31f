"""ECS's protection of a task: while a job runs, scaling in and deployments leave this container alone.

Source: the task scale-in protection endpoint of the ECS container agent.
"""

import json
import logging
import threading
import time
import urllib.request
from collections.abc import Callable

from shared.logs import event

log = logging.getLogger("worker.protection")

# Protection ends by itself should this worker die; renewed at half that time.
_MINUTES = 10
_LOOK_EVERY = 1.0
_REPLY_TIMEOUT = 5.0
_END_WITHIN = 0.5
# The agent is at a link-local address, which no proxy of the environment could reach.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Protection:
    """A thread that asks for protection while `busy` is true, and gives it up when it no longer is."""

    def __init__(self, agent: str, busy: Callable[[], bool]) -> None:
        self._url = f"{agent}/task-protection/v1/state"
        self._busy = busy
        self._stop = threading.Event()
        self._asked: tuple[bool, float] = (False, 0.0)
        self._thread = threading.Thread(target=self._watch, name="task protection", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching; what is protected stays so until its time is over."""
        self._stop.set()
        # An agent that does not answer must not delay the end of the worker.
        self._thread.join(_END_WITHIN)

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_EVERY):
            busy = self._busy()
            was, since = self._asked
            if busy != was or (busy and time.monotonic() - since > _MINUTES * 30):
                self._ask(busy)

    def _ask(self, protected: bool) -> None:
        wanted = {"ProtectionEnabled": protected} | ({"ExpiresInMinutes": _MINUTES} if protected else {})
        request = urllib.request.Request(  # noqa: S310 -- the agent's address comes from ECS
            self._url, json.dumps(wanted).encode(), {"Content-Type": "application/json"}, method="PUT"
        )
        try:
            with _DIRECT.open(request, timeout=_REPLY_TIMEOUT) as answer:
                answer.read()
        except OSError as error:
            event(log, "task_not_protected", logging.WARNING, wanted=protected, error=type(error).__name__)
        else:
            self._asked = (protected, time.monotonic())
            event(log, "task_protection", protected=protected)
