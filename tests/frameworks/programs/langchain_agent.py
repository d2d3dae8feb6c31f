"""The loop of an agent of LangChain."""

from common import QUESTION, add
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

ADD = tool(add)


def answered(chat, *, streamed=False):
    """Return the text of the answer after the calls of a tool."""
    messages, bound = [HumanMessage(QUESTION)], chat.bind_tools([ADD])
    while True:
        if streamed:
            first, *rest = bound.stream(messages)
            answer = sum(rest, first)
        else:
            answer = bound.invoke(messages)
        if not answer.tool_calls:
            return answer.text
        messages += [answer, *(ADD.invoke(call) for call in answer.tool_calls)]
