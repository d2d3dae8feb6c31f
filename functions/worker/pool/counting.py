"""Count the tokens of a request that belongs to no run: the slot's relay asks Claude, without a CLI."""

import asyncio
import json
import logging
import time
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.jobs.outcome import failed
from functions.worker.relay.models import resolve
from functions.worker.relay.relay import Relay
from functions.worker.relay.retrying import is_transient, pause
from functions.worker.relay.run import Failure
from shared.api.vocabulary import ErrorCode
from shared.logs import event
from shared.store.fleet import counting

log = logging.getLogger("worker.relay")

_TARGET = "/v1/messages/count_tokens"
_HEADERS = {"content-type": "application/json", "accept": "application/json", "anthropic-version": "2023-06-01"}
_CODES: dict[int, ErrorCode] = {400: "invalid_request", 402: "billing_error", 404: "model_not_found"}


async def answer_waiting(client: redis.asyncio.Redis, relay: Relay) -> None:
    """Answer the requests that wait, until there is none."""
    try:
        while (request := await counting.take(client)) is not None:
            left = request.deadline - time.time()
            if left > 0:
                await counting.answer(client, request.request_id, await _count(relay, request.body, left))
    except RedisError as error:
        event(log, "count_not_answered", logging.WARNING, error=type(error).__name__)


async def _count(relay: Relay, text: str, seconds: float) -> dict[str, Any]:
    body = json.loads(text)
    body["model"] = resolve(body["model"], relay.environ)
    data = json.dumps(body, ensure_ascii=False).encode()
    code: ErrorCode = "timeout"
    tries = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = await relay.ask(_TARGET, _HEADERS, data)
                if not isinstance(found, Failure):
                    return {"inputTokens": int(json.loads(found)["input_tokens"])}
                code = _CODES.get(found.status or 0, found.code)
                if found.status is not None and not is_transient(found.status):
                    break
                tries += 1
                await asyncio.sleep(pause(tries, found.retry_after))
    except TimeoutError:
        pass
    except (ValueError, KeyError, TypeError):
        code = "server_error"
    return failed(code).body
