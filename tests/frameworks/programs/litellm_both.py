"""LiteLLM's `completion` through both APIs, and its `responses`."""

import json

import litellm
from common import MODEL, QUESTION, URL, Number, add, report

MESSAGES = [{"role": "user", "content": QUESTION}]
OPENAI = {"model": f"openai/{MODEL}", "api_base": f"{URL}/v1", "api_key": "any"}
ANTHROPIC = {"model": f"anthropic/{MODEL}", "api_base": URL, "api_key": "any"}


def completed(**options):
    """Return the text of a completion."""
    return litellm.completion(messages=MESSAGES, **options).choices[0].message.content


def streamed(**options):
    """Return the text of a streamed completion."""
    chunks = litellm.completion(messages=MESSAGES, stream=True, **options)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def structured(**options):
    """Return the number of a structured completion."""
    return Number.model_validate_json(completed(response_format=Number, **options)).n


NUMBERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}
ADD = {"type": "function", "function": {"name": "add", "description": "Add two numbers.", "parameters": NUMBERS}}


def agent(**options):
    """Return the text of a completion after the calls of a tool."""
    messages = list(MESSAGES)
    while True:
        answer = litellm.completion(messages=messages, tools=[ADD], **options).choices[0].message
        if not answer.tool_calls:
            return answer.content
        messages.append(answer)
        for call in answer.tool_calls:
            result = add(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "name": "add", "content": result})


report(
    plain=lambda: completed(**OPENAI),
    streaming=lambda: streamed(**OPENAI),
    structured=lambda: structured(**OPENAI),
    anthropic_plain=lambda: completed(**ANTHROPIC),
    anthropic_streaming=lambda: streamed(**ANTHROPIC),
    anthropic_structured=lambda: structured(**ANTHROPIC),
    agent=lambda: agent(**OPENAI),
    anthropic_agent=lambda: agent(**ANTHROPIC),
    responses=lambda: litellm.responses(input=QUESTION, **OPENAI).output[0].content[0].text,
)
