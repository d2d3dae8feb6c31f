import json

import pytest

from shared.json_schema import schema

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def problem_of(given):
    """Return the problem of a schema, and its place."""
    found = schema.problem_in(json.dumps(given))
    return f"{found.message}, at {found.place}" if found else ""


def nested(levels):
    """Return a schema nested a number of times."""
    return {"items": nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    "good",
    [
        {},
        OBJECT,
        {"type": "array", "items": {"$ref": "#/$defs/item"}, "$defs": {"item": {"type": "string"}}},
        {"type": "object", "properties": {"$ref": {"type": "string"}, "child": {"$ref": "#"}}},
        {"type": "object", "properties": {"$id": {"type": "string"}, "type": {"enum": [1]}}},
        {"anyOf": [{"type": "null"}, {"items": {"$ref": "#"}}]},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": "https://example.com/a",
            "$ref": "#/definitions/a",
            "definitions": {"a": {"type": "string"}},
        },
        {"x-note": "of a tool", "prefixItems": [{"type": "integer"}]},
        {"pattern": r"^\p{L}+$"},
        {"properties": {"n": {"pattern": "^(?<n>x)$"}}},
        {"patternProperties": {r"\p{L}": {}}},
        nested(180),
    ],
)
def test_a_self_contained_schema_is_accepted(good):
    assert problem_of(good) == ""


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"type": "obiect"}, "not a valid JSON Schema, at /type"),
        ({"properties": []}, "not a valid JSON Schema"),
        ({"$ref": "http://169.254.169.254/schema"}, "its own parts"),
        ({"items": {"$ref": "file:///etc/passwd"}}, "its own parts"),
        ({"$ref": "#/$defs/missing"}, "does not have"),
        ({"pattern": "("}, "a regular expression that cannot be compiled, at /pattern"),
        ({"properties": {"n": {"pattern": "[z-a]"}}}, "that cannot be compiled, at /properties/n/pattern"),
        ({"patternProperties": {"*": {}}}, "that cannot be compiled, at /patternProperties"),
        ({"pattern": 5}, "not a valid JSON Schema, at /pattern"),
        ({"pattern": "a{99999999999}"}, "cannot be compiled"),
        ({"pattern": "(" * 2000 + ")" * 2000}, "cannot be compiled, at /pattern"),
        ({"pattern": "(" * 3000 + ")" * 3000}, "4096 characters in a pattern, at /pattern"),
        ({"$schema": 5}, "draft 2020-12"),
        ({"$schema": []}, "draft 2020-12"),
        ({"$schema": "http://["}, "draft 2020-12"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "draft 2020-12"),
        ({"items": {"$id": "https://example.com/a"}}, "root only"),
        ({"allOf": [{}], "$ref": "#/allOf/x"}, "does not have"),
        ({"minimum": 5, "$ref": "#/minimum/x"}, "does not have"),
        ({"title": "abc", "$ref": "#/title"}, "not a schema"),
        ({"type": "object", "prefixItems": [{}], "$ref": "#/prefixItems/0"}, "does not have"),
        ({"$ref": "#"}, "endlessly"),
        ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "endlessly"),
        ({"type": [[number] for number in range(5000)]}, "7 types"),
        (nested(600), "too deep"),
    ],
)
def test_an_invalid_schema_or_a_remote_reference_is_named(bad, why):
    assert why in problem_of(bad)


def test_a_long_schema_is_refused_before_any_work():
    assert "120000 bytes" in problem_of({"description": "x" * 120_000})
    assert problem_of({"description": "x" * 100_000}) == ""


def test_a_schema_is_measured_as_sent_and_as_given_to_the_model():
    assert "120000 bytes" in problem_of({"type": "object", "x": "y" * 120_000})
    assert problem_of({"type": "object", "x": "y" * 100_000}) == ""
    # In draft 07 each reference in a schema of no object is longer.
    references = {"anyOf": [{"$ref": "#/$defs/a"}] * 5000, "$defs": {"a": {"type": "string"}}}
    assert "120000 bytes" in problem_of(references)
