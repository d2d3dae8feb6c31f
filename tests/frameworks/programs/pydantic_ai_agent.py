"""pydantic-ai's Agent with both models."""

import asyncio

from common import MODEL, QUESTION, URL, Number, add, number, report
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

openai = OpenAIProvider(base_url=f"{URL}/v1", api_key="any")
chat, responses = OpenAIChatModel(MODEL, provider=openai), OpenAIResponsesModel(MODEL, provider=openai)
claude = AnthropicModel(MODEL, provider=AnthropicProvider(base_url=URL, api_key="any"))


def answered(model, **options):
    """Return the output of a run."""
    return number(Agent(model, **options).run_sync(QUESTION).output)


def streamed(model):
    """Return the text of a streamed run."""

    async def run():
        async with Agent(model).run_stream(QUESTION) as result:
            return "".join([piece async for piece in result.stream_text(delta=True)])

    return asyncio.run(run())


report(
    plain=lambda: answered(chat),
    streaming=lambda: streamed(chat),
    structured=lambda: answered(chat, output_type=NativeOutput(Number)),
    structured_default=lambda: answered(chat, output_type=Number),
    responses_plain=lambda: answered(responses),
    anthropic_plain=lambda: answered(claude),
    anthropic_streaming=lambda: streamed(claude),
    anthropic_structured=lambda: answered(claude, output_type=NativeOutput(Number)),
    anthropic_structured_default=lambda: answered(claude, output_type=Number),
    agent=lambda: answered(chat, tools=[add]),
    structured_agent=lambda: answered(chat, tools=[add], output_type=Number),
    responses_agent=lambda: answered(responses, tools=[add]),
    anthropic_agent=lambda: answered(claude, tools=[add]),
    anthropic_structured_agent=lambda: answered(claude, tools=[add], output_type=NativeOutput(Number)),
)
