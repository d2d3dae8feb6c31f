"""The rows of the benchmark's table: a measurement, its reference and its goal."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """A ratio, or an absolute value in `unit`; `detail` says what it was computed from."""

    what: str
    against: str
    value: float
    sign: Literal["≤", "≥", ""] = ""
    goal: float = 0
    unit: str = ""
    detail: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if not self.sign:
            return None
        return self.value <= self.goal if self.sign == "≤" else self.value >= self.goal

    def cells(self) -> tuple[str, ...]:
        """Format it for people."""
        wanted = f"{self.sign} {_short(self.goal)}" if self.sign else ""
        verdict = {True: "yes", False: "NO", None: ""}[self.reached]
        return self.what, self.against, f"{_short(self.value)} {self.unit}".strip(), wanted, verdict, self.detail

    def as_json(self) -> dict[str, Any]:
        """Format it for programs."""
        return {**asdict(self), "reached": self.reached}


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 20 else f"{number:.2f}" if number >= 0.095 else f"{number:.3f}"


def table(figures: list[Figure]) -> str:
    """Format measurements as a Markdown table for docs/performance.md."""
    rows = [("What", "Against", "Figure", "Goal", "Met", "Detail"), *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)
