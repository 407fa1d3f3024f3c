"""Entry point of `ring` and `python -m ring.cli`: every command by its name, errors as one line.

The modules of the commands import gRPC, protobuf and rich where they use them, so that `--help`
and a mistyped option answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from ring.cli import (
    acting,
    alerts,
    clones,
    flows,
    hotlists,
    incidents,
    investigation,
    keeping,
    look_back,
    operations,
    patterns,
    pictures,
    registry,
    webhooks,
)
from ring.cli.failure import CommandError
from ring.cli.output import let_go, writing

app = typer.Typer(
    name="ring",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The digital ring in a terminal. Every command takes --server, --json, --as and --help. "
    "Settings: RING_SERVER, RING_TIME_ZONE, RING_CASE, RING_REASON, RING_AGENCY.",
    epilog="Exit codes: 0 done, 1 failed or done in part, 2 called wrongly.",
)
app.command()(investigation.search)
app.command()(investigation.timeline)
app.command()(investigation.reads)
app.command()(flows.flows)
app.command()(pictures.picture)
app.command()(patterns.companions)
app.command()(patterns.common)
app.command()(clones.clones)
app.command()(patterns.present)
app.add_typer(alerts.app, name="alerts")
alerts.app.command("precision")(incidents.precision)
app.add_typer(incidents.app, name="incidents")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(hotlists.app, name="hotlist")
app.add_typer(look_back.app, name="look-back")
app.add_typer(registry.checkpoints, name="checkpoints")
app.add_typer(registry.readers, name="readers")
app.add_typer(operations.rejects, name="rejects")
app.command()(keeping.reconcile)
app.command()(keeping.backup)
app.command()(keeping.restore)
app.command()(operations.rebuild)
app.command()(operations.status)
acting.act_in(app)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = app(arguments, prog_name="ring", standalone_mode=False)
        with writing():
            sys.stdout.flush()
    except CommandError as error:
        _say(str(error))
        return error.exit_code
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except typer.TyperException as error:
        # Called wrongly; the parser's texts may run over several lines.
        where = getattr(getattr(error, "ctx", None), "command_path", "ring")
        text = " ".join(error.format_message().split()).rstrip(".")
        _say(f"{text} (see '{where} --help')")
        return error.exit_code
    except BrokenPipeError:
        return _seen_enough()
    except SystemExit as end:
        # Typer and rich end the process by themselves where a pipe broke.
        if isinstance(end.__context__, BrokenPipeError):
            return _seen_enough()
        raise
    return code if isinstance(code, int) else 0


def _seen_enough() -> int:
    """Whoever read our output, head for one, has seen enough: that is no failure."""
    let_go()
    return 0


def _say(text: str) -> None:
    print(f"ring: {text}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command that the arguments name (without: those of the process), and exits."""
    sys.exit(_run(arguments))


if __name__ == "__main__":
    main()
