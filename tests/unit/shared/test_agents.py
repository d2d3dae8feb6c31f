"""The files of AGENTS_DIR."""

import pytest

from shared.configuration.agents import Agent, AgentError, read

HEAD = "---\ndescription: Reviews.\n---\nYou review."


def test_an_agent_has_a_description_and_a_prompt(tmp_path):
    (tmp_path / "reviewer.md").write_text(HEAD)
    (tmp_path / "notes.txt").write_text("no agent")
    more = '---\r\nname: other\r\ndescription: "a: b"\r\ntools: [Read, Grep]\r\nmodel: inherit\r\n---\r\nDo it.\r\n'
    (tmp_path / "other.md").write_text(more)
    assert read(tmp_path) == {
        "reviewer": Agent("Reviews.", "You review."),
        "other": Agent("a: b", "Do it.", ("Read", "Grep")),
    }


START = "---\ndescription: a\n"
WRONG = {
    "no front matter": "You review.",
    "an end is missing": START + "You review.",
    "no description": "---\nname: reviewer\n---\nx",
    "no prompt": START + "---\n \n",
    "another name": START + "name: b\n---\nx",
    "an unknown field": START + "hooks: x\n---\nx",
    "a field twice": START + "description: b\n---\nx",
    "a list": START + "tools:\n  - Read\n---\nx",
    "wrong tools": START + "tools: Bash(rm *)\n---\nx",
    "a wrong model": START + "model: a b\n---\nx",
    "too large": HEAD + "x" * 70_000,
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_named(tmp_path, text):
    (tmp_path / "reviewer.md").write_text(text)
    with pytest.raises(AgentError, match=r"^reviewer\.md"):
        read(tmp_path)


def test_a_missing_directory_and_a_wrong_name_are_named(tmp_path):
    with pytest.raises(AgentError, match="directory that the gateway's user can read"):
        read(tmp_path / "nowhere")
    (tmp_path / "a b.md").write_text(HEAD)
    with pytest.raises(AgentError, match=r"^a b\.md"):
        read(tmp_path)
