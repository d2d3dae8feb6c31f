"""Queries of compat APIs, with what our own API does not have."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, StrictBool, StrictStr, model_validator

from shared.api.batch_requests import BatchQuery
from shared.api.wire import finite


class CompatQuery(BatchQuery):
    """A query of a compat API, with what our own API does not have."""

    # Omitted when absent, so that digests of bodies that were stored before these fields stay valid.
    text_format: dict[str, Any] | None = Field(
        None,
        exclude_if=lambda options: options is None,
        description="The options of a text format that answers repeat.",
    )
    history: Annotated[list[dict[str, Any]], AfterValidator(finite)] = Field(
        default_factory=list,
        exclude_if=lambda turns: not turns,
        description="The turns before the query, as messages of Anthropic's API.",
    )
    answer_tool: StrictStr | None = Field(
        None,
        min_length=1,
        max_length=128,
        exclude_if=lambda name: name is None,
        description="The client's tool whose input is the structured answer.",
    )
    client_tools: Annotated[list[dict[str, Any]], AfterValidator(finite)] = Field(
        default_factory=list,
        max_length=128,
        exclude_if=lambda tools: not tools,
        description="Tools that the client runs itself, as the Messages API describes them.",
    )
    client_tool_choice: dict[str, Any] | None = Field(
        None,
        exclude_if=lambda choice: choice is None,
        description="The choice among the client's tools, as the Messages API describes it.",
    )
    live: StrictBool = Field(
        False,
        exclude_if=lambda live: not live,
        description="The client waits: an answer that reaches `maxOutputTokens` is returned as far as it goes.",
    )

    @model_validator(mode="after")
    def _is_urgent_if_live(self) -> Self:
        if self.live and "priority" not in self.model_fields_set:
            # Not a field that the client has set: a policy lowers it instead of refusing it.
            self.__dict__["priority"] = "high"
        return self


class ResponseQuery(CompatQuery):
    """A query of OpenAI's Responses API, whose request is kept with the job: a response repeats it."""

    keeps_request: ClassVar[bool] = True

    item_chain: dict[str, Any] | None = Field(
        None,
        exclude_if=lambda chain: chain is None,
        description="The job of the response whose items this one begins with, of a response that can be continued so.",
    )
