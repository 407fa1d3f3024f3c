"""Which OCR model is used, what there is to choose from, and how the hub's best is fetched.

Always true here: a reader starts without a network. `auto` takes the hub's best model from
fast-plate-ocr's cache; where it is not there it asks the hub for at most PROBE seconds, remembers
for a day that there was no answer, and takes the next best that is cached, else what needs no
network. A model that is not what was fetched (SHA256SUMS beside it) is never loaded.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lpr.errors import ModelError

if TYPE_CHECKING:
    from lpr.ocr import Recogniser

PREFERRED = (
    "cct-s-v2-global-model",
    "cct-xs-v2-global-model",
    "cct-s-v1-global-model",
    "cct-s-relu-v1-global-model",
    "cct-xs-v1-global-model",
    "cct-xs-relu-v1-global-model",
    "global-plates-mobile-vit-v2-model",
)
"""Models of fast-plate-ocr's hub for plates of the whole world, the best first."""
HUB_BEST = PREFERRED[0]
RAPID = "rapidocr"
FUSED = "rapidocr+ours"
"""RapidOCR's recogniser and our own small model, fused: what reads best without a network."""
WITHOUT_NETWORK = (FUSED, RAPID)
OURS = Path(__file__).parent / "models" / "plate_ocr.onnx"
SUMS = "SHA256SUMS"
PROBE = 2.0
"""Seconds that `auto` waits for the hub."""
FETCH_TIMEOUT = 30.0
"""Seconds that a fetch may stand still."""
ASK_AGAIN = 24 * 3600.0
"""Seconds after which `auto` asks the hub again."""


@dataclass(frozen=True)
class Choice:
    """A model to read with. model and config are None for those that are always here."""

    name: str
    why: str
    model: Path | None = None
    config: Path | None = None


@dataclass(frozen=True)
class Known:
    """A model there is. sha256: of the ONNX file (of our own in a fused one), empty if absent."""

    name: str
    cached: bool
    best: bool
    sha256: str


def choose(setting: str, *, may_fetch: bool = True) -> Choice:
    """The model that LPR_OCR_MODEL means. Raises ModelError with what to do."""
    if setting == "auto":
        return _automatic(may_fetch=may_fetch)
    if setting in WITHOUT_NETWORK:
        return Choice(setting, "named")
    path = Path(setting).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return Choice(path.stem, "path", path, _config_of(path))
    if setting in _hub():
        found = _cached(setting)
        if found is None:
            fetch(setting)
            found = _cached(setting)
        if found is not None:
            return Choice(setting, "named", *_unchanged(setting, *found))
    raise ModelError(
        f"LPR_OCR_MODEL={setting} is neither a file nor a hub model; "
        "'lpr models' lists the hub's, 'auto' takes the best there is"
    )


def load(choice: Choice, *, threads: int = 2, thorough: bool = False) -> Recogniser:
    """The chosen model, ready to read.

    thorough: with two views of each plate, and RapidOCR's recogniser asked too, whatever the model:
    what they see together is read better than either reads it, in several times the time.
    """
    from lpr.ocr_fast_plate import MARGIN, WIDER, FastPlateOcr
    from lpr.ocr_fused import FusedOcr
    from lpr.ocr_rapid import RapidOcr

    margins = (MARGIN, WIDER) if thorough else (MARGIN,)

    if choice.model is None or choice.config is None:
        rapid = RapidOcr(threads=threads)
        if choice.name == RAPID:
            return rapid
        ours = FastPlateOcr(OURS, OURS.with_suffix(".yaml"), threads=threads, margins=margins)
        return FusedOcr(rapid, ours, choice.name)

    named = FastPlateOcr(
        choice.model, choice.config, threads=threads, name=choice.name, margins=margins
    )
    if not thorough:
        return named
    return FusedOcr(named, RapidOcr(threads=threads), f"{choice.name}+{RAPID}")


def known() -> list[Known]:
    """Every model of the hub, and those that are always here."""
    models = []
    for name in _hub():
        found = _cached(name)
        models.append(
            Known(name, found is not None, name == HUB_BEST, _digest(found[0]) if found else "")
        )
    from lpr.ocr_rapid import wheel_model

    return [
        *models,
        Known(FUSED, True, False, _digest(OURS)),
        Known(RAPID, True, False, _digest(wheel_model())),
    ]


def fetch(name: str = HUB_BEST) -> Path:
    """Fetches a hub model into fast-plate-ocr's cache, with progress on stderr.

    Leaves the files' SHA-256 beside them. Raises ModelError where the hub can't be reached.
    """
    from fast_plate_ocr.inference import hub

    if name not in _hub():
        raise ModelError(f"the hub has no model {name}; 'lpr models' lists those it has")
    try:
        with _network_timeout(FETCH_TIMEOUT):
            model, config = hub.download_model(name)
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise ModelError(
            f"the model {name} can't be fetched ({_cause(error)}); without a network, set "
            f"LPR_OCR_MODEL={RAPID}, or lay the model's two files in {_folder(name)}"
        ) from error
    sums = "".join(f"{_digest(file)}  {file.name}\n" for file in (model, config))
    (_folder(name) / SUMS).write_text(sums, encoding="utf-8")
    _failed_mark().unlink(missing_ok=True)
    return Path(model)


# ---- within ----------------------------------------------------------------


def _automatic(*, may_fetch: bool) -> Choice:
    if _cached(HUB_BEST) is None and may_fetch and _worth_asking():
        try:
            _probe(_hub()[HUB_BEST][0])
            fetch(HUB_BEST)
        except (ModelError, OSError):
            _mark_failed()
    for name in PREFERRED:
        found = _cached(name)
        if found is not None:
            best = "the hub's best" if name == HUB_BEST else "the best of the hub's that is cached"
            return Choice(name, f"auto: {best}", *_unchanged(name, *found))
    return Choice(FUSED, "auto: none of the hub's is cached ('lpr models fetch')")


def _hub() -> dict[str, tuple[str, str]]:
    """Names of the hub's models, with the addresses of model and config."""
    from fast_plate_ocr.inference import hub

    models: dict[str, tuple[str, str]] = hub.AVAILABLE_ONNX_MODELS
    return models


def _folder(name: str) -> Path:
    from fast_plate_ocr.inference import hub

    return Path(hub.MODEL_CACHE_DIR) / name


def _cached(name: str) -> tuple[Path, Path] | None:
    model, config = (_folder(name) / address.rpartition("/")[2] for address in _hub()[name])
    return (model, config) if model.is_file() and config.is_file() else None


def _unchanged(name: str, model: Path, config: Path) -> tuple[Path, Path]:
    """The files, as they were fetched. Raises ModelError where one has changed since."""
    kept = model.parent / SUMS
    if kept.is_file():
        lines = kept.read_text(encoding="utf-8").splitlines()
        wanted = {line[66:]: line[:64] for line in lines}
        for file in (model, config):
            if wanted.get(file.name, _digest(file)) != _digest(file):
                raise ModelError(
                    f"{file} is not what was fetched (SHA-256 in {kept}); remove the folder and "
                    f"fetch it again: lpr models fetch {name}"
                )
    return model, config


def _in_folder(folder: Path) -> Choice:
    models = sorted(folder.glob("*.onnx"))
    if len(models) != 1:
        raise ModelError(
            f"LPR_OCR_MODEL={folder} holds {len(models)} ONNX models; name the file itself"
        )
    return Choice(models[0].stem, "path", models[0], _config_of(models[0]))


def _config_of(model: Path) -> Path:
    """<model>.yaml, <model>…_config.yaml, or the only YAML file beside it."""
    beside = sorted([*model.parent.glob("*.yaml"), *model.parent.glob("*.yml")])
    same = [path for path in beside if path.stem == model.stem]
    named = [path for path in beside if path.stem.startswith(model.stem)]
    for found in (same, named, [path for path in beside if path.stem.endswith("_config")], beside):
        if len(found) == 1:
            return found[0]
    raise ModelError(
        f"the OCR model {model} needs its plate config beside it, as {model.stem}.yaml"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _failed_mark() -> Path:
    return _folder(HUB_BEST).parent / ".lpr-no-hub"


def _worth_asking() -> bool:
    try:
        return time.time() - _failed_mark().stat().st_mtime > ASK_AGAIN
    except OSError:
        return True


def _mark_failed() -> None:
    try:
        _failed_mark().parent.mkdir(parents=True, exist_ok=True)
        _failed_mark().touch()
    except OSError:
        return  # A cache that can't be written only means that we ask again.


def _probe(address: str) -> None:
    """Raises OSError where the hub does not answer within PROBE seconds, name look-up included."""
    outcome: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - the hub's own
        try:
            with urllib.request.urlopen(request, timeout=PROBE):  # noqa: S310
                outcome.append(True)
        except OSError:
            outcome.append(False)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PROBE)
    if outcome != [True]:
        raise OSError("the hub does not answer")


@contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return " ".join(str(getattr(reason, "strerror", None) or reason).split())
