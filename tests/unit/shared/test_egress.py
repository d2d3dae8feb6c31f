"""Allowed targets of webhooks, in every spelling of an address."""

import asyncio
import socket
import threading
from ipaddress import ip_network

import pytest

from shared.egress import targets

LOOPBACK = [ip_network("127.0.0.0/8")]

# Private addresses: dotted, short, decimal, octal, hexadecimal, and within IPv6.
REFUSED_HOSTS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0177.0.0.1", "017700000001", "0x7f.0.0.1", "0x7f000001", "0x7F.1",
    "127.0.0.1.", "0", "0.0.0.0", "10.1.2.3", "0xa.1", "167837955", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "3232235777", "100.64.0.1", "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::ffff:a9fe:a9fe]", "[::ffff:10.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::]", "[2002:c0a8:101::1]",
    "[2001:0:0808:0808::80ff:fffe]",
    "[fe80::1]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]", "[100::1]", "[5f00::1]",
]  # fmt: skip

NOT_URLS = [
    "", "x", "example.com", "//example.com", "ftp://example.com", "file:///etc/passwd", "gopher://example.com",
    "javascript:alert(1)", "http:", "http://", "http:///path", "https://:443/", "http://exa mple.com/",
    "http://example.com/\n", "http://exam\nple.com/", "http://exam\tple.com/", "http://example.com\r\nHost: x/",
    "http://example.com\\@evil.test/", "http://user@example.com/", "http://user:pass@example.com/", "http://@example.com/",
    "http://bücher.example/", "http://example.com/ü", "http://example.com:0/", "http://example.com:65536/",
    "http://example.com:port/", "http://[::1", "http://[::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[example]/",
    "http://1.2.3.4.5/", "http://256.256.256.256/", "http://0x/", "http://host.0x7f/", "http://%31%32%37.0.0.1/",
    "http://-a.example/", "http://a..b/", "http://" + "a" * 64 + ".example/", "http://example.com/" + "a" * 2048,
]  # fmt: skip


@pytest.mark.parametrize("host", REFUSED_HOSTS)
def test_a_private_address_is_refused_in_every_spelling(host):
    with pytest.raises(targets.EgressRefused, match=r"not public|usual form"):
        targets.check([targets.parse(f"https://{host}/hook").host], ())


@pytest.mark.parametrize("url", NOT_URLS, ids=lambda url: ascii(url)[:40])
def test_an_unsupported_url_is_refused(url):
    with pytest.raises(targets.EgressRefused):
        targets.parse(url)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://example.com", "example.com:80"),
        ("https://EXAMPLE.com./a?b=c#d", "example.com:443"),
        ("https://xn--bcher-kva.example:8443/", "xn--bcher-kva.example:8443"),
        ("http://my_service.internal/", "my_service.internal:80"),
        ("http://127.0.0.1.:3000/", "127.0.0.1:3000"),
        ("https://[2606:4700:0:0::1111]/", "[2606:4700::1111]:443"),
    ],
)
def test_a_target_has_one_name_in_every_spelling(url, target):
    assert str(targets.parse(url)) == target


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808",
     "2002:808:808::1"],
)  # fmt: skip
def test_a_public_address_is_allowed(address):
    targets.check([address], ())


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_an_allowed_network_is_allowed_in_every_spelling(address):
    targets.check([address], LOOPBACK)


@pytest.mark.parametrize("address", ["::1", "10.0.0.1", "::ffff:10.0.0.1"])
def test_an_allowed_network_allows_no_other(address):
    with pytest.raises(targets.EgressRefused):
        targets.check([address], LOOPBACK)


def test_one_refused_address_refuses_the_host():
    with pytest.raises(targets.EgressRefused):
        targets.check(["8.8.8.8", "127.0.0.1"], ())


@pytest.mark.parametrize("name", ["localhost", "localhost.", "LOCALHOST"])
async def test_a_name_is_judged_by_what_it_resolves_to(name):
    target = targets.parse(f"http://{name}/")
    with pytest.raises(targets.EgressRefused):
        targets.check(await targets.resolve(target, "me"), ())


async def test_after_the_timeout_only_literal_addresses_are_allowed(monkeypatch):
    loop = asyncio.get_running_loop()
    lookups = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: lookups.append(1))
    with pytest.raises(TimeoutError):
        await targets.resolve(targets.Target("example.com", 443), "me", loop.time())
    assert await targets.resolve(targets.Target("::1", 443), "me", loop.time()) == ["::1"]
    assert lookups == []


async def test_a_hanging_name_server_is_bounded_by_the_timeout(monkeypatch):
    loop, answers = asyncio.get_running_loop(), threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: answers.wait(30))
    with pytest.raises(TimeoutError):
        await targets.resolve(targets.Target("example.com", 443), "me", loop.time() + 0.01)
    answers.set()
