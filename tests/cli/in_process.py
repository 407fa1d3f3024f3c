"""The `ring` command in this process: quicker than one of its own, for tests that give many."""

import contextlib
import io

import pytest

from ring.cli.__main__ import main


def ring_command(*arguments: str, server: str, code: int = 0) -> str:
    """What it printed; it must end with this exit code."""
    out, said = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(said),
        pytest.raises(SystemExit) as end,
    ):
        main((*arguments, "--server", server))
    assert end.value.code == code, said.getvalue()
    return out.getvalue()
