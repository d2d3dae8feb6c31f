"""Every boolean that an operator writes takes the same words."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.configuration.booleans import parse_boolean
from shared.configuration.redis_address import check_url
from shared.mcp.config import McpConfigError, read

WORDS = {
    **dict.fromkeys(("true", "1", "yes", "on", "t", "y", "TRUE", "On"), True),
    **dict.fromkeys(("false", "0", "no", "off", "f", "n", "False", "OFF"), False),
}
OTHERS = ["", "2", "enabled", "ja", "truee", "oui"]


def enabled(path, word):
    path.write_text(json.dumps({"mcpServers": {"a": {"command": "a", "routing": {"enabled": word}}}}))
    return bool(read(path, {}, expand=False))


@pytest.mark.parametrize(("word", "value"), WORDS.items())
def test_each_word_has_one_value_everywhere(tmp_path, word, value):
    """Catches a word such as `on` that one setting takes and another refuses."""
    assert parse_boolean(word) is value
    assert TypeAdapter(bool).validate_strings(word) is value
    assert enabled(tmp_path / "mcp.json", word) is value
    assert check_url(f"rediss://h?ssl_check_hostname={word}").endswith(f"={str(value).lower()}")


@pytest.mark.parametrize("word", OTHERS)
def test_any_other_word_is_refused_everywhere(tmp_path, word):
    assert parse_boolean(word) is None
    with pytest.raises(ValidationError):
        TypeAdapter(bool).validate_strings(word)
    with pytest.raises(McpConfigError, match="should be true or false"):
        enabled(tmp_path / "mcp.json", word)
    with pytest.raises(ValueError, match="true or false"):
        check_url(f"rediss://h?ssl_check_hostname={word}")
