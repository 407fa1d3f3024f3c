"""Why somebody looks: every investigation carries a case number and a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ring.cli.failure import CommandError

if TYPE_CHECKING:
    from proto.ring.v1.common_pb2 import Purpose
    from ring.cli.settings import Settings


def purpose(case: str | None, reason: str | None, settings: Settings) -> Purpose:
    """From the options, else from the settings. Raises CommandError where neither has it."""
    from proto.ring.v1.common_pb2 import Purpose

    case = (case or settings.case).strip()
    reason = (reason or settings.reason).strip()
    missing = [name for name, value in (("--case", case), ("--reason", reason)) if not value]
    if missing:
        variables = " and ".join(f"RING_{name[2:].upper()}" for name in missing)
        raise CommandError(
            f"a look at movements needs a purpose: add {' and '.join(missing)}, or set {variables}",
            2,
        )
    return Purpose(case_number=case, reason=reason)
