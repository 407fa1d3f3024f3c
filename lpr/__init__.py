"""The reader at a checkpoint: sees plates, reads them, and delivers each read once.

It imports nothing of ours but the protocol (proto.ring.v1).
"""

import os

# OpenCV and its decoders write to stderr by themselves; the reader says in its own words which
# picture or camera it could not open. Read once, when cv2 is imported.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

# onnxruntime's own wheels report home and keep a file for that in the temporary folder. Read once,
# when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
