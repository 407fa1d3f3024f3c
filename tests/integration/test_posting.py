"""One attempt by HTTP: what counts as arrived, and that it ends, whatever the other side does."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ring.posting import Attempt, Letter, Outcome, Poster

LETTER = Letter("key", b"{}")


class Peer:
    """Speaks to each connection as it is told, over a bare socket."""

    def __init__(self, speak: Callable[[socket.socket], object]) -> None:
        self._speak = speak
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/x"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection, suppress(OSError):
                    connection.recv(65536)
                    self._speak(connection)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


def attempt(speak: Callable[[socket.socket], object], seconds: float = 10) -> Attempt:
    peer = Peer(speak)
    poster = Poster(peer.url, "id", "secret", seconds)
    try:
        return poster.post(LETTER, 1)
    finally:
        poster.close()
        peer.close()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Outcome.ARRIVED),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 999999999\r\n\r\nx", Outcome.ARRIVED),
        (b"HTTP/1.0 299 Fine\r\n\r\n", Outcome.ARRIVED),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9/\r\n\r\n", Outcome.REFUSED),
        (b"HTTP/1.1 401 No\r\n\r\n", Outcome.REFUSED),
        (b"HTTP/1.1 500 Oh\r\n\r\n", Outcome.REFUSED),
        (b"HTTP/1.1 429 Slower\r\n\r\n", Outcome.AWAY),
        (b"HTTP/1.1 503 Later\r\n\r\n", Outcome.AWAY),
        (b"", Outcome.REFUSED),
        (b"SSH-2.0-OpenSSH\r\n", Outcome.REFUSED),
    ],
)
def test_what_an_answer_means(answer: bytes, outcome: Outcome) -> None:
    assert attempt(lambda peer: peer.sendall(answer)).outcome is outcome


def test_silence_and_drops_are_no_answer() -> None:
    def drip(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            peer.sendall(b"x")
            ended.wait(0.02)

    def hang(peer: socket.socket) -> None:
        while peer.recv(4096):  # the rest of the request, and then nothing until it goes
            pass

    ended = threading.Event()
    for speak in (hang, drip):
        told = attempt(speak, seconds=0.5)
        assert told == Attempt(Outcome.REFUSED, "no answer within 0.5 s")


def test_nobody_there_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/", "http://no-such-host.invalid/"):
        assert Poster(url, "id", "secret").post(LETTER, 1).outcome is Outcome.AWAY


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is absent: no certificate can be made to test TLS with")
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out cert"
    names = ["-subj", "/CN=city", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *words.split(), *names], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def secure(certificate: Path) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Listener(HTTPServer):
        def handle_error(self, *_: object) -> None:
            """Who does not trust us hangs up."""

    server = Listener(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert", certificate / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_only_a_certificate_that_is_trusted_is_spoken_to(
    secure: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Poster(secure, "id", "secret").post(LETTER, 1)
    assert (told.outcome, told.reason) == (
        Outcome.AWAY,
        "the certificate there is not one that we trust",
    )
    monkeypatch.setitem(os.environ, "SSL_CERT_FILE", str(certificate / "cert"))
    assert Poster(secure, "id", "secret").post(LETTER, 1).outcome is Outcome.ARRIVED
