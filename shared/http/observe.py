"""Middleware of every request: id, host check, security headers, log line, metrics; HEAD as GET."""

import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.api.ids import is_id, new_id
from shared.configuration.settings import CommonSettings, load
from shared.http import request_trace
from shared.http.head import as_get
from shared.http.hosts import refused
from shared.http.security_headers import missing, request_id_headers
from shared.http.traffic import traffic
from shared.logs import event
from shared.store.redis.client import async_client

log = logging.getLogger("http")


class Observe:
    """Gives each request an id (`X-Request-Id`) and each response its security headers; logs the end.

    Plain ASGI, because Starlette's base class for middleware costs a task and two queues per request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        settings = load(CommonSettings)
        request_id = new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        identity = request_id_headers(scope["path"], request_id)
        trace = request_trace.begin(scope, settings)
        started = time.perf_counter()
        seen: dict[str, Any] = {"status": 500}

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                headers = list(message.get("headers", ()))
                message["headers"] = [*headers, *missing(headers), *identity]
            await send(message)

        method: str = scope["method"]
        answer: Send = observed
        if method == "HEAD":
            scope, answer = as_get(scope, observed)
        try:
            await (refused(scope, settings) or self.app)(scope, receive, answer)
        finally:
            took = time.perf_counter() - started
            # The route, not the path, which can contain any text of the client.
            route = getattr(scope.get("route"), "path", None)
            # Probes request the health endpoints continuously.
            level = logging.DEBUG if scope["path"].startswith("/health") else logging.INFO
            # From the path, or from a submission that created or joined a job.
            job_id = scope["state"].get("job_id") or scope.get("path_params", {}).get("jobId")
            job = {"job_id": job_id} if job_id and is_id(job_id) else {}
            event(
                log,
                "request",
                level,
                method=method,
                route=route,
                status=seen["status"],
                ms=round(took * 1000, 1),
                request_id=request_id,
                address=(scope.get("client") or ("unknown",))[0],
                **job,
            )
            if trace is not None:
                trace.end(scope, route, seen["status"], request_id, **job)
            if settings.metrics_enabled:
                is_recorded = trace is not None and trace.context.is_sampled
                trace_id = trace.context.trace_id if trace is not None and is_recorded else None
                traffic.add(method, route, seen["status"], took, trace_id)
                await traffic.flush_soon(lambda: async_client(settings.redis_address))
