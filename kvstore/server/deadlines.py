"""How long a gRPC caller is still willing to wait."""

from typing import Any

import grpc

DEADLINE_MS_DEFAULT = 10_000
DEADLINE_MS_MAX = 600_000


def left_ms(context: grpc.aio.ServicerContext[Any, Any]) -> int:
    """What is left of the caller's deadline, in milliseconds; 10 s if it set none."""
    left_s = context.time_remaining()
    return DEADLINE_MS_DEFAULT if left_s is None else int(min(left_s * 1000, DEADLINE_MS_MAX))
