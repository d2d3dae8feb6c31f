"""Calls whose client waits run in a CLI that has been started before: they set no option that it reads at its start."""

from pathlib import Path

import pytest

from functions.anthropic.requests import MessageRequest, query_of
from functions.openai import chat, requests
from functions.worker.cli import late
from functions.worker.cli.history import HistorySession, transcript
from functions.worker.cli.options import as_given_late, options_for, options_of_held
from functions.worker.cli.plan import plan_for
from functions.worker.cli.warm import KeptSession
from functions.worker.cli.workspace import Workspace
from functions.worker.relay.credential import Credential
from shared.configuration.settings import WorkerSettings

SETTINGS, PLACE, CREDENTIAL = WorkerSettings(), Workspace(Path("/nonexistent")), Credential.of({})
Q, A = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
TOOL = {"name": "t", "input_schema": SCHEMA}


def message(**fields):
    body = {"model": "claude-sonnet-5-5", "max_tokens": 1024, "messages": [Q], **fields}
    return query_of(MessageRequest.model_validate(body), None)[0]


def completion(**fields):
    return chat.translate(chat.ChatRequest.model_validate({"model": "opus", "messages": [Q], **fields}), None).query


def response(**fields):
    return requests.translate(requests.ResponseRequest.model_validate({"input": "q", **fields}), None).query


CALLS = [
    message(),
    message(max_tokens=1),
    message(max_tokens=64000, system=[{"type": "text", "text": "s"}], metadata={"user_id": "u"}),
    message(output_config={"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}),
    message(tools=[TOOL], tool_choice={"type": "any"}),
    message(messages=[Q, A, Q]),
    completion(),
    completion(max_completion_tokens=100, messages=[{"role": "system", "content": "s"}, Q], reasoning_effort="high"),
    completion(response_format={"type": "json_object"}),
    response(),
    response(store=False, instructions="s", max_output_tokens=500, model="haiku"),
    response(input=[Q, A, Q]),
]


@pytest.mark.parametrize("query", CALLS, ids=range(len(CALLS)))
def test_a_call_fits_a_waiting_cli(query):
    """Catches an option of the packages' plain calls with which every call starts a CLI of its own."""
    plan = plan_for(query.model_dump(mode="json", by_alias=True, exclude_none=True), SETTINGS)
    started = options_of_held(SETTINGS, PLACE, CREDENTIAL)
    needed = as_given_late(options_for(plan, SETTINGS, PLACE, credential=CREDENTIAL), plan)
    assert late.fits(needed, started, is_relayed=True)


def test_earlier_turns_fit_a_waiting_cli_whatever_the_model():
    """Catches turns that are taken for those of another model, with which a CLI is started."""
    turns = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in (Q, A)]

    def fits(answered, model):
        lines = transcript(turns, (), answered)
        return KeptSession(HistorySession(lines, None), lines).fits(model, {})

    assert all(fits(model, model) for model in ("claude-sonnet-5-5", "opus", "a-model-of-no-release", None))
    assert fits("claude-haiku-5-5-20261001", "haiku")
    assert not fits("claude-haiku-5-5", "opus")
