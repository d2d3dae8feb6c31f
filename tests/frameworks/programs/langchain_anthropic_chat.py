"""LangChain's ChatAnthropic."""

from common import MODEL, QUESTION, URL, Number, number, report
from langchain_agent import answered
from langchain_anthropic import ChatAnthropic

chat = ChatAnthropic(model=MODEL, base_url=URL, api_key="any", max_tokens=512)
report(
    plain=lambda: chat.invoke(QUESTION).text,
    streaming=lambda: "".join(chunk.text for chunk in chat.stream(QUESTION)),
    structured=lambda: number(chat.with_structured_output(Number, method="json_schema").invoke(QUESTION)),
    structured_default=lambda: number(chat.with_structured_output(Number).invoke(QUESTION)),
    agent=lambda: answered(chat),
    agent_streaming=lambda: answered(chat, streamed=True),
)
