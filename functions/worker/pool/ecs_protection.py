"""Amazon ECS task protection: while a job runs, ECS does not stop this container to scale in or deploy.

It uses the task scale-in protection endpoint of the ECS container agent.
"""

import json
import logging
import threading
import time
import urllib.request
from collections.abc import Callable

from shared.logs import event

log = logging.getLogger("worker.protection")

# Minutes after which protection expires, so that it ends with a worker that dies; renewed at half that time.
_MINUTES = 10
# Seconds.
_CHECK_EVERY = 1.0
_REPLY_TIMEOUT = 5.0
_END_WITHIN = 0.5
# The agent has a link-local address, which a proxy of the environment cannot reach.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Protection:
    """A thread that requests protection while `busy` returns true, and releases it afterwards."""

    def __init__(self, agent: str, busy: Callable[[], bool]) -> None:
        self._url = f"{agent}/task-protection/v1/state"
        self._busy = busy
        self._stop = threading.Event()
        self._requested: tuple[bool, float] = (False, 0.0)
        self._thread = threading.Thread(target=self._watch, name="task protection", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching; present protection stays until it expires."""
        self._stop.set()
        # An agent that does not answer must not delay the worker's end.
        self._thread.join(_END_WITHIN)

    def _watch(self) -> None:
        while not self._stop.wait(_CHECK_EVERY):
            busy = self._busy()
            was, since = self._requested
            if busy != was or (busy and time.monotonic() - since > _MINUTES * 30):
                self._request(busy)

    def _request(self, protected: bool) -> None:
        wanted = {"ProtectionEnabled": protected} | ({"ExpiresInMinutes": _MINUTES} if protected else {})
        request = urllib.request.Request(  # noqa: S310 -- ECS provides the agent's address
            self._url, json.dumps(wanted).encode(), {"Content-Type": "application/json"}, method="PUT"
        )
        try:
            with _DIRECT.open(request, timeout=_REPLY_TIMEOUT) as answer:
                answer.read()
        except OSError as error:
            event(log, "task_not_protected", logging.WARNING, wanted=protected, error=type(error).__name__)
        else:
            self._requested = (protected, time.monotonic())
            event(log, "task_protection", protected=protected)
