import json
import shutil
import subprocess

import pytest

from shared.json_schema.javascript_pattern import compiles_in_javascript

TAKEN = [
    "", "a", "^[a-z]+$", r"\d{2,3}?", r"(?:a|b)*", r"(?<year>\d{4})-\d\d", r"[\w.\-]+@[\w\-]+", r"\/path\/\.", "a{2}",
    "(?=a)b", "(?<!x)y", r"[^\]]", r"\p{L}+", "[a-]", "[-a]", "\U0001f600+", r"\u00e9", r"\u{1F600}", "x??", "[]", ".",
    r"[+\-*/]", r"^\S+\s\b$", r"\cA", r"\0", "(a)(b)", r"[\x41-\x5a]",
]  # fmt: skip
LEFT_OUT = [
    r"a\-b", r"\@", r"\#", "{", "}", "]", "a{,3}", "*a", "^*", "(?=a)*", "(?P<a>b)", "(?i)a", r"\A", r"\Z", "a++",
    "(?>a)", r"[\w-a]", "[z-a]", "(", ")", "[", "\\", "(?<a>b)(?<a>c)", "a{3,2}", r"\1", "a**", r"\_", r"\p{Nope}",
    "(?#x)",
]  # fmt: skip


@pytest.mark.parametrize("pattern", TAKEN)
def test_patterns_that_javascript_compiles_are_kept(pattern):
    assert compiles_in_javascript(pattern)


@pytest.mark.parametrize("pattern", LEFT_OUT)
def test_patterns_that_javascript_may_refuse_are_left_out(pattern):
    assert not compiles_in_javascript(pattern)


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript engine on this machine")
def test_a_javascript_engine_compiles_every_kept_pattern():
    script = "for (const p of JSON.parse(process.argv[1])) new RegExp(p, 'u')"
    subprocess.run(["node", "-e", script, json.dumps(TAKEN)], check=True, timeout=20)
