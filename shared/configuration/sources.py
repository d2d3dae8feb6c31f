"""The sources of settings: the environment, then `.env`. An empty variable counts as unset."""

import os
from collections.abc import Mapping
from typing import Any

from pydantic import field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from shared.configuration import env_file


class TextSource(EnvSettingsSource):
    """A source of variables that are already read; names may be in upper or lower case."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._variables.items() if value}

    def prepare_field_value(self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool) -> Any:  # noqa: ARG002
        """Leave every value as text, because pydantic would parse some types as JSON."""
        return value


class TextSettings(BaseSettings):
    """Settings from cleaned text; raise SettingsError for an unreadable `.env`, and ValidationError for values."""

    # `defer_build`: a process that imports the classes of all processes builds the validators of its own.
    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True, defer_build=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_unused: Any,
        **_also_unused: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in the order of precedence, without pydantic's own for the environment and `.env`."""
        environment = TextSource(settings_cls, env_file.cleaned(os.environ))
        return init_settings, environment, TextSource(settings_cls, env_file.read())

    @field_validator("*", mode="before")
    @classmethod
    def _is_utf8(cls, value: Any) -> Any:
        # Bytes of the environment that are not UTF-8 become unpaired surrogates, which cannot be sent or stored.
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("should be UTF-8 text") from None
        return value
