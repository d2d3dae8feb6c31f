import json

import pytest
from jsonschema_rs import Draft7Validator

from shared.json_schema import schema
from shared.json_schema.for_model import for_the_model, unwrap

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_a_schema_of_no_object_is_wrapped_in_one():
    given = {"type": "array", "items": {"$ref": "#/$defs/item"}, "$defs": {"item": {"type": "string"}}}
    schema_for_model = for_the_model(given)
    assert schema_for_model["type"] == "object"
    assert schema.problem_in(json.dumps(schema_for_model)) is None
    assert Draft7Validator(schema_for_model).is_valid({"value": ["a"]})
    assert not Draft7Validator(schema_for_model).is_valid({"value": [1]})
    assert unwrap(given, {"value": ["a"]}) == ["a"]
    with pytest.raises(ValueError, match="no answer"):
        unwrap(given, {"other": 1})


def test_an_object_schema_is_not_wrapped():
    assert for_the_model(OBJECT) == OBJECT
    assert unwrap(OBJECT, {"n": 1}) == {"n": 1}
    with pytest.raises(ValueError, match="no answer"):
        unwrap(OBJECT, [1])


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"$schema": "https://json-schema.org/draft/2020-12/schema", "x-note": 1}, {}),
        ({"$id": "https://example.com/a", "unevaluatedProperties": False}, {}),
        ({"items": {"prefixItems": [{"x": 1}]}}, {"items": {"items": [{}]}}),
        ({"prefixItems": [{}], "items": False}, {"items": [{}], "additionalItems": False}),
        ({"properties": {"x-note": {"x-note": 1}}}, {"properties": {"x-note": {}}}),
        ({"enum": [{"x-note": 1}], "default": {"x-note": 1}}, {"enum": [{"x-note": 1}], "default": {"x-note": 1}}),
        ({"if": {}, "then": {"x": 1}}, {"if": {}, "then": {}}),
        ({"if": {}}, {}),
        ({"contains": {}, "minContains": 0}, {}),
    ],
)
def test_the_model_gets_known_keywords_and_data_unchanged(given, left):
    schema_for_model = for_the_model({"type": "object", "properties": {"a": given}})
    assert schema_for_model == {"type": "object", "properties": {"a": left}}


BAD = r"a\-b"


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"pattern": BAD}, {}),
        ({"pattern": "^a"}, {"pattern": "^a"}),
        ({"not": {"pattern": BAD}}, {}),
        ({"not": {"not": {"pattern": BAD}}}, {}),
        ({"not": {"$ref": "#/properties/a/$defs/x"}, "$defs": {"x": {"pattern": BAD}}}, {"$defs": {"x": {}}}),
        ({"not": {"pattern": "a"}}, {"not": {"pattern": "a"}}),
        ({"if": {"minContains": 1}, "then": {"minimum": 1}, "else": {}}, {}),
        ({"if": {}, "then": {"pattern": BAD}}, {"if": {}, "then": {}}),
        ({"oneOf": [{"pattern": BAD}, {"type": "null"}]}, {}),
        ({"anyOf": [{"pattern": BAD}, {"type": "null"}]}, {"anyOf": [{}, {"type": "null"}]}),
        ({"patternProperties": {BAD: {}, "b": {}}, "additionalProperties": False}, {"patternProperties": {"b": {}}}),
    ],
)
def test_the_schema_for_the_model_is_never_narrower(given, left):
    schema_for_model = for_the_model({"type": "object", "properties": {"a": given}})
    assert schema_for_model == {"type": "object", "properties": {"a": left}}


def test_a_recursive_schema_below_not_is_written():
    loop = {"type": "object", "not": {"$ref": "#"}, "properties": {"a": {"$ref": "#"}}}
    assert for_the_model(loop)["properties"]["value"]["not"] == {"$ref": "#/properties/value"}


@pytest.mark.parametrize(
    "root",
    [
        {"anyOf": [{"required": ["n"]}]},
        {"oneOf": [{"required": ["n"]}]},
        {"allOf": [{"required": ["n"]}]},
        {"not": {"required": ["x"]}},
        {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object"}}},
        {"properties": {"ä": {}}},
        {"properties": {"with space": {}}},
        {"properties": {"x" * 65: {}}},
        {"properties": {"": {}}},
    ],
)
def test_a_root_that_the_api_refuses_is_wrapped(root):
    given = {**OBJECT, **root}
    schema_for_model = for_the_model(given)
    assert set(schema_for_model) == {"type", "properties", "required"}
    assert set(schema_for_model["properties"]) == {"value"}
    assert unwrap(given, {"value": {"n": 1}}) == {"n": 1}
