"""What the gateway passes on of a request to count tokens."""

import pytest

from functions.anthropic.counting import CountRequest, checked
from shared.api.errors import InvalidRequest
from shared.api.policies import NO_POLICY
from shared.configuration.settings import SubmitSettings

MESSAGES = [{"role": "user", "content": "q"}]


def passed(**fields):
    settings = SubmitSettings.model_validate({"CLAUDE_MODELS": "m,n"})
    return checked(CountRequest.model_validate({"model": "m", "messages": MESSAGES, **fields}), settings, NO_POLICY)


def test_what_can_change_the_number_is_passed_on():
    given = {"system": "s", "tools": [{"name": "t"}], "tool_choice": {"type": "auto"}, "thinking": {"type": "adaptive"}}
    assert passed(**given, output_config=None) == {"model": "m", "messages": MESSAGES, **given}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": "other"}, "model"),
        ({"model": 7}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "q"}, "messages"),
        ({"mcp_servers": [{}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]}, "messages.0"),
        (
            {"messages": [*MESSAGES, {"content": [{"content": [{"source": {"type": "file", "file_id": "f"}}]}]}]},
            "messages.1",
        ),
    ],
)
def test_anything_else_is_refused_by_name(fields, named):
    with pytest.raises(InvalidRequest) as refused:
        passed(**fields)
    assert refused.value.detail.startswith(f"{named}:")
