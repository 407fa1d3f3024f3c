"""A child process that is kept running, and goes down with us.

Always true here: it has our end of its standard input, which closes however we end; a child that
watches it never outlives us.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence

import structlog

_log = structlog.get_logger(__name__)


class Child:
    """Starts it, starts it again when it dies, and takes it down.

    `refused`: its exit code where it said why it won't start. Unless it had `answered` once, it is
    then not tried again.
    """

    def __init__(self, command: Sequence[str], *, refused: int) -> None:
        self._command = command
        self._refused = refused
        self.answered = False
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keeps it running until `stop`."""
        pause = 0.5
        while not self._stopping.is_set():
            started = time.monotonic()
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=sys.stderr
            )
            code = await self._process.wait()
            if self._stopping.is_set() or (code == self._refused and not self.answered):
                return
            pause = 0.5 if time.monotonic() - started > 60 else min(pause * 2, 30.0)
            _log.error("a child process ended and is started again", code=code, pause_s=pause)
            await asyncio.sleep(pause)

    async def stop(self) -> None:
        """Ends it, gently first."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
