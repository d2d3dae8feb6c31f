"""LangChain's ChatOpenAI."""

from common import MODEL, QUESTION, URL, Number, number, report
from langchain_agent import answered
from langchain_openai import ChatOpenAI

chat = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key="any")
responses = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key="any", use_responses_api=True)
report(
    plain=lambda: chat.invoke(QUESTION).text,
    streaming=lambda: "".join(chunk.text for chunk in chat.stream(QUESTION)),
    structured=lambda: number(chat.with_structured_output(Number).invoke(QUESTION)),
    agent=lambda: answered(chat),
    agent_streaming=lambda: answered(chat, streamed=True),
    responses_agent=lambda: answered(responses),
)
