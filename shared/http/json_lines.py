"""JSON Lines: streamed whole, or in Lambda, which buffers responses, up to a size limit."""

import os
from collections.abc import AsyncIterator, Callable

from fastapi import Response
from fastapi.responses import StreamingResponse

# The response of a Lambda function is at most 6 MB, in which the lines are an escaped JSON string.
LAMBDA_BYTES = 4_194_304


async def as_lines(
    lines: AsyncIterator[str], media_type: str, truncated: Callable[[int], dict[str, str]], limit: int = LAMBDA_BYTES
) -> Response:
    """Respond with lines. Beyond the limit, `truncated` gets the number of lines and returns headers, or raises."""
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return StreamingResponse(lines, media_type=media_type)
    page: list[bytes] = []
    total = 0
    async for line in lines:
        page.append(line.encode())
        total += len(page[-1])
        if total > limit and len(page) > 1:
            return Response(b"".join(page[:-1]), headers=truncated(len(page) - 1), media_type=media_type)
    return Response(b"".join(page), media_type=media_type)
