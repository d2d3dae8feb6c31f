"""The tokens of a result as OpenAI's API counts them."""


def total_input(usage: dict[str, int]) -> int:
    """Return all input tokens: OpenAI's API counts those of the prompt cache among them."""
    return usage["inputTokens"] + usage["cacheReadTokens"] + usage["cacheCreationTokens"]
