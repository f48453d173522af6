"""What has come over the links to one sensor, and what has not."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import FloatArray

#: A pause between two arrivals counts as a gap from this many sample periods on, but not below this, s: what comes in
#: packets comes in bursts.
_GAP_SAMPLES: Final = 5
_GAP_S: Final = 0.25
#: A step of the sensor's own time larger than this is no loss to be counted in samples, s: it was put away meanwhile.
_LONGEST_LOSS_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class LinkReport:
    """A sensor's link so far.

    Attributes:
        received: samples.
        lost: samples missing by the sensor's own time, those while it was away included; None where it has none.
        gaps: pauses between arrivals that were too long.
        longest_silence_s: the longest of them, s.
        reconnects: connections after the first.
        away_s: time without a connection after the first one, s.
    """

    received: int = 0
    lost: int | None = None
    gaps: int = 0
    longest_silence_s: float = 0.0
    reconnects: int = 0
    away_s: float = 0.0


class LinkStatistics:
    """Counts over all connections to one sensor, from its first; it has no clock of its own."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._received = self._lost = self._gaps = self._connections = 0
        self._longest_s = self._away_s = 0.0
        self._rate_hz = math.nan
        self._has_clock = False
        self._last_sensor_s = math.nan
        self._last_arrival_s = math.nan
        self._away_since_s = math.nan

    def connected(self, rate_hz: float, now_s: float) -> None:
        """Note that a connection stands.

        Args:
            rate_hz: nominal rate of the samples that will come, Hz.
            now_s: the clock that stamps arrivals, s.
        """
        self._rate_hz = rate_hz
        self._connections += 1
        if not math.isnan(self._away_since_s):
            self._away_s += max(0.0, now_s - self._away_since_s)
            self._away_since_s = math.nan

    def disconnected(self, now_s: float) -> None:
        """Note that the connection is no more; again has no effect."""
        if self._connections and math.isnan(self._away_since_s):
            self._away_since_s = now_s

    def halted(self) -> None:
        """Note that the stream was stopped on purpose: what comes next does not follow what came last."""
        self._last_arrival_s = self._last_sensor_s = math.nan

    def feed(self, chunk: SampleChunk) -> None:
        """Count samples in; a sensor's time that runs backwards began anew and tells nothing of what is lost."""
        if len(chunk) == 0:
            return
        self._received += len(chunk)
        if chunk.sensor_s is not None:
            self._count_lost(chunk.sensor_s)
        if chunk.arrival_s is not None:
            self._count_gaps(chunk.arrival_s)

    def _count_lost(self, sensor_s: FloatArray) -> None:
        self._has_clock = True
        first = sensor_s[0] if math.isnan(self._last_sensor_s) else self._last_sensor_s
        steps_s = np.diff(np.concatenate(([first], sensor_s)))
        missing = np.rint(steps_s * self._rate_hz) - 1
        self._lost += int(missing[(missing > 0) & (steps_s < _LONGEST_LOSS_S)].sum())
        self._last_sensor_s = float(sensor_s[-1])

    def _count_gaps(self, arrival_s: FloatArray) -> None:
        first = arrival_s[0] if math.isnan(self._last_arrival_s) else self._last_arrival_s
        silences_s = np.diff(np.concatenate(([first], arrival_s)))
        long_s = silences_s[silences_s > max(_GAP_S, _GAP_SAMPLES / self._rate_hz)]
        self._gaps += len(long_s)
        self._longest_s = max(self._longest_s, *long_s.tolist(), 0.0)
        self._last_arrival_s = float(arrival_s[-1])

    def report(self, now_s: float) -> LinkReport:
        """Tell how it stands at a moment of the clock that stamps arrivals, s; an absence that still lasts counts."""
        away_s = 0.0 if math.isnan(self._away_since_s) else max(0.0, now_s - self._away_since_s)
        return LinkReport(
            received=self._received,
            lost=self._lost if self._has_clock else None,
            gaps=self._gaps,
            longest_silence_s=round(max(self._longest_s, away_s), 3),
            reconnects=max(0, self._connections - 1),
            away_s=round(self._away_s + away_s, 3),
        )
