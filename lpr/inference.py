"""How models are run: every session of onnxruntime's has these options.

Always true here: a session takes the threads it is given and no more; a thread that has nothing to
do sleeps. By default it spins for a while, in case more comes: on two cores that time belongs to
the decoder and the other models (measured on a loaded machine: 38 → 22 ms of CPU a frame for the
detector on two threads, and sooner done).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray

PART = 4
"""Inputs at most that a thread takes at a time."""

Item = TypeVar("Item")


def options(threads: int) -> onnxruntime.SessionOptions:
    """For an InferenceSession; what goes wrong is said by our errors, not on stderr."""
    made = onnxruntime.SessionOptions()
    made.intra_op_num_threads = threads
    made.log_severity_level = 4
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return made


class InParts:
    """A model that runs large batches in parts, each on one thread from end to end.

    Threads that share a batch wait for each other at every layer: 32 crops on two threads took
    58 ms so, and 48 ms in parts. session: of the same model, for batches too small to part.
    """

    def __init__(self, session: onnxruntime.InferenceSession, model: Path, threads: int) -> None:
        self._whole, self._threads = session, threads
        if threads > 1:
            self._alone = onnxruntime.InferenceSession(
                str(model), options(1), providers=["CPUExecutionProvider"]
            )
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="model")

    def run(
        self,
        names: Sequence[str],
        items: Sequence[Item],
        batch: Callable[[Sequence[Item]], NDArray[np.uint8]],
    ) -> list[NDArray[np.float32]]:
        """The outputs of these names for all items, in their order; batch: makes an input."""
        if self._threads == 1 or len(items) < 2 * self._threads:
            return list(self._whole.run(names, {"input": batch(items)}))
        # As many parts for each thread, all about as large.
        turns = -(-len(items) // (self._threads * PART))
        ends = np.linspace(0, len(items), self._threads * turns + 1).round().astype(int)
        parts = [items[start:end] for start, end in pairwise(ends)]
        found = self._pool.map(lambda part: self._alone.run(names, {"input": batch(part)}), parts)
        return [np.concatenate(outputs) for outputs in zip(*found, strict=True)]
