import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.demo_answers import LABEL, answer, arithmetic, chunks
from local.demo_instances import minimal_instance


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("What is 2+2?", "4"),
        ("what is 6 * 7.", "42"),
        ("(1 + 2) * -3 =", "-9"),
        ("7 / 2", "3.5"),
        ("0.1 + 0.2", "0.3"),
        ("2^64", "18446744073709551616"),
        ("3 \u00d7 4 \u00f7 2", "6"),
        ('{"year": 2026}\n\nWhat is 17 % 5', "2"),
    ],
)
def test_a_calculation_in_a_query_is_evaluated(query, value):
    found = arithmetic(query)
    assert found is not None
    assert found[1] == value


@pytest.mark.parametrize("query", ["", "on 2026-10-31", "call 42", "...", "((((", "1 +", "2(3)", "a - b", "C++ --- **"])
def test_text_that_resembles_a_calculation_is_left_alone(query):
    assert arithmetic(query) is None


@pytest.mark.parametrize("query", ["9**9**9", "9^999999999", "9" * 60 + " * 2", "((9^150)^150)^150", "2.5^190^2"])
def test_a_calculation_too_large_is_refused_at_once(query):
    assert "too large" in answer(query)


def test_division_by_zero_and_roots_of_negatives_are_no_failure():
    assert "divides by zero" in answer("1/0")
    assert arithmetic("(0-1)^0.5") is None


def test_hello_is_answered_and_help_explains_real_credentials():
    assert "Hello" in answer("hi there")
    assert "ANTHROPIC_API_KEY" in answer("Who are you?")
    assert "CLAUDE_CODE_OAUTH_TOKEN" in answer("help")


def test_other_queries_are_counted_and_echoed_in_short():
    assert "3 words: “tell me more”" in answer(" tell  me\nmore ")
    assert "1 word:" in answer("more")
    assert len(answer("word " * 50_000)) < 200


@given(st.text())
def test_every_answer_is_labeled_as_not_from_claude(query):
    assert answer(query).startswith(LABEL)


@given(st.text(alphabet="0123456789+-*/%^(). ", max_size=120))
def test_no_arithmetic_breaks_the_evaluator(query):
    assert answer(query)


@given(st.text())
def test_the_chunks_of_a_text_are_few_and_join_to_the_text(text):
    pieces = chunks(text)
    assert "".join(pieces) == text
    assert len(pieces) <= 24


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        (
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "number"}},
                "required": ["a", "b"],
            },
            {"a": 0, "b": "demo"},
        ),
        ({"properties": {"ok": {"type": "boolean"}}}, {"ok": False}),
        ({"type": "array", "minItems": 2, "items": {"enum": ["x", "y"]}}, ["x", "x"]),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "string", "minLength": 6}, "demo.."),
        ({"type": "string", "maxLength": 2}, "de"),
        ({"type": ["null", "string"]}, None),
        ({"const": 7}, 7),
        ({"anyOf": [{"type": "integer", "minimum": 3}, {}]}, 3),
        ({"type": "integer", "exclusiveMinimum": 3, "multipleOf": 2}, 4),
        ({"type": "integer", "exclusiveMinimum": 0}, 1),
        ({"type": "number", "maximum": -1.5}, -2),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "boolean"}}}, False),
    ],
)
def test_a_minimal_instance_satisfies_its_schema(schema, instance):
    assert minimal_instance(schema) == instance


def test_a_schema_that_contains_itself_ends():
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert minimal_instance(schema)["next"]["next"]["next"]
