import json
import re

import pytest

from shared.mcp.config import McpConfigError, Routing, digests, read


@pytest.fixture
def written(tmp_path):
    def write(**servers):
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": servers}))
        return path

    return write


def test_a_configuration_of_the_cli_works_unchanged(written):
    path = written(
        git={"command": "uvx", "args": ["mcp-server-git"], "env": {"A": "b"}},
        far={"type": "http", "url": "https://example.com/mcp", "headers": {"Authorization": "Bearer x"}, "oauth": {}},
        old={"type": "sse", "url": "https://example.com/sse"},
        short={"url": "https://example.com/mcp"},
    )
    servers = read(path, {}, expand=True)
    assert servers["git"].entry() == {"command": "uvx", "args": ["mcp-server-git"], "env": {"A": "b"}}
    assert servers["far"].entry()["oauth"] == {}
    assert servers["short"].type == "http"


def test_a_byte_order_mark_is_ignored(tmp_path):
    path = tmp_path / "mcp.json"
    path.write_text('{"mcpServers": {"a": {"command": "a"}}}', encoding="utf-8-sig")
    assert set(read(path, {}, expand=True)) == {"a"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"mcpServers": {}}'.encode("utf-16"), "is not UTF-8, but UTF-16"),
        ('{"mcpServers": {}}'.encode("utf-16-le"), "is not UTF-8, but UTF-16"),
        (b'{"mcpServers": "\xff"}', "is not UTF-8"),
        (b"", "is not JSON: "),
        (b'{"mcpServers": {', "is not JSON: "),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5000, "is not JSON"),
        (b"[]", "mcpServers: should be an object"),
    ],
)
def test_an_unreadable_file_is_named_with_a_remedy(tmp_path, content, message):
    path = tmp_path / "mcp.json"
    path.write_bytes(content)
    with pytest.raises(McpConfigError, match=message):
        read(path, {}, expand=True)


@pytest.mark.parametrize(
    "entry",
    [
        "a", 5, None, [], {"command": 5}, {"command": ""}, {"command": "a", "args": "x"}, {"command": "a", "args": [5]},
        {"command": "a", "env": []}, {"command": "a", "env": {"A": 5}}, {"url": 5}, {"url": "ftp://x"}, {"type": "x"},
        {"command": "a", "headers": 5}, {"command": "a", "routing": 5}, {"command": "a", "routing": {"x": 5}},
        *({"command": "a", "routing": {name: {"a": 5}}} for name in Routing.model_fields),
        *({"command": "a", "routing": {name: [5]}} for name in Routing.model_fields),
        *({"command": "a", "routing": {name: "x" * 3000}} for name in Routing.model_fields),
        {"command": "a", "routing": {"tools": ["a b"]}}, {"command": "a", "routing": {"keywords": [""]}},
    ],
)  # fmt: skip
def test_no_message_has_the_wording_of_pydantic(written, entry):
    with pytest.raises(McpConfigError) as caught:
        read(written(a=entry), {}, expand=True)
    for line in str(caught.value).splitlines():
        assert not re.search(
            r"[Ii]nput|valid |tuple|type=|pydantic|match pattern|permitted|constrained|function-", line
        )


def test_variables_are_expanded_for_the_worker_only(written):
    path = written(a={"command": "${BIN:-/bin}/a", "args": ["${X}"], "env": {"T": "${TOKEN}"}})
    there, here = read(path, {"X": "1", "TOKEN": "secret"}, expand=True), read(path, {}, expand=False)
    assert there["a"].entry() == {"command": "/bin/a", "args": ["1"], "env": {"T": "secret"}}
    assert here["a"].command == "${BIN:-/bin}/a"
    before = digests(here, ["a"])
    path.write_text(path.read_text().replace("${X}", "${Y}"))
    assert digests(read(path, {}, expand=False), ["a"]) != before


def test_a_server_can_be_switched_on_by_a_variable(written):
    path = written(a={"command": "a", "routing": {"enabled": "${ALLOWED:-false}"}})
    assert read(path, {}, expand=False) == {}
    assert set(read(path, {"ALLOWED": "true"}, expand=False)) == {"a"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "server 'a': command: is required"),
        ({"type": "http"}, "server 'a': url: is required with type http"),
        ({"type": "carrier pigeon"}, "server 'a': type: should be 'stdio', 'http' or 'sse'"),
        ({"command": 5}, "server 'a': command: should be text"),
        ({"command": "a", "args": "x"}, "server 'a': args: "),
        (
            {"command": "a", "routing": {"keyword": []}},
            "server 'a': routing.keyword: is an unknown field",
        ),
        ({"command": "a", "routing": {"tools": ["a b"]}}, "server 'a': routing.tools.0: "),
        (
            {"command": "a", "routing": {"keywords": ["time", "   "]}},
            "server 'a': routing.keywords.1: should have a letter",
        ),
        (
            {"command": "a", "routing": {"keywords": ["*"]}},
            "server 'a': routing.keywords.0: should have a letter or a digit",
        ),
        ({"command": "a", "routing": {"keywords": ["!!!"]}}, "server 'a': routing.keywords.0: should have a letter"),
        ({"command": "a", "env": {"T": "${TOKEN}"}}, "server 'a': env.T: the variable TOKEN is not set"),
        ({"command": "a", "routing": {"enabled": "perhaps"}}, "routing.enabled: should be true or false"),
        ("a", "server 'a': "),
    ],
    ids=str,
)
def test_an_error_names_its_server_and_field(written, entry, message):
    with pytest.raises(McpConfigError, match=r"mcp\.json") as error:
        read(written(a=entry), {}, expand=True)
    assert message in str(error.value)


def test_an_invalid_server_name_and_an_invalid_file_are_refused(written, tmp_path):
    with pytest.raises(McpConfigError, match="letters, digits"):
        read(written(**{"a b": {"command": "a"}}), {}, expand=False)
    with pytest.raises(McpConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.json", {}, expand=False)
    for text in ("{", "[]", '{"mcpServers": []}'):
        (tmp_path / "mcp.json").write_text(text)
        with pytest.raises(McpConfigError, match=r"mcp\.json"):
            read(tmp_path / "mcp.json", {}, expand=False)


@pytest.mark.parametrize(
    "name", ["a__b", "a_", "__", "workspace", "claude-in-chrome", "computer-use", "ide", "constructor"]
)
def test_a_server_name_that_the_cli_reserves_is_refused(written, name):
    with pytest.raises(
        McpConfigError, match=rf"mcp\.json: server '{name}': the (name should not contain '__'|CLI reserves)"
    ):
        read(written(**{name: {"command": "a"}}), {}, expand=False)


def test_underscores_in_names_and_keywords_in_any_script_are_valid(written):
    entry = {"command": "a", "routing": {"keywords": ["*.txt", "時間", "Ü", "7"]}}
    assert set(read(written(_a_b=entry, ide2=entry), {}, expand=False)) == {"_a_b", "ide2"}


FAR = {"type": "http", "url": "https://far.example/mcp"}


def test_the_credentials_of_headers_are_named_and_kept_for_each_run(written):
    """Catches a reference that the worker's variables replace, or that a digest leaves out."""
    headers = {"Authorization": "Bearer ${credential.far}", "X-Key": "${KEY}-${credential.b.c}-${credential.far}"}
    path = written(far={**FAR, "headers": headers}, plain=FAR)
    servers = read(path, {"KEY": "k", "credential": "x"}, expand=True)
    assert servers["far"].credentials == ("far", "b.c")
    assert servers["far"].headers["X-Key"] == "k-${credential.b.c}-${credential.far}"
    assert servers["plain"].credentials == ()
    assert digests(servers, ["far"]) != digests(servers, ["plain"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"command": "a", "args": ["${credential.a}"]}, "in the values of headers only"),
        ({"command": "a", "env": {"KEY": "${credential.a}"}}, "in the values of headers only"),
        ({"type": "http", "url": "https://${credential.a}.example"}, "in the values of headers only"),
        ({**FAR, "headers": {"${credential.a}": "x"}}, "in the values of headers only"),
        ({**FAR, "oauth": {"secret": ["${credential.a}"]}}, "in the values of headers only"),
        ({**FAR, "headers": {"A": "${credential.a:-x}"}}, "without a default"),
        ({**FAR, "headers": {"A": "${credential.}"}}, "without a default"),
        ({**FAR, "headers": {"A": "${credential.a b}"}}, "without a default"),
        ({**FAR, "headers": {"A": "${credential.a"}}, "without a default"),
        ({**FAR, "headers": {"A": "${credential.a}"}, "shared": True}, "remove shared"),
    ],
)
@pytest.mark.parametrize("expand", [True, False])
def test_a_credential_where_none_is_replaced_is_named(written, entry, message, expand):
    """Catches a server that gets the reference itself instead of the value."""
    with pytest.raises(McpConfigError) as caught:
        read(written(far=entry), {}, expand=expand)
    assert message in str(caught.value)
    assert "'far'" in str(caught.value)
