"""Which OCR model is used, and what there is to choose from.

Always true here: a reader starts without a network, and with a broken cache. `auto` takes the hub's
best model from fast-plate-ocr's cache; where it is not there, or is not what was fetched, it asks
the hub for at most PROBE seconds, fetches for at most UNASKED, and remembers for a day that it got
nothing; then it takes the next best that is cached and can be loaded, else what needs no network.
A model that is not what was fetched (SHA256SUMS beside it) is never loaded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lpr import hub
from lpr.errors import ModelError
from lpr.hub import digest

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
UNASKED = 60.0
"""Seconds that a fetch may take which nobody asked for: the lane waits meanwhile."""
ASK_AGAIN = 24 * 3600.0
"""Seconds after which `auto` asks the hub again."""
_log = logging.getLogger("lpr.catalogue")


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
        return next(_automatic(may_fetch=may_fetch))
    if setting in WITHOUT_NETWORK:
        return Choice(setting, "named")
    path = Path(setting).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return Choice(path.stem, "path", path, _config_of(path))
    if setting in hub.models():
        if hub.cached(setting) is None:
            fetch(setting)
        return Choice(setting, "named", *hub.unchanged(setting))
    raise ModelError(
        f"LPR_OCR_MODEL={setting} is neither a file nor a hub model; "
        "'lpr models' lists the hub's, 'auto' takes the best there is"
    )


def opened(
    setting: str, *, may_fetch: bool = True, threads: int = 2, thorough: bool = False
) -> tuple[Choice, Recogniser]:
    """What LPR_OCR_MODEL means, loaded. Raises ModelError with what to do.

    `auto` goes on to the next best, with a warning, where a model can't be loaded.
    """
    if setting != "auto":
        choice = choose(setting, may_fetch=may_fetch)
        return choice, load(choice, threads=threads, thorough=thorough)
    for choice in _automatic(may_fetch=may_fetch):
        try:
            return choice, load(choice, threads=threads, thorough=thorough)
        except ModelError as error:
            if choice.model is None:
                raise
            _log.warning(
                "%s; taking the next best ('lpr models fetch %s' fetches it anew)",
                error,
                choice.name,
            )
    raise AssertionError("the last candidate is returned or raises")


def load(choice: Choice, *, threads: int = 2, thorough: bool = False) -> Recogniser:
    """The chosen model, ready to read.

    thorough: with two views of each plate, and RapidOCR's recogniser asked too, whatever the model:
    what they see together is read better than either reads it, in several times the time. Else it
    is asked only where the model is unsure, as it is at night.
    """
    from lpr.ocr_fast_plate import MARGIN, WIDER, FastPlateOcr
    from lpr.ocr_fused import UNSURE, FusedOcr
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
    rapid = RapidOcr(threads=threads)
    if not thorough:
        return FusedOcr(named, rapid, choice.name, unsure=UNSURE)
    return FusedOcr(named, rapid, f"{choice.name}+{RAPID}")


def known() -> list[Known]:
    """Every model of the hub, and those that are always here."""
    models = []
    for name in hub.models():
        found = hub.cached(name)
        models.append(
            Known(name, found is not None, name == HUB_BEST, digest(found[0]) if found else "")
        )
    from lpr.ocr_rapid import wheel_model

    return [
        *models,
        Known(FUSED, True, False, digest(OURS)),
        Known(RAPID, True, False, digest(wheel_model())),
    ]


def fetch(name: str = HUB_BEST, *, within: float | None = None) -> Path:
    """A hub model into fast-plate-ocr's cache, with progress on stderr; its ONNX file.

    within: seconds it may take in all. Raises ModelError where it can't be had: what was cached
    before is then as it was.
    """
    if name not in hub.models():
        raise ModelError(f"the hub has no model {name}; 'lpr models' lists those it has")
    model = hub.fetch(name, within=within)
    _failed_mark().unlink(missing_ok=True)
    return model


# ---- within ----------------------------------------------------------------


def _automatic(*, may_fetch: bool) -> Iterator[Choice]:
    """What `auto` may take, the best first; the last needs no network."""
    if may_fetch and not _sound(HUB_BEST) and _worth_asking():
        try:
            hub.probe(hub.models()[HUB_BEST][0])
            fetch(HUB_BEST, within=UNASKED)
        except ModelError as error:
            _log.warning("%s", error)
            _mark_failed()
        except OSError:
            _mark_failed()  # Without a network, as many readers are: nothing to tell.
    for name in PREFERRED:
        if hub.cached(name) is None:
            continue
        best = "the hub's best" if name == HUB_BEST else "the best of the hub's that is cached"
        try:
            files = hub.unchanged(name)
        except ModelError as error:
            _log.warning("%s; taking the next best", error)
            continue
        yield Choice(name, f"auto: {best}", *files)
    yield Choice(FUSED, "auto: none of the hub's is cached ('lpr models fetch')")


def _sound(name: str) -> bool:
    """Whether the model is cached, and as it was fetched."""
    try:
        return hub.cached(name) is not None and bool(hub.unchanged(name))
    except ModelError:
        return False


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


def _failed_mark() -> Path:
    return hub.folder(HUB_BEST).parent / ".lpr-no-hub"


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
