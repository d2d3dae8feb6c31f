"""The directories of SKILLS_DIR."""

import pytest

from shared.configuration.skills import Skill, SkillError, read

TEXT = "---\ndescription: Reviews.\n---\nRead it twice."


def skill(folder, text=TEXT, name="reviewing"):
    (folder / name).mkdir()
    (folder / name / "SKILL.md").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def test_a_skill_is_a_directory_with_a_text(tmp_path):
    found = skill(tmp_path)
    (found / "more").mkdir()
    (found / "more" / "list.md").write_text("a list")
    (tmp_path / "README.md").write_text("no skill")
    (tmp_path / ".git").mkdir()
    skill(tmp_path, '\ufeff---\r\nname: "other"\r\ndescription: a: b\r\nlicense: MIT\r\n---\r\nDo it.\r\n', "other")
    assert read(tmp_path) == {"reviewing": Skill(found, "Reviews."), "other": Skill(tmp_path / "other", "a: b")}


WRONG = {
    "no front matter": "Read it twice.",
    "an end is missing": "---\ndescription: a\nRead it.",
    "no description": "---\nname: reviewing\n---\nx",
    "an empty description": "---\ndescription: \n---\nx",
    "a description of several lines": "---\ndescription: >\n  a\n---\n",
    "a long description": f"---\ndescription: {'a' * 1025}\n---\nx",
    "no text": "---\ndescription: a\n---\n \n",
    "another name": "---\nname: b\ndescription: a\n---\nx",
    "no UTF-8": TEXT.encode() + b"\xff",
    "too large": TEXT + "x" * (4 << 20),
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_wrong_skill_is_named(tmp_path, text):
    skill(tmp_path, text)
    with pytest.raises(SkillError, match=r"^reviewing"):
        read(tmp_path)


def test_links_wrong_names_and_missing_directories_are_named(tmp_path):
    """Catches a skill through which a file from elsewhere comes into a run."""
    with pytest.raises(SkillError, match="directory that the gateway's user can read"):
        read(tmp_path / "nowhere")
    linked = skill(tmp_path)
    (linked / "secret").symlink_to("/etc/passwd")
    with pytest.raises(SkillError, match="no links"):
        read(tmp_path)
    (linked / "secret").unlink()
    (tmp_path / "a b").mkdir()
    with pytest.raises(SkillError, match=r"^a b:"):
        read(tmp_path)
    (tmp_path / "a b").rmdir()
    (linked / "SKILL.md").unlink()
    with pytest.raises(SkillError, match=r"SKILL\.md cannot be read"):
        read(tmp_path)
