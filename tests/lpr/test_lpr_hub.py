"""A model is fetched whole or not at all, and a broken cache keeps no reader from starting."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lpr import catalogue, hub
from lpr.errors import ModelError

NAME = catalogue.HUB_BEST


@contextmanager
def serving(files: dict[str, bytes], how: str = "whole") -> Iterator[str]:
    """A hub: sends files whole; half of them, with or without their length; or drop by drop."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            body = files[self.path.rpartition("/")[2]]
            self.send_response(200)
            if how != "half, no length":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if how == "drops":
                for at in range(100):
                    try:
                        self.wfile.write(body[at : at + 1])
                    except OSError:
                        return  # Who asked has gone.
                    time.sleep(0.05)
                return
            self.wfile.write(body if how == "whole" else body[: len(body) // 2])

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def files(hub_model: Path) -> dict[str, bytes]:
    """The best model as the hub has it: another's files under its names."""
    model, config = (_only(hub_model, ending) for ending in ("onnx", "yaml"))
    there = (address.rpartition("/")[2] for address in hub.models()[NAME])
    return dict(zip(there, (model.read_bytes(), config.read_bytes()), strict=True))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from fast_plate_ocr.inference import hub as theirs

    monkeypatch.setattr(theirs, "MODEL_CACHE_DIR", tmp_path / "cache")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fast_plate_ocr.inference import hub as theirs

    model, config = hub.models()[NAME]
    moved = tuple(f"{address}/{one.rpartition('/')[2]}" for one in (model, config))
    monkeypatch.setitem(theirs.AVAILABLE_ONNX_MODELS, NAME, moved)


def _only(folder: Path, ending: str) -> Path:
    (found,) = folder.glob(f"*.{ending}")
    return found


def test_a_model_is_fetched_with_progress_and_checksums(
    files: dict[str, bytes],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with serving(files) as address:
        at(address, monkeypatch)
        assert catalogue.opened("auto")[0].name == NAME
    folder = cache / NAME
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix} == files
    sums = (folder / hub.SUMS).read_text().split()
    assert sums == [word for name in files for word in (hub.digest(folder / name), name)]
    said = capfd.readouterr().err
    assert all(name in said for name in files)
    assert "100%" in said
    assert [path.name for path in cache.iterdir()] == [NAME]


@pytest.mark.parametrize("how", ["half", "half, no length"])
def test_a_fetch_that_breaks_off_leaves_nothing_and_auto_takes_the_next_best(
    files: dict[str, bytes],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    with serving(files, how) as address:
        at(address, monkeypatch)
        with pytest.raises(ModelError, match=r"broke off|damaged"):
            catalogue.fetch(NAME)
        assert list(cache.iterdir()) == []
        with caplog.at_level(logging.WARNING):
            assert catalogue.opened("auto")[0].name == catalogue.FUSED
        assert "broke off" in caplog.text or "damaged" in caplog.text
    assert catalogue.opened("auto")[0].name == catalogue.FUSED
    with serving(files) as address:
        at(address, monkeypatch)
        catalogue.fetch(NAME)
    assert catalogue.opened("auto")[0].name == NAME


def test_a_fetch_nobody_asked_for_ends_in_time(
    files: dict[str, bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "UNASKED", 0.3)
    with serving(files, "drops") as address:
        at(address, monkeypatch)
        began = time.monotonic()
        assert catalogue.choose("auto").name == catalogue.FUSED
        assert time.monotonic() - began < 2
    assert not (cache / NAME).exists()


def test_a_model_that_changed_is_fetched_anew_and_not_signed(
    files: dict[str, bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(files) as address:
        at(address, monkeypatch)
        model = catalogue.fetch(NAME)
        sums = (cache / NAME / hub.SUMS).read_text()
        model.write_bytes(model.read_bytes() + b"x")
        assert catalogue.fetch(NAME) == model
    assert model.read_bytes() == files[model.name]
    assert (cache / NAME / hub.SUMS).read_text() == sums
    model.write_bytes(b"x")
    with serving(files, "half") as address:
        at(address, monkeypatch)
        with pytest.raises(ModelError, match="broke off"):
            catalogue.fetch(NAME)
    assert model.read_bytes() == b"x"
    with pytest.raises(ModelError, match="lpr models fetch"):
        catalogue.choose(NAME)


def test_auto_passes_by_a_cached_model_that_can_not_be_loaded(
    files: dict[str, bytes], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (cache / NAME).mkdir(parents=True)
    for name, body in files.items():
        (cache / NAME / name).write_bytes(body[: len(body) // 2])
    with caplog.at_level(logging.WARNING):
        choice, _ = catalogue.opened("auto", may_fetch=False)
    assert choice.name == catalogue.FUSED
    assert f"lpr models fetch {NAME}" in caplog.text
