import pytest
from pydantic import ValidationError

from shared.api.batch_requests import BatchRequest
from shared.api.requests import SubmitRequest


def errors(body: dict[str, object]) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        SubmitRequest.model_validate(body)
    return {"/".join(str(part) for part in error["loc"]): error["type"] for error in caught.value.errors()}


@pytest.mark.parametrize("query", ["", " ", "\t\r\n", "\ufeff", "\u00a0\u2003\u3000", "\v\f\u2028\u2029"])
def test_a_query_of_javascript_whitespace_is_blank(query):
    assert "query" in errors({"query": query})


@pytest.mark.parametrize("query", ["--version", "-", "\x1c", "\u200b", " x", "\x00"])
def test_any_other_query_is_not_blank_and_is_unchanged(query):
    assert SubmitRequest.model_validate({"query": query}).query == query


def test_a_whole_number_with_a_decimal_point_is_accepted():
    # JSON Schema has one kind of number, and so have generated clients.
    assert SubmitRequest.model_validate({"query": "x", "maxTurns": 5.0}).max_turns == 5


def test_an_unknown_field_is_named():
    assert errors({"query": "x", "prioritiy": "high"}) == {"prioritiy": "extra_forbidden"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_turns", 3), ("webhook_url", "https://example.com/"), ("system_prompt", "x"), ("output_schema", {})],
)
def test_an_internal_name_is_an_unknown_field(field, value):
    assert errors({"query": "x", field: value}) == {field: "extra_forbidden"}


def test_internal_names_are_unknown_in_a_batch_too():
    with pytest.raises(ValidationError) as caught:
        BatchRequest.model_validate(
            {"queries": [{"query": "x", "custom_id": "a"}], "webhook_url": "https://a.example/"}
        )
    assert [error["loc"] for error in caught.value.errors()] == [("queries", 0, "custom_id"), ("webhook_url",)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("query", 1),
        ("query", None),
        ("priority", "urgent"),
        ("context", []),
        ("context", {"a": [float("inf")]}),
        ("model", "--dangerously-skip-permissions"),
        ("model", ""),
        ("maxTurns", 0),
        ("maxTurns", 101),
        ("maxTurns", True),
        ("maxTurns", "3"),
        ("maxBudgetUsd", 0),
        ("maxBudgetUsd", float("nan")),
        ("effort", "maximum"),
        ("timeoutMs", 999),
        ("metadata", {"a": 1}),
        ("metadata", {str(i): "x" for i in range(17)}),
    ],
)
def test_a_wrong_value_is_an_error_of_its_field(field, value):
    assert any(place.startswith(field) for place in errors({"query": "x", field: value}))


def test_a_lone_surrogate_is_refused():
    assert "query" in errors({"query": "\ud800"})
