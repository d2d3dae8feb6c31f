"""The header of a script lists exactly what Python sends, and exactly what the script reads.

Python passes the arguments by name, and `scripts.run` compares the names with the header at every call, also in
production. So the tests of the store hold that half; this file holds it for calls that no test makes, and compares the
header with the script itself.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from shared.store.jobs import batches, settlements, submissions
from shared.store.redis import scripts
from shared.store.redis.signatures import Signature

ROOT = Path(__file__).parents[2]
NAMES = scripts.names()
HEADER = """-- Do something.
-- ARGV
--   job_id
--   entry   JSON: an object
--     caller  whose job it is
--             and more of the same
--     number
--     trace?  of its request
--   lines ...  two for each line
-- Returns 1.
"""


def body_of(name: str) -> str:
    """Return a script without its comments and string literals, so that only code is left."""
    lines = scripts.files(name)[-1].read_text().splitlines()
    return "\n".join(re.sub(r"'[^'\n]*'", "''", re.sub(r"--.*", "", line)) for line in lines).strip()


def binding_of(name: str) -> tuple[list[str], str, str]:
    """Return the locals that the first statement of a script binds, the values, and the rest of the script."""
    found = re.match(r"local ([\w, ]+?)\s*=\s*(.*?)(?=\n\S|\Z)", body_of(name), re.DOTALL)
    assert found, f"{name}.lua does not begin with its arguments"
    return re.split(r",\s*", found[1]), found[2], body_of(name)[found.end() :]


@pytest.mark.parametrize("name", NAMES)
def test_a_script_binds_the_arguments_of_its_header(name):
    """Catches an argument that the header lists otherwise, and a position below the first lines."""
    parameters = scripts.signature(name).parameters
    if not parameters:
        assert "ARGV" not in body_of(name)
        return
    bound, values, rest = binding_of(name)
    short = {"job_id": "id", "batch_id": "id"}
    for local, parameter in zip(bound, parameters, strict=True):
        assert local in {parameter.name, short.get(parameter.name)}
    assert "ARGV" not in rest
    positions = [int(number) for number in re.findall(r"ARGV(?:\[|, )(\d+)", values)]
    assert positions == list(range(1, len(parameters) + 1))
    for position, parameter in enumerate(parameters, 1):
        assert (f"cjson.decode(ARGV[{position}])" in values) >= (parameter.fields is not None)
        assert (f"rest(ARGV, {position})" in values) == parameter.rest


@pytest.mark.parametrize("name", NAMES)
def test_a_script_reads_every_argument_of_its_header(name):
    """Catches an argument or a field that is sent and that nothing reads, and a field that is read and not sent."""
    parameters = scripts.signature(name).parameters
    if not parameters:
        return
    _, _, rest = binding_of(name)
    every = "\n".join(re.sub(r"--.*", "", path.read_text()) for path in scripts.files(name))
    for local, parameter in zip(binding_of(name)[0], parameters, strict=True):
        assert re.search(rf"\b{local}\b", rest), f"{name}.lua does not read {parameter.name}"
        if parameter.fields is not None:
            read = set(re.findall(rf"\b{parameter.name}\.(\w+)", rest))
            assert read <= parameter.fields, f"{name}.lua reads fields that its header does not list"
            unread = {field for field in parameter.fields if not re.search(rf"\.{field}\b", every)}
            assert not unread, f"{name}.lua lists fields that nothing reads"


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of `scripts.run` and `scripts.run_sync` in the store, with its file."""
    for path in sorted((ROOT / "shared").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="scripts"), attr="run" | "run_sync")):
                    yield str(path.relative_to(ROOT)), node
                case _:
                    pass


def test_every_call_names_the_arguments_of_the_header():
    """Catches a call that no test makes, and a script that nothing calls."""
    called = set()
    for path, call in calls():
        assert len(call.args) == 2, f"{path}: passes an argument by position"
        if not isinstance(call.args[1], ast.Constant):
            assert path == "shared/store/jobs/claims.py"  # a settlement, which names its script
            continue
        name = str(call.args[1].value)
        called.add(name)
        sent = {keyword.arg for keyword in call.keywords}
        assert sent == {parameter.name for parameter in scripts.signature(name).parameters}, f"{path}: {name}"
    settling = {"finish", "retry", "hand_back", "spent", "pause"}
    assert called | settling == set(NAMES)


SETTLEMENTS: dict[str, type[settlements._Settlement]] = {
    "finish": settlements.Finish, "retry": settlements.Retry, "hand_back": settlements.HandBack,
    "spent": settlements.Spent, "pause": settlements.Pause,
}  # fmt: skip
SUBMISSION = {field.name: field for field in fields(submissions.Submission)}
SENT = {
    ("submit", "submission"): SUBMISSION.keys() - {"request", "metadata"},
    ("submit", "limits"): set(submissions.Limits._fields),
    ("batch", "limits"): set(submissions.Limits._fields),
    ("batch", "batch"): set(batches.Batch("b", "r", "c", []).fields),
    **{
        (name, "settlement"): set(model.model_fields) - {"script", "key", "signature", *model._texts}
        for name, model in SETTLEMENTS.items()
    },
}


@pytest.mark.parametrize(("name", "argument"), SENT)
def test_a_header_lists_the_fields_of_what_python_sends(name, argument):
    """Catches a field of a class that the header of its script does not list, and the reverse."""
    assert scripts.signature(name).parameter(argument).fields == frozenset(SENT[name, argument])


@pytest.mark.parametrize("name", ["submit", "batch"])
def test_the_fields_that_may_be_left_out_are_those_with_a_default(name):
    """Catches a field that a script takes for given."""
    assert scripts.signature(name).parameter("limits").optional == submissions.Limits._field_defaults.keys()
    if name == "submit":
        optional = scripts.signature(name).parameter("submission").optional
        defaults = {one: field.default for one, field in SUBMISSION.items() if field.default is not MISSING}
        assert optional == defaults.keys() - {"metadata"}
        assert not any(defaults.values())


def test_a_field_that_is_zero_and_has_no_default_is_sent():
    submission = submissions.Submission("j", "r", "c", priority=0, timeout_ms=1, request="{}")
    assert submission.fields == {"job_id": "j", "request_id": "r", "caller": "c", "priority": 0, "timeout_ms": 1}
    assert submissions.Limits(max_waiting=0).fields == {"max_waiting": 0}


def test_a_call_with_other_names_than_the_header_fails():
    """Catches a comparison that lets a difference through."""
    signature = Signature("example", HEADER)
    entry = {"caller": "c", "number": 1}
    assert signature.values({"job_id": "j", "entry": entry, "lines": ["a", "b"]}) == [
        "j", '{"caller":"c","number":1}', "a", "b",
    ]  # fmt: skip
    [_, traced] = signature.values({"job_id": "j", "entry": {**entry, "trace": "t"}, "lines": []})
    assert traced == '{"caller":"c","number":1,"trace":"t"}'
    for wrong in (
        {"job_id": "j", "entry": entry},
        {"job_id": "j", "entry": entry, "lines": [], "more": 1},
        {"job_id": "j", "entry": {"caller": "c"}, "lines": []},
        {"job_id": "j", "entry": {**entry, "more": 1}, "lines": []},
    ):
        with pytest.raises(TypeError, match="differ"):
            signature.values(wrong)


@pytest.mark.parametrize("header", ["-- Do.\n", "-- ARGV\n--   a\n", "-- ARGV\n-- 1 job id\n-- Returns 1.\n"])
def test_a_header_of_another_form_is_refused(header):
    with pytest.raises(ValueError, match=r"x\.lua"):
        Signature("x", header)


def test_the_names_of_keys_are_those_of_python():
    """Catches a key that the scripts name and `keys.py` does not describe."""
    lua = (ROOT / "shared/store/redis/names.lua").read_text()
    python = "\n".join((ROOT / "shared/store" / path).read_text() for path in ("keys.py", "callers/spending.py"))
    names = set(re.findall(r"'cg:(\w+)", lua))
    assert len(names) > 30
    described = set(re.findall(r"cg:(\w+)|PREFIX \+ \"(\w+)|\{PREFIX\}(\w+)", python))
    assert names <= {name for groups in described for name in groups}
