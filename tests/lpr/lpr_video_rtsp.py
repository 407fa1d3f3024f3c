"""A camera that speaks RTSP: JPEG pictures over RTP (RFC 2435), interleaved in TCP.

Always true here: it serves one client at a time, and hangs up after as many pictures as it is told.
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cv2

from lpr.reading import Picture

PACKET = 1400


class RtspCamera:
    """Sends pictures in a loop, `rate` a second, and hangs up after `pictures` of them."""

    def __init__(self, frames: Sequence[Picture], *, rate: float, pictures: int) -> None:
        self._frames = [_Jpeg(frame) for frame in frames]
        self._rate, self._pictures = rate, pictures
        self.visits = 0
        self.mute_first = False
        """Whether the first client hears nothing any more."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"rtsp://user:secret@127.0.0.1:{self._listening.getsockname()[1]}/one"
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed = True
        # Wakes the thread that waits for a client.
        socket.create_connection(self._listening.getsockname()).close()
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        while True:
            client, _ = self._listening.accept()
            with client:
                if self._closed:
                    return
                try:
                    self._talk(client)
                except OSError:
                    continue

    def _talk(self, client: socket.socket) -> None:
        asked = b""
        while b"PLAY" not in asked:
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                more = client.recv(4096)
                if not more:
                    return
                asked += more
            client.sendall(self._answer(asked.decode()))
        self.visits += 1
        sent = itertools.count()
        for number in range(self._pictures):
            stamp = round(number * 90_000 / self._rate)
            for packet in self._frames[number % len(self._frames)].packets(sent, stamp):
                client.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
            time.sleep(1 / self._rate)
            while self.mute_first and self.visits == 1 and client.recv(4096):
                continue
            if self._closed:
                return

    @staticmethod
    def _answer(asked: str) -> bytes:
        method, where, _ = asked.split(" ", 2)
        number = next(line for line in asked.splitlines() if line.startswith("CSeq"))
        head, body = [f"RTSP/1.0 200 OK\r\n{number}"], ""
        if method == "OPTIONS":
            head.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        elif method == "DESCRIBE":
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                "m=video 0 RTP/AVP 26\r\na=control:track0\r\n"
            )
            head += [f"Content-Base: {where}/", "Content-Type: application/sdp"]
            head.append(f"Content-Length: {len(body)}")
        elif method == "SETUP":
            head += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"]
        else:
            head.append("Session: 1")
        return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


class _Jpeg:
    """A picture's tables and scan, as RFC 2435 sends them."""

    def __init__(self, picture: Picture) -> None:
        self._size = bytes((picture.shape[1] // 8, picture.shape[0] // 8))
        options = [cv2.IMWRITE_JPEG_QUALITY, 90]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
        data = cv2.imencode(".jpg", picture, options)[1].tobytes()
        self._tables, place = b"", 2
        while (kind := data[place + 1]) != 0xDA:
            (length,) = struct.unpack(">H", data[place + 2 : place + 4])
            if kind == 0xDB:
                body = data[place + 4 : place + 2 + length]
                self._tables += b"".join(body[at + 1 : at + 65] for at in range(0, len(body), 65))
            place += 2 + length
        (length,) = struct.unpack(">H", data[place + 2 : place + 4])
        self._scan = data[place + 2 + length : -2]

    def packets(self, sent: Iterator[int], stamp: int) -> Iterator[bytes]:
        """RTP packets. sent: counts packets; stamp: in 1/90,000 s."""
        for at in range(0, len(self._scan), PACKET):
            part = self._scan[at : at + PACKET]
            last = at + PACKET >= len(self._scan)
            head = struct.pack(">BBHII", 0x80, 26 | last << 7, next(sent) & 0xFFFF, stamp, 7)
            head += b"\0" + at.to_bytes(3, "big") + b"\x01\xff" + self._size
            if at == 0:
                head += struct.pack(">BBH", 0, 0, len(self._tables)) + self._tables
            yield head + part


@contextmanager
def rtsp_camera(
    frames: Sequence[Picture], *, rate: float = 25.0, pictures: int = 10**9
) -> Iterator[RtspCamera]:
    camera = RtspCamera(frames, rate=rate, pictures=pictures)
    try:
        yield camera
    finally:
        camera.close()
