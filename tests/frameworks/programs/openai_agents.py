"""OpenAI's Agents SDK."""

import asyncio

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    Runner,
    WebSearchTool,
    function_tool,
    set_default_openai_client,
    set_tracing_disabled,
)
from common import MODEL, QUESTION, URL, Number, add, number, report
from openai import AsyncOpenAI

set_tracing_disabled(disabled=True)
ADD = function_tool(add)


def run(work):
    """Run a coroutine with a client of its own event loop."""

    async def with_client():
        async with AsyncOpenAI(base_url=f"{URL}/v1", api_key="any") as client:
            set_default_openai_client(client, use_for_tracing=False)
            return await work()

    return asyncio.run(with_client())


async def answered(model=MODEL, **options):
    """Return the final output of a run."""
    return number((await Runner.run(Agent(name="a", model=model, **options), QUESTION)).final_output)


async def chained(**options):
    """Return the final output of a run whose requests name the response before."""
    agent = Agent(name="a", model=MODEL, **options)
    return (await Runner.run(agent, QUESTION, auto_previous_response_id=True)).final_output


async def in_chat(**options):
    """Return the final output of a run that uses chat completions."""
    async with AsyncOpenAI(base_url=f"{URL}/v1", api_key="any") as client:
        return await answered(OpenAIChatCompletionsModel(MODEL, client), **options)


async def agent_streamed():
    """Return the final output of a streamed run."""
    result = Runner.run_streamed(Agent(name="a", model=MODEL, tools=[ADD]), QUESTION)
    async for _ in result.stream_events():
        pass
    return result.final_output


async def streamed():
    """Return the text of a streamed run."""
    result = Runner.run_streamed(Agent(name="a", model=MODEL), QUESTION)
    events = [event async for event in result.stream_events() if event.type == "raw_response_event"]
    return "".join(event.data.delta for event in events if event.data.type == "response.output_text.delta")


report(
    plain=lambda: run(answered),
    streaming=lambda: run(streamed),
    structured=lambda: run(lambda: answered(output_type=Number)),
    agent=lambda: run(lambda: answered(tools=[ADD])),
    agent_streaming=lambda: run(agent_streamed),
    structured_agent=lambda: run(lambda: answered(tools=[ADD], output_type=Number)),
    chained_agent=lambda: run(lambda: chained(tools=[ADD])),
    web_search=lambda: run(lambda: answered(tools=[WebSearchTool()])),
    chat_agent=lambda: run(lambda: in_chat(tools=[ADD])),
)
