"""The apps with which the API is compared: FastAPI as in its documentation, with the gateway's validation.

`plain` enqueues an RQ job; `constant` does nothing.
"""

import os

from fastapi import FastAPI
from redis import Redis
from rq import Queue

from shared.api.requests import SubmitRequest

plain = FastAPI()
constant = FastAPI()
_queue = Queue(connection=Redis.from_url(os.environ.get("REDIS_URL", "redis://")))
_ANSWER = {
    "requestId": "019a9c3e-5a70-7a31-9c55-2f6f2d1f4c11",
    "status": "queued",
    "jobId": "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22",
}


@plain.post("/api/query", status_code=202)
def enqueue(body: SubmitRequest) -> dict[str, str]:
    """Enqueue."""
    job = _queue.enqueue("tasks.run", body.model_dump())
    return {**_ANSWER, "jobId": job.id}


@constant.post("/api/query", status_code=202)
async def nothing(_body: SubmitRequest) -> dict[str, str]:
    """Validate, and answer."""
    return _ANSWER
