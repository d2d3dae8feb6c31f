"""Every error code from its cause, one line each."""

import pytest
from claude_agent_sdk import ResultMessage

from functions.worker.cli.report import Report
from functions.worker.jobs.outcome import RETRYABLE, failed, judge
from shared.api.models import Result
from shared.api.vocabulary import ErrorCode

LIMIT = 1_000_000


def envelope(**changes: object) -> ResultMessage:
    fields: dict[str, object] = {
        "subtype": "success",
        "duration_ms": 812,
        "duration_api_ms": 700,
        "is_error": False,
        "num_turns": 1,
        "session_id": "s",
        "total_cost_usd": 0.5,
        "usage": {
            "input_tokens": 1,
            "output_tokens": 2,
            "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": None,
        },
        "result": "4",
    }
    return ResultMessage(**{**fields, **changes})  # type: ignore[arg-type]


def code(report: Report) -> ErrorCode:
    outcome = judge(report, max_output_bytes=LIMIT)
    assert outcome.state == "failed"
    found: ErrorCode = outcome.body["error"]["code"]
    return found


def test_a_clean_envelope_is_a_result_with_its_usage():
    outcome = judge(Report(envelope(), model="m", text="4"), max_output_bytes=LIMIT)
    assert outcome.state == "completed"
    result = Result.model_validate(outcome.body["result"])
    assert (result.response, result.model, result.cost_usd, result.duration_ms, result.turns) == ("4", "m", 0.5, 812, 1)
    assert result.usage.model_dump() == {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_tokens": 3,
        "cache_creation_tokens": 0,
    }


def test_the_usage_adds_up_every_model_of_the_run():
    one = {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 1, "cacheCreationInputTokens": 2, "costUSD": 1}
    report = Report(envelope(model_usage={"main": one, "subagent": one}), model="main", text="4")
    usage = judge(report, max_output_bytes=LIMIT).body["result"]["usage"]
    assert usage == {"inputTokens": 20, "outputTokens": 10, "cacheReadTokens": 2, "cacheCreationTokens": 4}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "invalid_request"),
        (401, "authentication_failed"),
        (402, "billing_error"),
        (403, "authentication_failed"),
        (404, "model_not_found"),
        (413, "invalid_request"),
        (418, "invalid_request"),
        (429, "rate_limited"),
        (500, "server_error"),
        (503, "server_error"),
        (529, "overloaded"),
    ],
)
def test_an_api_error_is_recognized_by_its_status_despite_its_subtype(status, expected):
    # 529 has the kind server_error, 400 and 402 have unknown: the status is more specific.
    report = Report(envelope(is_error=True, api_error_status=status), error_kind="server_error")
    assert code(report) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("authentication_failed", "authentication_failed"),
        ("billing_error", "billing_error"),
        ("rate_limit", "rate_limited"),
        ("model_not_found", "model_not_found"),
        ("max_output_tokens", "output_too_large"),
        ("server_error", "server_error"),
        ("unknown", "server_error"),
        (None, "server_error"),
    ],
)
def test_an_api_error_without_a_status_is_recognized_by_its_kind(kind, expected):
    assert code(Report(envelope(is_error=True), error_kind=kind)) == expected


def test_a_more_specific_kind_wins_over_the_status():
    # "Your credit balance is too low" is a 400.
    assert code(Report(envelope(is_error=True, api_error_status=400), error_kind="billing_error")) == "billing_error"


@pytest.mark.parametrize(
    ("subtype", "expected"),
    [
        ("error_max_turns", "max_turns"),
        ("error_max_budget_usd", "budget_exceeded"),
        ("error_max_structured_output_retries", "schema_unsatisfied"),
        ("error_during_execution", "server_error"),
        ("error_of_a_later_release", "server_error"),
    ],
)
def test_an_error_envelope_is_recognized_by_its_subtype(subtype, expected):
    assert code(Report(envelope(subtype=subtype, is_error=True), model="m")) == expected


@pytest.mark.parametrize(
    "report",
    [
        Report(envelope(num_turns=0, result="Blank prompt"), model="m", text="Blank prompt"),
        Report(envelope(result="4"), model="m", text=""),
        Report(envelope(result="4"), model="m", text=" \n"),
        Report(envelope(result="Total cost: $0"), model=None, text="Total cost: $0"),
    ],
    ids=["no turn", "no text", "blank", "no model spoke"],
)
def test_a_success_without_text_of_a_model_is_empty(report):
    assert code(report) == "empty_result"


def test_no_envelope_is_a_crash():
    assert code(Report()) == "cli_crashed"


def test_a_failure_of_the_run_wins_over_the_envelope():
    assert code(Report(envelope(), model="m", failure="output_too_large")) == "output_too_large"


def test_a_result_above_the_limit_is_too_large_counted_as_json():
    # Each quotation mark is two characters in JSON.
    assert code(Report(envelope(), model="m", text='"' * (LIMIT // 2))) == "output_too_large"


@pytest.mark.parametrize("name", ["timeout", "max_turns", "authentication_failed", "cli_crashed", "overloaded"])
def test_a_failure_says_whether_a_retry_makes_sense(name):
    assert failed(name).body["error"]["retryable"] is (name in RETRYABLE)
