"""The messages of failed jobs. The CLI's own may name paths, and those of the API may hold what is not for clients."""

from shared.api.vocabulary import ErrorCode

MESSAGES: dict[ErrorCode, str] = {
    "authentication_failed": "Claude did not accept the gateway's credentials",
    "billing_error": "Claude refused the request because of the account's billing",
    "rate_limited": "Claude's rate limit was reached",
    "overloaded": "Claude is overloaded",
    "server_error": "Claude failed to answer",
    "invalid_request": "Claude did not accept the request",
    "model_not_found": "Claude does not know the model, or the account may not use it",
    "timeout": "The job did not end within its timeoutMs",
    "cli_crashed": "The CLI ended without a result",
    "worker_lost": "The job lost its worker and has no attempt left",
    "empty_result": "The model gave no answer",
    "max_turns": "The job did not end within its maxTurns",
    "budget_exceeded": "The job did not end within its maxBudgetUsd",
    "resource_exceeded": (
        "The run took more memory, processes or bytes of files than MAX_RUN_MEMORY, MAX_RUN_PROCESSES or "
        "MAX_WORKSPACE_BYTES allows, or added more than 64 MiB to its session"
    ),
    "output_too_large": "The answer is larger than MAX_OUTPUT_BYTES or the model's own limit",
    "mcp_unavailable": "A required MCP server did not start, or died",
    "session_not_found": "The session does not exist, or no longer exists",
    "schema_unsatisfied": "The model gave no answer that matches the outputSchema",
    "workspace_failed": (
        "A file or an attachment of the job is deleted, expired, incomplete or of another type, or could not be read; "
        "or a link or a directory is where the file should be"
    ),
    "workspace_too_large": "The files or the repository of the job are larger than MAX_WORKSPACE_BYTES allows",
    "approval_expired": "Nobody decided on a call of the job within its approval.timeoutMs",
    "credential_unavailable": (
        "The job's credential cannot be used: it was deleted, no worker can open it, or it may not be sent to the "
        "Messages API or to the host of the repository; store it again, and check its hosts"
    ),
}
