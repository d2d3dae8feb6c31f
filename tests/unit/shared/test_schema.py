import pytest

from shared import schema

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    "good",
    [
        {},
        OBJECT,
        {"type": "array", "items": {"$ref": "#/$defs/item"}, "$defs": {"item": {"type": "string"}}},
        {"type": "object", "properties": {"$ref": {"type": "string"}, "child": {"$ref": "#"}}},
    ],
)
def test_a_schema_that_stands_by_itself_is_one(good):
    assert schema.problem_of(good) is None


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"type": "obiect"}, "no JSON Schema, at /type"),
        ({"properties": []}, "no JSON Schema"),
        ({"$ref": "http://169.254.169.254/schema"}, "its own parts"),
        ({"items": {"$ref": "file:///etc/passwd"}}, "its own parts"),
        ({"$ref": "#/$defs/missing"}, "does not have"),
        ({"pattern": "("}, "no JSON Schema"),
    ],
)
def test_what_is_no_schema_or_asks_for_another_is_told_by_name(bad, why):
    assert why in (schema.problem_of(bad) or "")


def test_what_is_no_object_is_asked_for_in_one():
    given = {"type": "array", "items": {"$ref": "#/$defs/item"}, "$defs": {"item": {"type": "string"}}}
    asked = schema.for_the_model(given)
    assert asked["type"] == "object"
    assert schema.problem_of(asked) is None
    schema.check(asked, {"value": ["a"]})
    with pytest.raises(ValueError, match="fit"):
        schema.check(asked, {"value": [1]})
    assert schema.unwrapped(given, {"value": ["a"]}) == ["a"]
    with pytest.raises(ValueError, match="no answer"):
        schema.unwrapped(given, {"other": 1})


def test_an_object_is_asked_for_as_it_is():
    assert schema.for_the_model(OBJECT) == OBJECT
    assert schema.unwrapped(OBJECT, {"n": 1}) == {"n": 1}
    with pytest.raises(ValueError, match="fit"):
        schema.check(OBJECT, {"n": "1"})
