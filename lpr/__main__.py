"""Entry point of `lpr` and `python -m lpr`: every command, errors as one line.

Exit codes: 0 done, 1 failed or done in part, 2 called wrongly, 130 interrupted. Answers go to
stdout, everything else to stderr. OpenCV, the models and gRPC are imported where they are used, so
that `--help` and a mistyped option answer at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from lpr.errors import LprError
from lpr.output import say

app = typer.Typer(
    name="lpr",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The reader at a checkpoint: sees plates, reads them, and delivers each read once.",
    epilog="Every command takes --server, --json and --help. Settings: LPR_OCR_MODEL, LPR_SPOOL "
    "and the others that the README lists. Exit codes: 0 done, 1 failed or done in part, "
    "2 called wrongly.",
)
models = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=False,
    help="The OCR models there are, and which one is used.",
)
app.add_typer(models, name="models")

Server = Annotated[
    str, typer.Option("--server", metavar="HOST:PORT", help="The ring. [default: 127.0.0.1:50051]")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Reader = Annotated[
    str, typer.Option("--reader", metavar="ID", help="The reader's id, as registered.")
]


@app.command()
def read(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A picture, a folder of pictures, a video file, an RTSP address or a camera "
            "number.",
        ),
    ],
    reader: Reader = "",
    server: Server = "",
    json: Json = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the reads: no server, no --reader.")
    ] = False,
    wait: Annotated[
        float,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            min=0,
            help="At the end, how long the server may stay silent before the rest is left in the "
            "spool for next time. Cameras wait for ever.",
        ),
    ] = 60.0,
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="TIME",
            help="When the pictures, or the video's first frame, were captured (ISO 8601, UTC "
            "unless it says otherwise). Else pictures count as captured now, and a video as having "
            "ended now.",
        ),
    ] = "",
) -> None:
    """Read the plates in SOURCE and deliver the reads.

    In a folder each picture stands alone, its best read first; one under 240 pixels wide is
    taken for a plate's crop. In a video or from a camera, each vehicle is one read.
    """
    from lpr import commands

    code = commands.read(
        source, reader=reader, server=server, as_json=json, dry_run=dry_run, wait=wait, at=at
    )
    raise typer.Exit(code)


@app.command()
def status(reader: Reader = "", server: Server = "", json: Json = False) -> None:
    """What waits in the spools on this machine; asks no server."""
    from lpr import commands

    commands.status(reader, as_json=json)


@app.command()
def evaluate(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST.csv",
            help="Columns file,kind,x,y,width,height,plate; kind is crop or scene.",
        ),
    ],
    same: Annotated[
        list[str] | None,
        typer.Option(
            "--same",
            metavar="PAIRS",
            help="Characters that labels mix, as O0,I1, or eu:O0,I1 for the folder eu alone.",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Where pictures of the failures go."),
    ] = None,
    diagram: Annotated[
        Path | None,
        typer.Option("--diagram", metavar="FILE.svg", help="Where a reliability diagram goes."),
    ] = None,
    server: Server = "",
    json: Json = False,
) -> None:
    """How well labelled pictures are found and read, and how much a confidence means."""
    from lpr import commands

    code = commands.evaluate(manifest, same=same or [], save=save, diagram=diagram, as_json=json)
    raise typer.Exit(code)


@models.callback()
def list_models(context: typer.Context, server: Server = "", json: Json = False) -> None:
    """The OCR models there are, and which one LPR_OCR_MODEL takes."""
    if context.invoked_subcommand is None:
        from lpr import commands

        commands.models(as_json=json)


@models.command("fetch")
def fetch(
    name: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="A hub model. [default: the hub's best]")
    ] = "",
    server: Server = "",
    json: Json = False,
) -> None:
    """Fetch a hub model into fast-plate-ocr's cache."""
    from lpr import commands

    commands.fetch(name, as_json=json)


def _run() -> int:
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except LprError as error:
        say(str(error), error=True)
        return 1
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except typer.TyperException as error:
        # Called wrongly; the parser's texts may run over several lines.
        where = getattr(getattr(error, "ctx", None), "command_path", "lpr")
        text = " ".join(error.format_message().split()).rstrip(".")
        say(f"{text} (see '{where} --help')")
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing is left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def main() -> NoReturn:
    """Runs the command that `sys.argv` names, and exits."""
    sys.exit(_run())


if __name__ == "__main__":
    main()
