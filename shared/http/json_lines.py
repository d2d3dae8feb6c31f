"""Results of a batch as JSON Lines: streamed whole, or in Lambda, which buffers, up to a bound."""

import os
from collections.abc import AsyncIterator, Callable

from fastapi import Response
from fastapi.responses import StreamingResponse

# An answer of a Lambda function has 6 MB at most, in which the lines stand as a JSON string.
LAMBDA_BYTES = 4_194_304


async def as_lines(
    lines: AsyncIterator[str], media_type: str, beyond: Callable[[int], dict[str, str]], most: int = LAMBDA_BYTES
) -> Response:
    """Answer with lines. `beyond` returns headers for an answer that ends before the end, after so many; or raises."""
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return StreamingResponse(lines, media_type=media_type)
    page: list[bytes] = []
    total = 0
    async for line in lines:
        page.append(line.encode())
        total += len(page[-1])
        if total > most and len(page) > 1:
            return Response(b"".join(page[:-1]), headers=beyond(len(page) - 1), media_type=media_type)
    return Response(b"".join(page), media_type=media_type)
