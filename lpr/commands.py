"""What each command does, once its words are parsed.

Always true here: a read is in the spool before it is printed or sent; a finite source ends with
its reads delivered, or with a line that says how many are kept and why.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from lpr import logs, output
from lpr import settings as settings_module
from lpr.errors import LprError, SpoolError
from lpr.settings import Settings

if TYPE_CHECKING:
    from lpr.reading import CapturedRead
    from lpr.session import Session
    from lpr.spool import Appended, Spool


def read(
    source: str,
    *,
    reader: str,
    server: str,
    as_json: bool,
    dry_run: bool,
    wait: float,
    at: str,
) -> int:
    """`lpr read`; returns the exit code."""
    settings = settings_module.load()
    reader = reader or settings.reader
    if not dry_run and not reader:
        raise LprError("name the reader with --reader ID, or only print the reads with --dry-run")
    start = _time(at)
    logs.configure(settings.log, tool=dry_run)

    from lpr.camera import Stills, open_source
    from lpr.session import Session, make_eye

    # The spool first: one that is in use should be told before a camera is opened.
    spool = None if dry_run else _open_spool(settings, reader)
    try:
        opened = open_source(source, rate=settings.frames_per_second, start=start)
        with output.progress_bar() as bar:
            task = bar.add_task("reading", total=None)
            session = Session(
                opened,
                make_eye(settings, video=not isinstance(opened, Stills)),
                settings,
                complain=lambda path: output.say(
                    f"{path} can't be opened: it is no picture, or damaged; skipped"
                ),
                progress=lambda done, total: bar.update(task, completed=done, total=total or None),
            )
            with _stoppable(session):
                kept = _run(session, spool, settings, server=server, wait=wait, as_json=as_json)
    finally:
        if spool is not None:
            spool.close()
    if dropped := session.health().dropped_frames:
        output.say(
            f"{dropped} of {dropped + session.frames} frames were dropped: the machine can't keep "
            "up; narrow LPR_REGIONS_OF_INTEREST, or give it more cores"
        )
    if session.unreadable:
        output.say(f"{session.unreadable} of {session.pictures} pictures could not be opened")
    return 0 if kept and not session.unreadable else 1


def status(reader: str, *, as_json: bool) -> None:
    """`lpr status`."""
    from lpr import status as told
    from lpr.spool_file import DATABASE, inspect

    root = settings_module.load().spool
    folders = (
        [root / reader] if reader else sorted(path.parent for path in root.glob(f"*/{DATABASE}"))
    )
    if not folders:
        raise SpoolError(f"there is no spool in {root}; 'lpr read SOURCE --reader ID' makes one")
    states = [inspect(folder) for folder in folders]
    for state in states:
        if as_json:
            output.print_json(told.fields(state))
        else:
            output.print_table(told.COLUMNS, told.rows(state), title=told.title(state))


def evaluate(
    manifest: Path, *, same: Sequence[str], save: Path | None, diagram: Path | None, as_json: bool
) -> int:
    """`lpr evaluate`; returns the exit code."""
    from lpr import evaluation, evaluation_report
    from lpr.session import make_eye

    settings = settings_module.load()
    logs.configure(settings.log, tool=True)
    pictures = evaluation.load_manifest(manifest)
    sameness = evaluation.Sameness(same)
    eye = make_eye(settings, video=False)
    outcomes, missing = [], []

    def complain(path: Path) -> None:
        missing.append(path)
        output.say(f"{path} can't be opened: it is no picture, or damaged; skipped")

    with output.progress_bar() as bar:
        task = bar.add_task("evaluating", total=len(pictures))
        for outcome, picture in evaluation.evaluate(eye, pictures, sameness, unreadable=complain):
            outcomes.append(outcome)
            if save is not None and not outcome.right:
                evaluation_report.save_failure(save, outcome, picture)
            bar.update(task, completed=len(outcomes) + len(missing))
    summaries = evaluation.summarise(outcomes)
    if diagram is not None:
        error = summaries[-1].calibration_error
        try:
            diagram.write_text(
                evaluation_report.diagram(outcomes, eye.model, error), encoding="utf-8"
            )
        except OSError as problem:
            raise LprError(f"{diagram} can't be written: {problem.strerror}") from problem
    if as_json:
        for one in summaries:
            output.print_json(evaluation_report.fields(one, eye.model))
    else:
        output.print_table(
            (*evaluation_report.HEAD, *evaluation_report.SURE_HEAD),
            evaluation_report.table(summaries),
            title=f"{manifest}, read with {eye.model}; first read of each picture",
        )
    return 1 if missing else 0


def models(*, as_json: bool) -> None:
    """`lpr models`."""
    from lpr import catalogue

    settings = settings_module.load()
    # Only a look: what `auto` would fetch at the start of a reader is not fetched here.
    if settings.ocr_model == "auto":  # Loaded, for `auto` passes by what can't be.
        choice, _ = catalogue.opened("auto", may_fetch=False)
    else:
        choice = catalogue.choose(settings.ocr_model, may_fetch=False)
    known = catalogue.known()
    if as_json:
        for model in known:
            output.print_json(
                {
                    "model": model.name,
                    "used": model.name == choice.name,
                    "available": model.cached,
                    "best": model.best,
                    "sha256": model.sha256,
                }
            )
        if choice.name not in {model.name for model in known}:
            output.print_json(
                {
                    "model": choice.name,
                    "used": True,
                    "available": True,
                    "best": False,
                    "path": str(choice.model),
                }
            )
        return
    output.print_table(
        ("model", "on this machine", ""),
        [
            (
                model.name,
                "yes" if model.cached else "no",
                ", ".join(["used"] * (model.name == choice.name) + ["the hub's best"] * model.best),
            )
            for model in known
        ],
        title=f"LPR_OCR_MODEL={settings.ocr_model}: {choice.name} ({choice.why})",
    )


def fetch(name: str, *, as_json: bool) -> None:
    """`lpr models fetch`."""
    from lpr import catalogue

    name = name or catalogue.HUB_BEST
    path = catalogue.fetch(name)
    if as_json:
        output.print_json({"model": name, "path": str(path)})
    else:
        print(f"{name} is in {path.parent}")


# ---- within ----------------------------------------------------------------


def _run(
    session: Session,
    spool: Spool | None,
    settings: Settings,
    *,
    server: str,
    wait: float,
    as_json: bool,
) -> bool:
    """Whether every read was kept."""
    if spool is None:
        for one in session.reads():
            if as_json:
                output.print_json(output.read_fields(one))
            else:
                output.print_read(one)
        return True
    from lpr.metrics import serving
    from lpr.sending import Line, deliver
    from lpr.status import noting
    from lpr.tls import credentials

    def show(one: CapturedRead, where: Appended) -> None:
        if as_json:
            output.print_json(output.read_fields(one) | output.place_fields(one, reader, where))
        else:
            output.print_read(one)

    reader = spool.reader_id
    line = Line(
        session,
        spool,
        server=server or settings.server,
        wait=wait,
        credentials=credentials(settings),
    )
    with serving(settings.metrics, session, spool, line), noting(session, spool):
        return deliver(session, line, lane=settings.lane, show=show)


def _open_spool(settings: Settings, reader: str) -> Spool:
    from lpr.spool import READER_ID, Spool

    if reader in {".", ".."} or not READER_ID.fullmatch(reader):
        raise LprError(f"{reader!r} is no reader id; use 1 to 64 of letters, digits and . _ : -")
    return Spool(
        settings.spool / reader,
        reader,
        picture_bytes=settings.spool_picture_mib * 1024 * 1024,
        max_bytes=settings.spool_max_mib * 1024 * 1024 or None,
    )


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise LprError(f"--at {text} is no time; write it as 2024-04-30T18:05:00Z") from error
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def _stoppable(session: Session) -> Iterator[None]:
    """Ctrl-C and SIGTERM end a camera in good order, and interrupt anything else."""

    def stop(number: int, frame: FrameType | None) -> None:
        if not session.live:
            raise KeyboardInterrupt
        session.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
