"""URLs of repositories, refs and branches: each has one form, and nothing that a program could take for more."""

import pytest
from pydantic import ValidationError

from shared.api.requests import SubmitRequest
from shared.egress.repositories import repository_of
from shared.egress.targets import EgressRefused


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://git.example.com/a", "git.example.com/a"),
        ("https://Git.Example.com:443/a/b.git/", "git.example.com/a/b.git"),
        ("HTTPS://127.0.0.1:8443/a.git", "127.0.0.1:8443/a.git"),
        ("https://[::1]:8443/a", "[::1]:8443/a"),
        ("https://[::1]/a", "[::1]/a"),
        ("https://git.example.com/~user/-x/a%20b", "git.example.com/~user/-x/a%20b"),
        ("https://git.example.com./a", "git.example.com/a"),
    ],
)
def test_a_repository_has_one_canonical_form(url, place):
    found = repository_of(url)
    assert found.place == place
    assert repository_of(found.url) == found


WRONG_URLS = [
    "", "a", "/a", "http://git.example.com/a", "git://git.example.com/a", "ssh://git@git.example.com/a",
    "git@git.example.com:a/b", "file:///etc", "ext::sh -c id", "https:git.example.com/a", "https:///a",
    "https://git.example.com", "https://git.example.com/", "https://git.example.com//a", "https://git.example.com/a//b",
    "https://git.example.com/a//", "https://git.example.com/../a", "https://git.example.com/a/..",
    "https://git.example.com/%2e%2e/a", "https://git.example.com/a%2fb", "https://git.example.com/a%00",
    "https://git.example.com/a%0d%0ab", "https://git.example.com/a%5cb", "https://git.example.com/a\\b",
    "https://git.example.com/a b", "https://git.example.com/a\n", "https://git.example.com/\xe4",
    "https://git.example.com/a?x", "https://git.example.com/a?", "https://git.example.com/a#x",
    "https://user@git.example.com/a", "https://user:password@git.example.com/a", "https://@git.example.com/a",
    "https://git.example.com:0/a", "https://git.example.com:x/a", "https://git.example.com:70000/a",
    "https://0x7f.1/a", "https://2130706433/a", "https://[::1%25lo]/a", "https://-x/a", "--upload-pack=x",
    "https://git.example.com/" + "a" * 2048,
]  # fmt: skip


@pytest.mark.parametrize("url", WRONG_URLS, ids=range(len(WRONG_URLS)))
def test_another_url_is_refused(url):
    with pytest.raises(EgressRefused):
        repository_of(url)


def git(**fields):
    body = {"query": "q", "workspace": {"git": {"url": "https://git.example.com/a", **fields}}}
    workspace = SubmitRequest.model_validate(body).workspace
    assert workspace is not None
    return workspace.git


REFS = ["main", "a/b", "v1.0", "HEAD", "refs/tags/v1", "refs/pull/1/head", "ü", "a-b", "@a", "0" * 40, "x" * 255]
WRONG_REFS = [
    "", "-a", "--upload-pack=id", "a b", "a\0b", "a\nb", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "@",
    "a@{1}", ".a", "a/.b", "/a", "a/", "a//b", "a.", "a.lock", "a.lock/b", "x" * 256, "ü" * 128, "\ud800", "\u202ea",
    "+main", 1, [], {},
]  # fmt: skip


@pytest.mark.parametrize("ref", REFS)
def test_a_ref_is_taken(ref):
    assert git(ref=ref).ref == ref


@pytest.mark.parametrize("ref", WRONG_REFS, ids=range(len(WRONG_REFS)))
def test_a_wrong_ref_or_branch_is_refused(ref):
    for fields in ({"ref": ref}, {"push": {"branch": ref}}):
        with pytest.raises(ValidationError):
            git(**fields)


@pytest.mark.parametrize("branch", ["HEAD", "refs/heads/main"])
def test_a_branch_is_named_without_its_prefix(branch):
    with pytest.raises(ValidationError, match="branch"):
        git(push={"branch": branch})


@pytest.mark.parametrize("depth", [0, -1, 1.5, "1", True, 1_000_001, 10**30])
def test_a_wrong_depth_is_refused(depth):
    with pytest.raises(ValidationError):
        git(depth=depth)
