"""fast-plate-ocr's hub and its cache: what is there, whether it is whole, and how it gets there.

Always true here: a model appears in the cache whole or not at all. It is fetched into a folder
beside, must be as long as the hub said and be loadable, gets the SHA-256 of its files (SUMS), and
only then takes its place; a fetch that fails leaves what was there before.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from lpr.errors import ModelError

SUMS = "SHA256SUMS"
PROBE = 2.0
"""Seconds that a probe waits for the hub."""
STALL = 30.0
"""Seconds that a fetch may stand still."""
LEFT_OVER = 3600.0
"""Seconds after which a fetch's folder is one that was killed."""
PIECE = 1 << 16


def models() -> dict[str, tuple[str, str]]:
    """Names of the hub's models, with the addresses of model and config."""
    from fast_plate_ocr.inference import hub

    found: dict[str, tuple[str, str]] = hub.AVAILABLE_ONNX_MODELS
    return found


def folder(name: str) -> Path:
    """Where fast-plate-ocr caches the model."""
    from fast_plate_ocr.inference import hub

    return Path(hub.MODEL_CACHE_DIR) / name


def cached(name: str) -> tuple[Path, Path] | None:
    """Model and config, where both are in the cache."""
    model, config = (folder(name) / _file(address) for address in models()[name])
    return (model, config) if model.is_file() and config.is_file() else None


def unchanged(name: str) -> tuple[Path, Path]:
    """Model and config, as they were fetched. Raises ModelError where one is absent or changed."""
    found = cached(name)
    if found is None:
        raise ModelError(f"the model {name} is not cached; fetch it: lpr models fetch {name}")
    kept = folder(name) / SUMS
    if kept.is_file():
        wanted = {line[66:]: line[:64] for line in kept.read_text(encoding="utf-8").splitlines()}
        for file in found:
            if wanted.get(file.name) != digest(file):
                raise ModelError(
                    f"{file} is not what was fetched (SHA-256 in {kept}); fetch it again: "
                    f"lpr models fetch {name}"
                )
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(name: str, *, within: float | None = None) -> Path:
    """The model into the cache, unless it is there whole; progress on stderr. Its ONNX file.

    One that is there without checksums gets them if it can be loaded; one that has changed since
    it was fetched is fetched anew. within: seconds it may take in all, give or take the last
    packet. Raises ModelError where it can't be had.
    """
    try:
        if cached(name) is not None and _whole(name):
            return unchanged(name)[0]
        return _anew(name, within)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ModelError(
            f"the model {name} can't be fetched ({_cause(error)}); without a network, set "
            f"LPR_OCR_MODEL=rapidocr+ours, or lay the model's two files in {folder(name)}"
        ) from error


def probe(address: str) -> None:
    """Raises OSError where the hub does not answer within PROBE seconds, name look-up included."""
    outcome: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - the hub's own
        try:
            with _opener().open(request, timeout=PROBE):
                outcome.append(True)
        except (OSError, http.client.HTTPException):
            outcome.append(False)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PROBE)
    if outcome != [True]:
        raise OSError("the hub does not answer")


# ---- within ----------------------------------------------------------------


def _whole(name: str) -> bool:
    """Whether what is cached is what was fetched; what nobody has sums of must be loadable."""
    try:
        model, config = unchanged(name)
        if not (folder(name) / SUMS).is_file():
            _loadable(model, config)
            _sign(folder(name), model, config)
    except ModelError:
        return False
    return True


def _anew(name: str, within: float | None) -> Path:
    there = folder(name)
    there.parent.mkdir(parents=True, exist_ok=True)
    for left in there.parent.glob(f".{name}.*"):
        if time.time() - left.stat().st_mtime > LEFT_OVER:
            shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=there.parent))
    try:
        draft = work / "new"
        draft.mkdir()
        end = None if within is None else time.monotonic() + within
        model, config = (_download(address, draft, end) for address in models()[name])
        _loadable(model, config)
        _sign(draft, model, config)
        if there.exists():
            there.rename(work / "old")
        draft.rename(there)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return there / model.name


def _opener() -> urllib.request.OpenerDirector:
    # urlopen's own keeps the proxies of its first use.
    return urllib.request.build_opener()


def _download(address: str, into: Path, end: float | None) -> Path:
    """One file. Raises OSError where it comes short, stalls, or is not there by `end`."""
    from tqdm import tqdm

    path = into / _file(address)
    wait = STALL if end is None else min(STALL, max(0.1, end - time.monotonic()))
    with (
        _opener().open(address, timeout=wait) as response,
        path.open("wb") as file,
    ):
        length = response.headers.get("Content-Length")
        size = int(length) if length else None
        with tqdm(total=size, desc=path.name, unit="B", unit_scale=True) as bar:
            while piece := response.read1(PIECE):
                file.write(piece)
                bar.update(len(piece))
                if end is not None and time.monotonic() > end:
                    raise OSError(f"{path.name} takes too long")
    if size is not None and path.stat().st_size != size:
        raise OSError(f"{path.name} broke off: {path.stat().st_size:,} of {size:,} bytes came")
    return path


def _loadable(model: Path, config: Path) -> None:
    """Raises ModelError where the two are no model."""
    from lpr.ocr_fast_plate import FastPlateOcr

    try:
        FastPlateOcr(model, config)
    except ModelError as error:
        raise ModelError(
            f"{model.name}, as it came, can't be loaded: it is damaged; try again later"
        ) from error


def _sign(inside: Path, *files: Path) -> None:
    sums = "".join(f"{digest(file)}  {file.name}\n" for file in files)
    (inside / SUMS).write_text(sums, encoding="utf-8")


def _file(address: str) -> str:
    return address.rpartition("/")[2]


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return " ".join(str(getattr(reason, "strerror", None) or reason).split())
