"""Names of hosts that runs may reach."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.egress import hosts

LABEL = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20).map(lambda text: f"a{text}")
NAME = st.lists(LABEL, min_size=1, max_size=5).map(".".join)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("example.com", "example.com"), ("Example.COM.", "example.com"), ("*.Example.com", "*.example.com"),
        ("localhost", "localhost"), ("my_host.internal", "my_host.internal"), ("*.com", "*.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"), ("a-b.c1", "a-b.c1"), ("1password.com", "1password.com"),
    ],
)  # fmt: skip
def test_a_name_has_one_form(written, name):
    assert hosts.parse(written) == name
    assert hosts.parse(name) == name


@pytest.mark.parametrize(
    ("written", "message"),
    [
        *((text, "host name") for text in (
            "", "*", "*.", ".", "..", "a..b", ".a", "a..", "a.*.b", "**.a", "*a.b", "a.*", "*.*.a", "a:443", "*.a:443",
            "https://a", "a/b", "a@b", "u:p@a", "a b", " a", "a\n", "a\x00", "a%2eb", "-a.b", "a-.b", "a" * 64, "[::1]",
            "::1", "0x7f.1", "127.1", "2130706433", "0177.0.0.1", "*.0x7f", "a.1", "a.0x1", "a,b", "a#b", "a?b", "a\\b",
            ".".join(["a" * 60] * 5), "*." + "a" * 60 + ("." + "a" * 60) * 3 + "." + "a" * 10,
        )),
        *((text, "addresses cannot be reached") for text in ("127.0.0.1", "93.184.216.34.", "*.127.0.0.1")),
        *((text, "xn--") for text in ("bücher.example", "\uff45xample.com", "exam\u212aple.com", "a\u3002b", "\ud800")),
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused_in_words(written, message):
    with pytest.raises(ValueError, match=message) as raised:
        hosts.parse(written)
    assert raised.type is ValueError


@given(st.text(max_size=300))
def test_any_text_is_a_canonical_name_or_an_error(text):
    try:
        name = hosts.parse(text)
    except ValueError:
        return
    assert hosts.parse(name) == name == name.lower()
    assert not set(name) & set("/:@[] \t\r\n%?#\\")


@given(NAME, NAME)
def test_a_name_covers_itself_and_nothing_else(allowed, name):
    assert hosts.covers([allowed], name) == (allowed == name)


@given(NAME, NAME)
def test_a_wildcard_covers_all_names_below_its_domain(domain, below):
    assert hosts.covers([f"*.{domain}"], f"{below}.{domain}")
    assert hosts.covers([f"*.{domain}"], f"*.{below}.{domain}")
    assert not hosts.covers([f"*.{domain}"], domain)
    assert not hosts.covers([f"*.{domain}"], f"x{domain}")
    assert not hosts.covers([f"*.{domain}"], f"{domain}.{below}x")


@given(NAME, NAME)
def test_a_wildcard_is_covered_by_itself_or_a_wider_one(domain, below):
    assert hosts.covers([f"*.{domain}"], f"*.{domain}")
    assert not hosts.covers([f"*.{below}.{domain}"], f"*.{domain}")
    assert not hosts.covers([domain, f"{below}.{domain}"], f"*.{domain}")
