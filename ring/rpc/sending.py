"""Messages to a client that may have stopped reading.

Always true here: what is held while a client is written to is held for so long a message at most.
"""

import asyncio
from typing import Any

from ring.errors import TooSlow


async def send(context: Any, message: Any, patience: float, advice: str) -> None:
    """Writes a message; TooSlow, with advice, where nobody makes room for it. Seconds."""
    try:
        async with asyncio.timeout(patience):
            await context.write(message)
    except TimeoutError:
        raise TooSlow(
            f"nothing was taken from this stream for {patience:.0f} s: {advice}"
        ) from None
