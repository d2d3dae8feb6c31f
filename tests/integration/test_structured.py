"""Answers under a schema, by the real CLI."""

import pytest

from tests.support.scripted_replies import Text, ToolUse

pytestmark = pytest.mark.once
SCHEMA = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}


def test_an_answer_that_fits_comes_back_as_json(gateway, script, model):
    script(lambda _: ToolUse("StructuredOutput", {"sum": 4}))
    job = gateway.ask("2 + 2", outputSchema=SCHEMA)
    assert (job["state"], job["result"]["format"], job["result"]["structured"]) == ("completed", "json", {"sum": 4})
    assert job["result"]["response"] == '{"sum": 4}'


def test_an_answer_that_is_no_object_comes_back_as_what_it_is(gateway, script):
    script(lambda _: ToolUse("StructuredOutput", {"value": ["a", "b"]}))
    job = gateway.ask("letters", outputSchema={"type": "array", "items": {"type": "string", "pattern": "^[a-z]$"}})
    assert job["result"]["structured"] == ["a", "b"]


def test_an_answer_without_the_json_is_schema_unsatisfied(gateway, script):
    script(lambda _: Text("four, I think"))
    job = gateway.ask("2 + 2 in words", outputSchema=SCHEMA)
    assert (job["state"], job["error"]["code"]) == ("failed", "schema_unsatisfied")


def test_an_expression_that_takes_for_ever_takes_no_slot(gateway, script):
    script(lambda _: ToolUse("StructuredOutput", {"text": "a" * 40 + "!"}))
    schema = {"type": "object", "properties": {"text": {"type": "string", "pattern": "^(a|a|a)*$"}}}
    job = gateway.submit("slow", outputSchema=schema, timeoutMs=3000)
    assert gateway.finished(job)["state"] == "failed"
    script(lambda _: Text("well"))
    assert gateway.ask("still there?")["state"] == "completed"


@pytest.mark.parametrize("schema", [{"type": "nothing"}, {"$ref": "http://example.com/x"}, {"required": "n"}])
def test_what_is_no_schema_is_refused_at_submit(gateway, schema):
    answer = gateway.client.post("/api/query", json={"query": "x", "outputSchema": schema})
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, ["/outputSchema"])


def test_two_schemas_are_two_requests(gateway, script):
    script(lambda _: ToolUse("StructuredOutput", {"sum": 4}))
    first = gateway.ask("the same", outputSchema=SCHEMA)
    answer = gateway.client.post("/api/query", json={"query": "the same", "outputSchema": {**SCHEMA, "title": "x"}})
    assert answer.status_code == 202
    again = gateway.client.post("/api/query", json={"query": "the same", "outputSchema": SCHEMA})
    assert (again.json()["status"], again.json()["result"]) == ("cached", first["result"])
