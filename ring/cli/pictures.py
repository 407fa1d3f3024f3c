"""`ring picture`: the picture of a read, by its hash."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ring.cli.connection import connect
from ring.cli.failure import CommandError
from ring.cli.options import Case, Json, Reason, Server, Timeout
from ring.cli.output import print_json, print_line
from ring.cli.purpose import purpose
from ring.cli.settings import load


def picture(
    sha256: Annotated[str, typer.Argument(metavar="SHA256", help="As `ring reads` shows it.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the JPEG.")
    ],
    case: Case = None,
    reason: Reason = None,
    timeout: Timeout = 60.0,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Fetch the picture of a read."""
    from proto.ring.v1.investigation_pb2 import GetPictureRequest
    from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub

    settings = load()
    request = GetPictureRequest(purpose=purpose(case, reason, settings), sha256=_digest(sha256))
    with connect(server, settings) as channel:
        jpeg = InvestigationServiceStub(channel).GetPicture(request, timeout=timeout).jpeg
    try:
        # Readable by its owner alone, as an export is.
        output.touch(mode=0o600)
        output.write_bytes(jpeg)
    except OSError as error:
        raise CommandError(
            f"{output}: {(error.strerror or 'cannot be written').lower()}"
        ) from error
    if as_json:
        print_json({"file": str(output), "bytes": len(jpeg)})
    elif sys.stdout.isatty():
        print_line(f"{len(jpeg):,} bytes in {output}")


def _digest(text: str) -> bytes:
    """From hexadecimal as the tables show it, or base64 as --json does."""
    import base64

    for decode in (bytes.fromhex, lambda t: base64.b64decode(t, validate=True)):
        try:
            digest = decode(text.strip())
        except ValueError:
            continue
        if len(digest) == 32:
            return digest
    raise CommandError(f"{text!r} is no SHA-256: 64 hexadecimal digits, as 'ring reads' shows", 2)
