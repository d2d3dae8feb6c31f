"""instructor with both packages."""

import anthropic
import instructor
import openai
from common import MODEL, QUESTION, URL, Number, report

MESSAGES = [{"role": "user", "content": QUESTION}]
chat = openai.OpenAI(base_url=f"{URL}/v1", api_key="any")
claude = anthropic.Anthropic(base_url=URL, api_key="any")


def answered(client, **options):
    """Return the number of an answer."""
    return client.create(model=MODEL, messages=MESSAGES, response_model=Number, max_retries=1, **options).n


report(
    structured=lambda: answered(instructor.from_openai(chat, mode=instructor.Mode.JSON_SCHEMA)),
    structured_default=lambda: answered(instructor.from_openai(chat)),
    structured_streaming=lambda: (
        list(
            instructor.from_openai(chat, mode=instructor.Mode.JSON_SCHEMA).create_partial(
                model=MODEL, messages=MESSAGES, response_model=Number
            )
        )[-1].n
    ),
    anthropic_structured=lambda: answered(instructor.from_anthropic(claude), max_tokens=512),
)
