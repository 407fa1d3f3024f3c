"""What the whole path is to reach, beside what a run measured.

Always true here: a floor must be reached, a goal is wanted; where there is one number, it is both.
A floor that is missed, or a figure that a row lacks, ends `make bench` with exit code 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Target:
    """Of one figure of a row. most: the figure is to stay below these, else to reach them."""

    figure: str
    floor: float
    goal: float
    most: bool = False

    def reached(self, value: float, wanted: float) -> bool:
        """Whether a figure is as wanted."""
        return value <= wanted if self.most else value >= wanted

    def state(self, row: dict[str, Any]) -> str:
        """ "goal" or "floor", whichever was reached, or "missed"."""
        value = row.get(self.figure)
        if value is None or not self.reached(value, self.floor):
            return "missed"
        return "goal" if self.reached(value, self.goal) else "floor"


def least(figure: str, floor: float, goal: float | None = None) -> Target:
    """A figure that is to be at least so much."""
    return Target(figure, floor, floor if goal is None else goal)


def most(figure: str, floor: float) -> Target:
    """A figure that is to be no more."""
    return Target(figure, floor, floor, most=True)


_MIB = 1536
_MEMORY = most("memory_of_both_mib", _MIB)
_BEHIND = most("read_side_behind_s", 2)
OF_100 = (
    least("end_to_end_per_s", 20_000, 40_000),
    # Aimed at, not promised.
    least("of_the_limit", 0, 0.333),
    _BEHIND,
    _MEMORY,
)
OF_20 = (least("end_to_end_per_s", 12_000, 22_000), _MEMORY)
ON_POSTGRESQL = (
    least("end_to_end_per_s", 8_000, 15_000),
    least("of_the_plain_design", 10),
    _MEMORY,
)
LATENCY = (most("alert_p50_ms", 30), most("alert_p99_ms", 150), most("acknowledged_p99_ms", 100))
SUSTAINED = (most("most_memory_mib", _MIB), _BEHIND)
# Live reads of others, and their alerts from capture on, while a day of one reader comes in.
BACKLOG = (
    most("meanwhile_live_acknowledged_p99_ms", 100),
    most("meanwhile_live_alert_p99_ms", 150),
)
IMPORT = (most("import_s", 60),)


def beside(row: dict[str, Any], targets: Sequence[Target]) -> dict[str, Any]:
    """The row with what was wanted of it, and whether that was reached."""
    wanted = {
        t.figure: {"floor": t.floor, "goal": t.goal, "reached": t.state(row)} for t in targets
    }
    return row | {"wanted": wanted} if wanted else row


def missed(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each floor that was missed."""
    for row in rows:
        for figure, wanted in row.get("wanted", {}).items():
            if wanted["reached"] == "missed":
                yield (
                    f"{row['benchmark']}: {words(figure)} {_number(row.get(figure))}, "
                    f"floor {wanted['floor']:,g}"
                )


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    """For people: every figure of each row, and what was wanted of it."""
    table = Table("benchmark", "measured", "wanted: floor / goal")
    for row in rows:
        figures = ", ".join(
            f"{words(name)} {_number(value)}"
            for name, value in row.items()
            if name not in ("benchmark", "wanted") and value is not None
        )
        wanted = "\n".join(
            f"{words(figure)} {_number(row.get(figure))} of {w['floor']:,g}"
            + (f" / {w['goal']:,g}" if w["goal"] != w["floor"] else "")
            + f": {w['reached']}"
            for figure, w in row.get("wanted", {}).items()
        )
        table.add_row(row["benchmark"], figures, wanted)
    return table


def words(figure: str) -> str:
    """A figure's name for people."""
    return figure.replace("_", " ")


def _number(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_number, value))
    return f"{value:,}" if isinstance(value, int | float) else str(value)
