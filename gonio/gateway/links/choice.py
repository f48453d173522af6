"""Which adapter is to connect a sensor: one with room, and of these the one that hears it best and is least busy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Connections that one adapter carries by default. Measured by others: on a Raspberry Pi 3B+ 7 are stable, 8 slow, 10
#: refused; the Pi 4 has the same family of chip.
SLOTS: Final = 6
#: What a connection that an adapter already carries counts against its signal, dB: the air time is shared.
_BUSY_DB: Final = 2.0
#: What a failed attempt there since the sensor last streamed counts, dB: after two the other one is tried.
_FAILED_DB: Final = 10.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """An adapter that hears a sensor.

    Attributes:
        rssi: signal of the sensor there, dBm.
        held: connections that it carries or is making.
        slots: how many it can carry.
        failures: attempts that failed there since the sensor last streamed.
    """

    rssi: int
    held: int
    slots: int
    failures: int = 0


def choose(candidates: Mapping[str, Candidate]) -> str | None:
    """Give the name of the adapter to connect with; None when none has room."""
    scores = {
        name: one.rssi - _BUSY_DB * one.held - _FAILED_DB * one.failures
        for name, one in candidates.items()
        if one.held < one.slots
    }
    return max(scores, key=lambda name: (scores[name], name)) if scores else None
