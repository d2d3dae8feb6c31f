"""The models that a run may use: by name, by alias, and for the CLI's own small requests."""

from collections.abc import Iterable, Mapping

from functions.worker.relay.prices import base_name

# The models that the CLI's aliases name, unless the environment says otherwise; a contract test compares the two.
_ALIASES = {
    "opus": ("ANTHROPIC_DEFAULT_OPUS_MODEL", "claude-opus-5-5"),
    "sonnet": ("ANTHROPIC_DEFAULT_SONNET_MODEL", "claude-sonnet-5-5"),
    "haiku": ("ANTHROPIC_DEFAULT_HAIKU_MODEL", "claude-haiku-5-5"),
    "fable": ("ANTHROPIC_DEFAULT_FABLE_MODEL", "claude-fable-5-2"),
}
# The families of the models that the CLI asks beside the run's, without tools: for a page's summary or a title.
_SMALL = ("claude-haiku-", "claude-3-5-haiku")


def resolve(model: str, environ: Mapping[str, str]) -> str:
    """Return the name by which Claude knows a model that may be an alias of the CLI's."""
    bare = model.partition("[")[0]
    if bare not in _ALIASES:
        return bare
    variable, name = _ALIASES[bare]
    return (environ.get(variable) or name).partition("[")[0]


class Allowed:
    """The models that a run may ask; None stands for every model."""

    def __init__(self, models: Iterable[str] | None, environ: Mapping[str, str]) -> None:
        self._names = None if models is None else {base_name(resolve(model, environ)) for model in models}
        small = environ.get("ANTHROPIC_SMALL_FAST_MODEL") or environ.get("ANTHROPIC_DEFAULT_HAIKU_MODEL")
        self._small = None if not small else base_name(small)

    def has(self, model: str) -> bool:
        """Return whether a run may ask a model."""
        return self._names is None or base_name(model) in self._names

    def add(self, model: str) -> None:
        """Allow one more model."""
        if self._names is not None:
            self._names.add(base_name(model))

    def has_small(self, model: str) -> bool:
        """Return whether the CLI may ask a model for a small request of its own."""
        return model.startswith(_SMALL) or base_name(model) == self._small
