"""What every servicer demands of a request."""

from typing import Any

import grpc


async def required(context: Any, field: str, value: str) -> None:
    """Refuse a request that lacks a required field."""
    if not value:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{field} is required")
