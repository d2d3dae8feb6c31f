"""Structured output, with the real CLI."""

import pytest

from tests.support.parameters import first_of
from tests.support.scripted_replies import Text, ToolUse

pytestmark = pytest.mark.once
SCHEMA = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}


def test_an_answer_that_fits_is_returned_as_json(gateway, script, model):
    script(lambda _: ToolUse("StructuredOutput", {"sum": 4}))
    job = gateway.ask("2 + 2", outputSchema=SCHEMA)
    assert (job["state"], job["result"]["format"], job["result"]["structured"]) == ("completed", "json", {"sum": 4})
    assert job["result"]["response"] == '{"sum": 4}'


def test_an_answer_that_is_no_object_is_returned_as_it_is(gateway, script):
    script(lambda _: ToolUse("StructuredOutput", {"value": ["a", "b"]}))
    job = gateway.ask("letters", outputSchema={"type": "array", "items": {"type": "string", "pattern": "^[a-z]$"}})
    assert job["result"]["structured"] == ["a", "b"]


def test_an_answer_without_the_json_is_schema_unsatisfied(gateway, script):
    script(lambda _: Text("four, I think"))
    job = gateway.ask("2 + 2 in words", outputSchema=SCHEMA)
    assert (job["state"], job["error"]["code"]) == ("failed", "schema_unsatisfied")


@pytest.mark.slow
@pytest.mark.long
def test_an_endless_regular_expression_blocks_no_slot(gateway, script):
    script(lambda _: ToolUse("StructuredOutput", {"text": "a" * 40 + "!"}))
    schema = {"type": "object", "properties": {"text": {"type": "string", "pattern": "^(a|a|a)*$"}}}
    job = gateway.submit("slow", outputSchema=schema, timeoutMs=3000)
    assert gateway.finished(job)["state"] == "failed"
    script(lambda _: Text("well"))
    assert gateway.ask("still there?")["state"] == "completed"


@pytest.mark.slow
@pytest.mark.long
def test_an_exponential_schema_ends_with_the_timeout_of_its_job(gateway, script):
    # The CLI checks the value 2^40 times, and so would the gateway.
    steps = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    schema = {"type": "object", "properties": {"n": {"$ref": "#/$defs/a0"}}, "$defs": {**steps, "a40": {}}}
    script(lambda _: ToolUse("StructuredOutput", {"n": 1}))
    jobs = [gateway.submit(f"slow {n}", outputSchema=schema, timeoutMs=5000) for n in range(2)]
    assert [gateway.finished(job)["error"]["code"] for job in jobs] == ["timeout"] * 2
    script(lambda _: Text("well"))
    assert gateway.ask("free again?")["state"] == "completed"


def test_the_gateway_checks_keywords_that_the_cli_does_not_know(gateway, script):
    pair = {"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "x-note": "of a tool"}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/pair",
        "type": "object",
        "properties": {"pair": pair},
        "required": ["pair"],
    }
    script(lambda _: ToolUse("StructuredOutput", {"pair": [1, "a"]}))
    assert gateway.ask("a pair", outputSchema=schema)["result"]["structured"] == {"pair": [1, "a"]}
    script(lambda _: ToolUse("StructuredOutput", {"pair": ["a", 1]}))
    assert gateway.ask("another pair", outputSchema=schema)["error"]["code"] == "schema_unsatisfied"


@pytest.mark.slow
@pytest.mark.long
def test_an_enum_with_a_repeated_value_can_be_answered(gateway, script):
    script(lambda _: ToolUse("StructuredOutput", {"color": "red"}))
    schema = {"type": "object", "properties": {"color": {"enum": ["red", "blue", "red"]}}}
    assert gateway.ask("a color", outputSchema=schema)["result"]["structured"] == {"color": "red"}


@pytest.mark.parametrize(
    ("schema", "place"),
    [({"type": "nothing"}, "/type"), ({"$ref": "http://example.com/x"}, ""), ({"required": "n"}, "/required")],
)
def test_an_invalid_schema_is_refused_at_submit(gateway, schema, place):
    answer = gateway.client.post("/api/query", json={"query": "x", "outputSchema": schema})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/outputSchema{place}"]


@pytest.mark.slow
@pytest.mark.long
def test_two_schemas_are_two_requests(gateway, script):
    script(lambda _: ToolUse("StructuredOutput", {"sum": 4}))
    first = gateway.ask("the same", outputSchema=SCHEMA)
    answer = gateway.client.post("/api/query", json={"query": "the same", "outputSchema": {**SCHEMA, "title": "x"}})
    assert answer.status_code == 202
    again = gateway.client.post("/api/query", json={"query": "the same", "outputSchema": SCHEMA})
    assert (again.json()["status"], again.json()["result"]) == ("cached", first["result"])


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "object", "x": "y" * 130_000}, "120000 bytes"),
        ({"type": "string", "pattern": "[z-a]"}, "a regular expression that cannot be compiled, at /pattern"),
    ],
    ids=["long where the model does not see it", "an expression that nothing compiles"],
)
def test_a_schema_refused_at_submit_has_a_reason(gateway, schema, reason):
    answer = gateway.client.post("/api/query", json={"query": "x", "outputSchema": schema})
    assert answer.status_code == 422
    assert reason in answer.json()["errors"][0]["message"]


@pytest.mark.slow
@pytest.mark.long
def test_integers_keep_the_digits_that_the_model_wrote(gateway, script):
    given = {"ids": [9007199254740993, 2**63 - 1, -(10**30)], "share": 0.1, "on": True}
    script(lambda _: ToolUse("StructuredOutput", given))
    schema = {"type": "object", "properties": {"ids": {"type": "array", "items": {"type": "integer"}}}}
    job = gateway.ask("large integers", outputSchema=schema)
    assert job["result"]["structured"] == given
    assert "9007199254740993" in job["result"]["response"]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("root", "answer"),
    first_of(
        [
            ({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1}),
            ({"anyOf": [{"type": "object"}, {"type": "null"}]}, None),
            ({"type": "object", "properties": {"größe": {"type": "integer"}}, "required": ["größe"]}, {"größe": 4}),
        ]
    ),
)
def test_a_root_that_the_api_refuses_is_wrapped(gateway, script, model, root, answer):
    script(lambda _: ToolUse("StructuredOutput", {"value": answer}))
    assert gateway.ask("wrapped", outputSchema=root)["result"]["structured"] == answer
    [tool] = [tool for tool in model.requests[-1].body["tools"] if tool["name"] == "StructuredOutput"]
    assert set(tool["input_schema"]["properties"]) == {"value"}


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("text", "state"), first_of([("a+b", "failed"), ("a-b", "completed")]))
def test_the_gateway_checks_expressions_that_the_cli_cannot_compile(gateway, script, text, state):
    script(lambda _: ToolUse("StructuredOutput", {"text": text}))
    schema = {"type": "object", "properties": {"text": {"type": "string", "pattern": r"^a\-b$"}}}
    assert gateway.ask(f"expression for {text}", outputSchema=schema)["state"] == state


@pytest.mark.parametrize(
    ("number", "schema"),
    first_of(
        [
            (4.02, {"multipleOf": 0.01}),
            (0.3, {"multipleOf": 0.1}),
            (2**63 + 1, {"type": "integer", "minimum": 2**63}),
            ("5", {"type": "string", "pattern": r"^\d$"}),
            ("\u00a0", {"type": "string", "pattern": r"^\s$"}),
            ("é", {"type": "string", "pattern": r"^\p{L}$"}),
        ]
    ),
)
def test_an_answer_that_fits_in_javascript_and_in_decimals_is_accepted(gateway, script, number, schema):
    script(lambda _: ToolUse("StructuredOutput", {"n": number}))
    job = gateway.ask(f"fits {number!r}", outputSchema={"type": "object", "properties": {"n": schema}})
    assert job["result"]["structured"] == {"n": number}


@pytest.mark.parametrize(
    ("number", "schema"), first_of([(4.025, {"multipleOf": 0.01}), (2**63 - 1, {"minimum": 2**63})])
)
def test_an_answer_that_the_cli_rounds_is_checked_by_its_digits(gateway, script, number, schema):
    script(lambda _: ToolUse("StructuredOutput", {"n": number}))
    job = gateway.ask(f"fits not {number!r}", outputSchema={"type": "object", "properties": {"n": schema}})
    assert job["error"]["code"] == "schema_unsatisfied"
