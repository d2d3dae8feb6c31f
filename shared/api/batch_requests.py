"""The objects that clients send about batches, with their limits."""

from typing import Annotated

from pydantic import ConfigDict, Field, StrictStr

from shared.api.requests import Body, Metadata, SubmitRequest, WebhookUrl

MOST_QUERIES = 1000
"""The number of queries that a batch may have."""


class BatchQuery(SubmitRequest):
    """A query of a batch, with the caller's own name for it."""

    custom_id: Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")] | None = Field(
        None, description="Returned with the result."
    )


class BatchRequest(Body):
    """Queries that are accepted together, and reported by one webhook."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"queries": [{"query": "What is 2+2?"}, {"query": "And 3+3?"}]}]},
    )

    queries: list[BatchQuery] = Field(min_length=1, max_length=MOST_QUERIES)
    webhook_url: WebhookUrl | None = Field(
        None,
        description="Receives one signed event when all jobs have ended.",
    )
    metadata: Metadata = Field(default_factory=dict, description="Returned in the batch's status.")
