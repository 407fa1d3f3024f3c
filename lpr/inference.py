"""How models are run: every session of onnxruntime's has these options.

Always true here: a session takes the threads it is given and no more; a thread that has nothing to
do sleeps. By default it spins for a while, in case more comes: on two cores that time belongs to
the decoder and the other models (measured on a loaded machine: 38 → 22 ms of CPU a frame for the
detector on two threads, and sooner done).
"""

from __future__ import annotations

import onnxruntime


def options(threads: int) -> onnxruntime.SessionOptions:
    """For an InferenceSession; what goes wrong is said by our errors, not on stderr."""
    made = onnxruntime.SessionOptions()
    made.intra_op_num_threads = threads
    made.log_severity_level = 4
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return made
