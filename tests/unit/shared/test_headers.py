"""Headers of clients are parsed without an exception, whatever they contain."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from shared.http import headers

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
ANYTHING = st.text(alphabet=st.characters(max_codepoint=255), max_size=300)


def of(*pairs):
    return Headers(raw=[(name.encode(), value.encode("latin-1")) for name, value in pairs])


@pytest.mark.parametrize(("lines", "seconds"), [
    ([], 0), (["wait=5"], 5), (["wait=100"], 25), (["WAIT=5"], 5), (['wait="5"'], 5), (["wait = 5"], 5),
    (["respond-async, wait=5"], 5), (["wait=5, respond-async"], 5), (["respond-async", "wait=5"], 5),
    (["handling=lenient; strict=1, wait=5; x=y"], 5), (["wait=5;x=y"], 5), (["wait=1", "wait=9"], 1),
    (["wait=soon, wait=5"], 0), (["wait"], 0), (["wait="], 0), (["wait=-1"], 0), (["wait=1.5"], 0), (["await=5"], 0),
    (['note="a, wait=5"'], 0), (["respond-async; wait=5"], 0), ([r'note="a\", wait=9", wait=5'], 5), (["wait=٣"], 0),
    ([", ,wait=5"], 5), (["wait=" + "9" * 400], 0), (['wait="5'], 0),
])  # fmt: skip
def test_prefer_is_parsed_by_rfc_7240(lines, seconds):
    raw = [(b"prefer", line.encode()) for line in lines]
    assert headers.preferred_wait(Headers(raw=raw), 25.0) == seconds


@pytest.mark.parametrize("line", ['"' * 60_000, '\\"' * 30_000, "; " * 30_000, " " * 60_000, "a=" * 30_000])
def test_a_long_prefer_header_is_parsed_quickly(line):
    started = time.monotonic()
    headers.preferred_wait(of(*[("prefer", line)] * 100), 25.0)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(("accept", "wanted"), [
    ("", False), ("*/*", False), ("text/plain", False), ("application/openmetrics-text", True),
    ("application/openmetrics-text; version=1.0.0", True), ("application/openmetrics-text; version=x", False),
    ("application/openmetrics-text; version=", False), ("application/openmetrics-text;q=0", False),
    ("application/openmetrics-text; version=99999999999999999999", False), ("text/plain; version=x", False),
    (PROMETHEUS, True),
    ("text/plain, application/openmetrics-text; q=0.1", False), ("application/openmetrics-text; q=nan", False),
])  # fmt: skip
def test_openmetrics_is_chosen_when_accepted(accept, wanted):
    assert headers.wants_openmetrics(accept) is wanted


@pytest.mark.parametrize(("value", "host"), [
    ("localhost", "localhost"), ("LOCALHOST:3000", "localhost"), ("localhost.", "localhost"), ("[::1]:80", "::1"),
    ("127.0.0.1:65535", "127.0.0.1"), ("a_b.example", "a_b.example"), ("*.example", None), ("a b", None), ("", None),
    (":80", None), ("localhost:", None), ("localhost:x", None), ("u@localhost", None), ("localhost/evil", None),
    ("localhost,evil", None), ("::1", None), ("[localhost]", None), ("löcalhost", None), ("localhost\x00", None),
    ("localhost\n", None), ("-", "-"),
])  # fmt: skip
def test_a_host_is_split_into_name_and_port(value, host):
    assert headers.host_of(value) == host


@given(st.lists(ANYTHING, max_size=3), ANYTHING)
def test_no_header_raises(lines, value):
    every = of(*[("prefer", line) for line in lines], ("authorization", value), ("content-type", value),
               ("content-length", value))  # fmt: skip
    assert 0 <= headers.preferred_wait(every, 25.0) <= 25
    headers.credentials(every)
    headers.media_type(every)
    headers.declared_length(every)
    headers.host_of(value)
    headers.wants_openmetrics("application/openmetrics-text;" + value)
