"""TLS from settings: the server proves itself, the reader too, and what is wrong is said."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import cv2
import grpc.aio
import pytest
from lpr_memory_server import MemoryIngest
from lpr_scenes import plate

from lpr.errors import LprError
from lpr.settings import Settings
from lpr.tls import credentials
from proto.ring.v1 import ingest_pb2_grpc

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and certificates for a server and a reader, made anew by openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is absent: no certificates can be made to test TLS with")
    folder = tmp_path_factory.mktemp("papers")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=city",
            "-days", "2")  # fmt: skip
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name in ("server", "reader"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", "request", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
        openssl("x509", "-req", "-in", "request", *signed, "-out", f"{name}.pem", "-days", "2")
    return folder


@asynccontextmanager
async def serving(service: MemoryIngest, papers: Path) -> AsyncIterator[str]:
    """A server that shows its certificate and asks for the reader's."""
    server = grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(service, server)
    pair = (papers / "server.key").read_bytes(), (papers / "server.pem").read_bytes()
    proof = grpc.ssl_server_credentials([pair], (papers / "ca.pem").read_bytes(), True)
    port = server.add_secure_port("127.0.0.1:0", proof)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def read(picture: Path, server: str, **settings: Path) -> tuple[int, str]:
    environment = {f"LPR_TLS_{name.upper()}": str(path) for name, path in settings.items()}
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lpr", "read", str(picture), "--reader", "R1"),
        *("--server", server, "--wait", "3"),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complained = await asyncio.wait_for(running.communicate(), 60)
    return running.returncode or 0, complained.decode()


def test_a_reader_delivers_over_tls_and_to_nobody_else(papers: Path, tmp_path: Path) -> None:
    picture = tmp_path / "crop.png"
    cv2.imwrite(str(picture), plate("HJT726"))

    async def story() -> None:
        service = MemoryIngest()
        own = {"certificate": papers / "reader.pem", "key": papers / "reader.key"}
        async with serving(service, papers) as server:
            code, complained = await read(picture, server, ca=papers / "reader.pem", **own)
            assert code == 1
            assert "1 read kept" in complained
            assert service.plates() == []
            code, complained = await read(picture, server, ca=papers / "ca.pem", **own)
            assert (code, complained) == (0, "")
            assert service.plates() == ["HJT726"] * 2

    asyncio.run(story())


def test_without_settings_there_is_no_tls() -> None:
    assert credentials(Settings()) is None
    assert credentials(Settings(tls=True)) is not None


def test_what_is_wrong_with_the_files_is_said(papers: Path, tmp_path: Path) -> None:
    for wrong, says in [
        (Settings(tls_ca=tmp_path / "none.pem"), "LPR_TLS_CA=.*can't be read"),
        (Settings(tls_ca=papers / "ca.key"), "holds no PEM certificate"),
        (Settings(tls_key=papers / "reader.key"), "both LPR_TLS_CERTIFICATE and LPR_TLS_KEY"),
        (
            Settings(tls_key=papers / "reader.pem", tls_certificate=papers / "reader.pem"),
            "LPR_TLS_KEY=.*holds no PEM private key",
        ),
    ]:
        with pytest.raises(LprError, match=says):
            credentials(wrong)
