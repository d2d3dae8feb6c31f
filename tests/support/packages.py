"""The packages `anthropic` and `openai`, imported on first use.

Their import takes two seconds, and each process of pytest collects every module, most of them to run none of its tests.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["anthropic", "openai"]

if TYPE_CHECKING:
    import anthropic
    import openai


class _Package:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        # Pytest looks for its own marks at everything that a module names.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(import_module(self._name), name)


if not TYPE_CHECKING:
    anthropic, openai = _Package("anthropic"), _Package("openai")
