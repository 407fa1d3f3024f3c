"""`ring backup`, `restore`, `reconcile` and `rejects readmit`: that nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ring.cli.connection import connect
from ring.cli.failure import CommandError
from ring.cli.operations import rejects
from ring.cli.options import Json, Server
from ring.cli.output import (
    count,
    note,
    print_json,
    print_line,
    print_table,
    progress_bar,
    show_position,
)
from ring.cli.settings import load
from ring.cli.times import positions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proto.ring.v1.operations_pb2 import CopyProgress, EpochAccount

_SECONDS = 60.0


def backup(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="New or empty, on the server's machine.")
    ],
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Copy the event log and the pictures while everything goes on."""
    from proto.ring.v1.operations_pb2 import BackupRequest
    from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub

    with connect(server, load()) as channel:
        request = BackupRequest(folder=str(folder.absolute()))
        last = _copied("backing up", OperationsServiceStub(channel).Backup(request), as_json)
    if not as_json:
        print_line(
            f"{count(last.events, 'event')} and {count(last.pictures, 'picture')} are in {folder}, "
            f"up to {show_position(last.position)}"
        )


def restore(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A backup, on the server's machine.")
    ],
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Fill a new, empty ring from a backup.

    The server must have been started on a new data folder (and, on PostgreSQL, a new database).
    Its log has an id of its own: whoever holds positions of the old one is told, and starts again.
    Exit code 1 also where pictures of the backup are missing or damaged: the rest is restored then.
    """
    from proto.ring.v1.operations_pb2 import RestoreRequest
    from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub

    with connect(server, load()) as channel:
        request = RestoreRequest(folder=str(folder.absolute()))
        last = _copied("restoring", OperationsServiceStub(channel).Restore(request), as_json)
    if not as_json:
        print_line(
            f"{count(last.events, 'event')} and {count(last.pictures, 'picture')} are restored"
        )
    if lacking := last.pictures_total - last.pictures:
        raise CommandError(
            f"the log is restored, but {count(lacking, 'picture')} of the backup could not be: "
            "missing there or damaged, the server's log names the damaged ones"
        )


def _copied(title: str, call: Iterable[CopyProgress], as_json: bool) -> CopyProgress:
    from proto.ring.v1.operations_pb2 import CopyProgress

    last = CopyProgress()
    with progress_bar() as bar:
        task = bar.add_task(title, total=None)
        for last in call:
            total = last.events_total + last.pictures_total
            bar.update(task, completed=last.events + last.pictures, total=total or None)
            if as_json:
                print_json(last)
    if not last.done:
        raise CommandError("the server ended before it was done: look at its log, and try again")
    return last


def reconcile(server: Server = None, as_json: Json = False) -> None:
    """Did every read arrive? Per reader and epoch what came, what is missing, what is projected.

    Exit code 1 where anything is missing. Reads that still wait with their reader are told beside.
    """
    from proto.ring.v1.operations_pb2 import ReconcileProgress, ReconcileRequest
    from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub
    from proto.ring.v1.registry_pb2 import ListReadersRequest
    from proto.ring.v1.registry_pb2_grpc import RegistryServiceStub

    last = ReconcileProgress()
    with connect(server, load()) as channel, progress_bar() as bar:
        task = bar.add_task("reconciling", total=None)
        for last in OperationsServiceStub(channel).Reconcile(ReconcileRequest()):
            bar.update(task, completed=last.position, total=last.head or None)
        readers = RegistryServiceStub(channel).ListReaders(ListReadersRequest(), timeout=_SECONDS)
    if as_json:
        print_json(last)
    else:
        _print_accounts(last.accounts)
    if waiting := [reader for reader in readers.readers if reader.health.spool_depth]:
        depth = sum(reader.health.spool_depth for reader in waiting)
        named = ", ".join(reader.reader_id for reader in waiting[:3])
        more = ", …" if len(waiting) > 3 else ""
        note(f"{count(depth, 'read')} in the spools of {named}{more} have not come yet, they said")
    if last.complete:
        if not as_json:
            print_line("nothing is missing")
        return
    raise CommandError(_missing(last.accounts, last.unknown_rows))


def _print_accounts(accounts: Iterable[EpochAccount]) -> None:
    rows = [
        (
            a.reader_id,
            a.epoch[:8],
            str(a.first_sequence),
            str(a.last_sequence),
            f"{a.stored:,}",
            f"{a.rejected:,}",
            f"{a.conflicts:,}",
            f"{a.projected:,}",
            _runs(a),
        )
        for a in accounts
    ]
    numbers = ("first", "last", "stored", "rejected", "conflicts", "projected")
    print_table(
        count(len(rows), "epoch"), ("reader", "epoch", *numbers, "missing"), rows, right=numbers
    )


def _runs(account: EpochAccount) -> str:
    if not account.missing:
        return ""
    shown = [str(g.first) if g.first == g.last else f"{g.first}-{g.last}" for g in account.gaps[:3]]
    more = ", …" if len(account.gaps) > len(shown) else ""
    return f"{account.missing:,}: {', '.join(shown)}{more}"


def _missing(accounts: Iterable[EpochAccount], unknown_rows: int) -> str:
    accounts = list(accounts)
    found = []
    if never := sum(a.missing for a in accounts):
        found.append(f"{count(never, 'sequence')} never came")
    if behind := sum(a.stored - a.projected for a in accounts):
        found.append(f"{count(behind, 'stored read')} not in the read side ('ring rebuild')")
    if unknown_rows:
        found.append(f"{count(unknown_rows, 'row')} of no stored read ('ring rebuild')")
    return "missing: " + "; ".join(found or ["the server gave no account, try again"])


@rejects.command("readmit")
def readmit_reject(
    position: Annotated[str, typer.Argument(metavar="POSITION", help="As the list shows it.")],
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Judge one again by the rules of today, and store it if it is good."""
    from proto.ring.v1.common_pb2 import LogPosition
    from proto.ring.v1.operations_pb2 import ReadmitRejectRequest
    from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub

    if position.isascii() and position.isdigit() and int(position) < 1 << 64:
        wanted = LogPosition(position=int(position))
    else:
        wanted = positions([position])[0]
    with connect(server, load()) as channel:
        request = ReadmitRejectRequest(position=wanted)
        answer = OperationsServiceStub(channel).ReadmitReject(request, timeout=_SECONDS)
    if as_json:
        print_json(answer)
    elif answer.already:
        print_line("it had been readmitted before")
    else:
        print_line(f"stored at {show_position(answer.position)}")
