"""The calibrations that a kit keeps, so that the next session with the same sensors need not begin from nothing.

One is kept for each pair of sensors and leg. It is only ever a proposal: the chain takes it up when the motion agrees
with it and drops it, saying so, when it does not. The newest with a zero from standing or a known pose is kept; one
whose zero was only assumed never takes the place of a better one. A session that began with a kept one renews it only
by standing or a pose of its own, so that the age of a zero is the age of what was measured.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from gonio.messages import SessionSummary
from gonio.signal.consts import Side
from gonio.signal.knee.stored import StoredCalibration

#: How old a calibration may be: housings are strapped on anew each day, and habits of a month ago say little.
MAX_AGE: Final = timedelta(days=30)
#: Flags of a session after which nothing that it found may be kept; a fault of one sensor likewise.
SPOILT: Final = frozenset({"sensors-exchanged", "other-leg", "same-segment", "not-a-hinge"})
_FAULT_OF_ONE: Final = ("thigh-", "shank-")
DROPPED: Final = "stored-calibration-dropped"
_SURE: Final = frozenset({"standing", "pose"})


@dataclass(frozen=True, slots=True)
class Mounting:
    """Which sensors sit where: the sensors' addresses, and the leg."""

    thigh: str
    shank: str
    side: Side


@dataclass(frozen=True, slots=True)
class KeptCalibration:
    """A calibration as it lies on the kit.

    Attributes:
        calibration: what was found.
        taken_at: when the session began that found it, aware.
        record_id: that session.
    """

    calibration: StoredCalibration
    taken_at: datetime
    record_id: UUID


def calibration_text(calibration: StoredCalibration) -> str:
    """Write a calibration as JSON."""
    return json.dumps(calibration.to_dict(), allow_nan=False)


def read_calibration(text: str) -> StoredCalibration:
    """Read a calibration.

    Raises:
        ValueError: the text is none.
    """
    try:
        data = json.loads(text)
    except RecursionError as error:
        raise ValueError("a calibration is not so deep") from error
    return StoredCalibration.from_dict(data)


def fresh_enough(kept: KeptCalibration, now: datetime) -> bool:
    """Tell whether a calibration may still be proposed; one from the future (a clock was wrong) may not."""
    return timedelta(0) <= now - kept.taken_at <= MAX_AGE


def after_session(
    before: KeptCalibration | None, summary: SessionSummary, found: KeptCalibration | None
) -> KeptCalibration | None:
    """Choose what is kept after a session.

    Args:
        before: what was kept until now.
        summary: what the session came to.
        found: what it found; None when nothing is worth keeping.
    """
    if DROPPED in summary.flags:
        before = None  # the sensors sit otherwise than they did
    learnt = summary.calibration == "fresh" or summary.zero in _SURE
    spoilt = any(flag in SPOILT or flag.startswith(_FAULT_OF_ONE) for flag in summary.flags)
    if found is None or spoilt or not learnt:
        return before
    if found.calibration.zero in _SURE or before is None or not fresh_enough(before, found.taken_at):
        return found
    return before if before.calibration.zero in _SURE else found
