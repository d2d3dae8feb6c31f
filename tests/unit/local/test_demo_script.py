from typing import Any

import pytest

from local.demo_model import compose
from local.demo_script import script_of
from local.messages_api import TextBlock, ThinkingBlock, ToolCall, tool_results


def text_of(request):
    [block] = compose(request).blocks
    assert isinstance(block, TextBlock)
    return "".join(block.chunks)


def test_a_query_without_instructions_has_none():
    assert script_of("What is a demo: a show?").is_empty


def test_instructions_are_one_per_line():
    script = script_of("Please\ndemo: slow 2.5\n  demo: stream 7\nDemo is no instruction\ndemo: think")
    assert (script.seconds, script.words, script.thinks) == (2.5, 7, True)


def test_tools_are_called_one_after_another():
    query = 'demo: tool Bash {"command": "ls"}\ndemo: mcp a b.c/d {"x": 1}\ndemo: mcp a e'
    calls = [(call.name, call.input) for call in script_of(query).calls]
    assert calls == [("Bash", {"command": "ls"}), ("mcp__a__b_c_d", {"x": 1}), ("mcp__a__e", {})]
    request: Any = {"messages": [{"role": "user", "content": query}]}
    for number, name in enumerate(["Bash", "mcp__a__b_c_d", "mcp__a__e"]):
        [call] = compose(request).blocks
        assert isinstance(call, ToolCall)
        assert call.name == name
        result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": f"r{number}"}]}
        request["messages"] += [{"role": "assistant", "content": []}, {"role": "user", "content": [result]}]
    assert tool_results(request) == ["r0", "r1", "r2"]
    assert text_of(request).endswith("returned: r2")


def test_the_demo_thinks_before_it_answers_on_request():
    blocks = compose({"messages": [{"role": "user", "content": "demo: think"}]}).blocks
    assert isinstance(blocks[0], ThinkingBlock)


@pytest.mark.parametrize(
    "line", ["slow soon", "fail 418", "fail", "tool", "tool Bash {", "tool Bash []", "mcp a", "dance", "stream many"]
)
def test_an_instruction_that_cannot_be_followed_is_named_in_the_answer(line):
    answer = text_of({"messages": [{"role": "user", "content": f"demo: {line}"}]})
    assert f"`demo: {line.split()[0]}`" in answer


@pytest.mark.parametrize(
    "line", ["slow soon", "slow nan", "slow -1", "slow 601", "slow inf", "stream 10001", "stream 1.5"]
)
def test_a_number_out_of_bounds_is_answered_with_the_bounds(line):
    answer = text_of({"messages": [{"role": "user", "content": f"demo: {line}"}]})
    unit, most = ("seconds", 600) if line.startswith("slow") else ("words", 10000)
    assert answer.endswith(f"takes a number of {unit} from 0 to {most}.")
