"""What a person sees while the demo runs, on stderr: what was done so far, and the live angle."""

import math
import sys
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

_GAUGE_FROM: Final = -10.0
_GAUGE_TO: Final = 140.0
_GAUGE_WIDTH: Final = 50
_LINE_EVERY_S: Final = 5.0  # where the screen cannot be redrawn


def gauge(flexion_deg: float | None, *, knee: bool = True) -> str:
    """Draw a flexion on a bar from -10 to 140 degrees; None is one not known yet, or never for sensors without it."""
    if flexion_deg is None:
        return ("getting to know your leg" if knee else "inclination only: no gyroscope").center(_GAUGE_WIDTH, "·")
    share = (flexion_deg - _GAUGE_FROM) / (_GAUGE_TO - _GAUGE_FROM)
    filled = round(min(max(share, 0.0), 1.0) * _GAUGE_WIDTH)
    return "█" * filled + "·" * (_GAUGE_WIDTH - filled)


class Display:
    """Progress of a demo; a context manager. On a terminal the angle moves, elsewhere a line comes now and then."""

    def __init__(self, *, banner: str, knee: bool = True) -> None:
        """Begin.

        Args:
            banner: what stands above all.
            knee: False for sensors that cannot tell an angle of the knee.
        """
        self._knee = knee
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._moving = self._console.is_terminal
        self._banner = banner
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if self._moving else None
        self._last_line_s = -math.inf

    def __enter__(self) -> Self:
        self._console.print(Text(self._banner, style="black on yellow"))
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def step(self, text: str) -> None:
        """Say that something is done."""
        self._console.print(Text("  ● ", style="green") + Text(text))

    def warn(self, text: str) -> None:
        """Say what a person should know and may have to act on."""
        self._console.print(Text("  ▲ ", style="yellow") + Text(text))

    def page(self, name: str, address: str) -> None:
        """Give the address of a page."""
        self._console.print(Text("  ■ ", style="blue") + Text(f"{name}: ") + Text(address, style="bold underline"))

    def angle(self, elapsed_s: float, duration_s: float, flexion_deg: float | None, reps: int) -> None:
        """Show where the motion is, the newest angle and the repetitions so far."""
        if self._live is not None:
            number = "  —" if flexion_deg is None else f"{flexion_deg:4.0f}°"
            self._live.update(
                Group(
                    Text(f"  {gauge(flexion_deg, knee=self._knee)} {number}", style="bold cyan"),
                    Text(f"  {elapsed_s:5.1f} of {duration_s:.0f} s    repetitions {reps}"),
                ),
                refresh=True,
            )
        elif time.monotonic() - self._last_line_s >= _LINE_EVERY_S:
            self._last_line_s = time.monotonic()
            number = f"{flexion_deg:.0f}°" if flexion_deg is not None else "not known yet" if self._knee else "not told"
            sys.stderr.write(f"  {elapsed_s:5.1f} of {duration_s:.0f} s  knee {number}  repetitions {reps}\n")

    def still(self) -> None:
        """Take the moving angle off the screen."""
        if self._live is not None:
            self._live.update(Text(""), refresh=True)
