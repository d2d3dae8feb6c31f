"""Names of the variables with which the CLI reaches Claude. Needs no package, like `make up`, which reads them too."""

# A secret, or the file that holds it under the same name with `_FILE`.
SECRETS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
FILES = tuple(f"{name}_FILE" for name in SECRETS)
# Claude through a cloud.
PROVIDERS = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")
# Their names in `/health` and the dashboard.
KINDS = dict(
    zip(
        (*PROVIDERS, *SECRETS),
        ("bedrock", "vertex", "foundry", "api_key", "auth_token", "oauth_token"),
        strict=True,
    )
)
