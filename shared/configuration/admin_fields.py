"""The settings of logins to the dashboard."""

from typing import Self

from pydantic import SecretStr, ValidationInfo, field_validator, model_validator

from shared.configuration.sources import TextSettings

# Minimum length of a password of the dashboard.
MIN_PASSWORD = 12


class AdminFields(TextSettings):
    """Whether there is a dashboard, and its passwords."""

    admin_enabled: bool = False
    admin_username: str = "admin"
    admin_password: SecretStr | None = None
    admin_viewer_password: SecretStr | None = None

    @field_validator("admin_password", "admin_viewer_password")
    @classmethod
    def _long_enough(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        # A short password must not prevent a start while the dashboard is disabled.
        used = info.data.get("admin_enabled", False)
        if used and password is not None and len(password.get_secret_value()) < MIN_PASSWORD:
            raise ValueError(f"should have {MIN_PASSWORD} characters or more")
        return password

    @model_validator(mode="after")
    def _has_password(self) -> Self:
        if self.admin_enabled and self.admin_password is None:
            raise ValueError(f"ADMIN_PASSWORD: is required with ADMIN_ENABLED, with {MIN_PASSWORD} characters or more")
        same = (
            self.admin_enabled
            and self.admin_viewer_password is not None
            and self.admin_viewer_password == self.admin_password
        )
        if same:
            raise ValueError("ADMIN_VIEWER_PASSWORD: should differ from ADMIN_PASSWORD")
        return self
