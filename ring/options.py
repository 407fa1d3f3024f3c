"""The server's command line: what may be said, and what is refused with one line.

Always true here: with `--insecure` it listens on loopback addresses only.
"""

import argparse
import contextlib
import ipaddress
import socket
import sys
from pathlib import Path
from typing import NoReturn

from ring import __version__


def fail(message: str, code: int = 1) -> NoReturn:
    """Ends the program with one line."""
    print(f"server: {message}", file=sys.stderr)
    raise SystemExit(code)


def parse() -> argparse.Namespace:
    """The options, checked."""
    options = _parser().parse_args()
    if not options.insecure:
        fail("identity is not built yet: start with --insecure, on a loopback address")
    if options.role != "read" and not is_loopback(listen_address(options.listen)[0]):
        fail(f"--insecure listens on loopback addresses only, not on {options.listen}")
    if options.role == "read" and not options.socket:
        fail("--role read needs --socket")
    options.data = options.data.resolve()
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="server.py",
        description="The digital ring's server.",
        epilog="Settings: see README.md.",
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder that holds everything kept"
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1:50051",
        metavar="HOST:PORT",
        help="public address; port 0: one that the system chooses (default %(default)s)",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="plaintext, every role for everybody, reflection on; loopback addresses only",
    )
    parser.add_argument(
        "--role", choices=("all", "write", "read"), default="all", help="which processes to start"
    )
    parser.add_argument(
        "--socket", type=Path, help="local socket between the two, where they are started apart"
    )
    parser.add_argument("--until-end-of-input", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def listen_address(text: str) -> tuple[str, int]:
    """HOST and PORT of HOST:PORT."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        fail(f"--listen {text!r} is not HOST:PORT")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether an address, or localhost, is this machine's own."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def check_free(host: str, port: int) -> None:
    """Fails where somebody listens there: gRPC says it too, but late and in many words."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        fail(f"can't listen on {host}:{port}: {error.strerror}")
