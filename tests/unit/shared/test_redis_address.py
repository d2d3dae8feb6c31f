"""REDIS_URL and REDIS_HOST: accepted and refused values, and no message with a password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import parse_url

from shared.configuration.redis_address import address, check_host, check_url

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
FORMS = ["redis://:{}@h:6379/0", "redis://{}", "redis://h:{}", "redis://h/{}", "rediss://h?{}", "unix://{}@/s"]


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("redis://h", {"host": "h"}),
        ("REDIS://h:6380/2", {"host": "h", "port": 6380, "db": 2}),
        ("redis://h:6380?db=2", {"host": "h", "port": 6380, "db": 2}),
        ("redis://[::1]:6379/0", {"host": "::1", "port": 6379, "db": 0}),
        ("redis://u:p@h", {"host": "h", "username": "u", "password": "p"}),
        ("redis://:p@s:s[word@h", {"host": "h", "password": "p@s:s[word"}),
        ("redis://:p%23s%2Fs%3F%40@h", {"host": "h", "password": "p#s/s?@"}),
        ("redis://:100%@h", {"host": "h", "password": "100%"}),
        ("redis://:pässwörd@h", {"host": "h", "password": "pässwörd"}),
        ("unix:///run/redis.sock?db=1", {"path": "/run/redis.sock", "db": 1}),
        ("unix://:p@/run/redis.sock", {"path": "/run/redis.sock", "password": "p"}),
        ("rediss://h?ssl_cert_reqs=NONE", {"host": "h", "ssl_cert_reqs": "none"}),
        ("rediss://h?ssl_check_hostname=false", {"host": "h", "ssl_check_hostname": False}),
        ("rediss://h?ssl_ca_certs=/etc/hostname", {"host": "h", "ssl_ca_certs": "/etc/hostname"}),
    ],
)
def test_a_url_is_parsed_as_intended(url, parts):
    found = parse_url(check_url(url))
    found.pop("connection_class", None)
    assert found == parts
    assert check_url(check_url(url)) == check_url(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://foo", "should begin with redis://"),
        ("h:6379", "should begin with redis://"),
        ("valkey://h", "should begin with redis://"),
        ("redis:h", "should begin with redis://"),
        ("redis://", "should name a host"),
        ("redis://:6379", "should name a host"),
        ("redis:///0", "should name a host"),
        ("redis://:p#w@h:6379/0", "percent-encoded .* or set REDIS_PASSWORD"),
        ("redis://:p/w@h:6379/0", "percent-encoded .* or set REDIS_PASSWORD"),
        ("redis://:p?w@h:6379/0", "percent-encoded .* or set REDIS_PASSWORD"),
        ("redis://:p w@h:6379/0", "no space"),
        ("redis://:%ff@h", "not UTF-8"),
        ("redis://h:99999", "port from 1 to 65535"),
        ("redis://h:0", "port from 1 to 65535"),
        ("redis://h:\N{FULLWIDTH DIGIT SIX}", "port from 1 to 65535"),
        ("redis://h:6379:1", "IPv6 address in brackets"),
        ("redis://::1:6379", "IPv6 address in brackets"),
        ("redis://[::1", "IPv6 address in brackets"),
        ("redis://[x]:6379", "host name or an address"),
        ("redis://h,i:6379", "host name or an address"),
        ("redis://h/abc", "number of the database"),
        ("redis://h/0/1", "number of the database"),
        ("redis://h/0?db=1", "one database"),
        ("redis://h?db=", "number as the option db"),
        ("redis://h?db=x", "number as the option db"),
        ("redis://h?db=1&db=2", "each option once"),
        ("redis://h?decode_responses=True", "no options except db"),
        ("redis://h?socket_timeout=5", "no options except db"),
        ("redis://h?protocol=3", "no options except db"),
        ("redis://h?ssl_cert_reqs=none", r"rediss:// \(TLS\) only"),
        ("unix:///s?ssl_cert_reqs=none", r"rediss:// \(TLS\) only"),
        ("rediss://h?ssl_cert_reqs=CERT_NONE", "required or optional or none"),
        ("rediss://h?ssl_check_hostname=maybe", "true or false"),
        ("rediss://h?ssl_ca_certs=/missing", "a file that the gateway's user can read"),
        ("rediss://h?ssl_ca_path=/missing", "a directory that the gateway's user can read"),
        ("rediss://h?decode_responses=True", "no options except db, ssl_"),
        ("redis://h/0#x", "should have no #"),
        ("unix://sock", "absolute path"),
        ("unix://", "absolute path"),
        ("unix:///" + "x" * 120, "107 bytes"),
    ],
)
def test_an_invalid_url_is_refused_with_a_remedy(url, message):
    with pytest.raises(ValueError, match=message):
        check_url(url)


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("redis.internal", "redis.internal"),
        ("10.0.0.5", "10.0.0.5"),
        ("my_redis", "my_redis"),
    ],
)
def test_a_host_is_a_name_or_an_address(host, found):
    assert check_host(host) == found
    assert parse_url(address(None, found, 6380, "p@ss")) == {
        "host": found, "port": 6380, "db": 0, "password": "p@ss",
    }  # fmt: skip


def test_an_address_with_a_zone_reaches_redis_py_whole():
    assert parse_url(address(None, check_host("fe80::1%eth0"), 6379, None))["host"] == "fe80::1%eth0"


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("host:6379", "no port"),
        ("[::1]:6379", "no port"),
        ("redis://h", "for a URL set REDIS_URL"),
        ("user:pw@h", "for a URL set REDIS_URL"),
        ("/run/redis.sock", "for a socket set REDIS_URL"),
        ("a..b", "host name or an address"),
        ("x" * 64, "host name or an address"),
        ("a b", "host name or an address"),
        ("[h]", "host name or an address"),
        ("*", "host name or an address"),
    ],
)
def test_an_invalid_host_is_refused_with_a_remedy(host, message):
    with pytest.raises(ValueError, match=message):
        check_host(host)


@given(password=TEXT, host=st.sampled_from(["h", "[::1]"]))
def test_a_password_outside_the_url_needs_no_encoding(password, host):
    for url in (f"redis://{host}:6380/1", f"redis://user@{host}:6380/1", f"redis://:@{host}:6380/1"):
        parts = parse_url(address(check_url(url), "unused", 1, password))
        assert parts["password"] == password
        assert parts["port"] == 6380


@given(before=TEXT, after=TEXT, form=st.sampled_from(FORMS))
def test_any_password_is_read_or_refused_and_never_echoed(before, after, form):
    message = ""
    try:
        found = parse_url(check_url(form.format(f"{before}hunter2{after}")))
    except ValueError as error:
        message = str(error)
    else:
        assert "hunter2" in str(found)
    assert "hunter2" not in message
