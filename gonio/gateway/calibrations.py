"""The calibrations that a kit keeps, so that the next session with the same sensors need not begin from nothing.

One is kept for each pair of sensors and leg. It is only ever a proposal: the chain takes it up when the motion agrees
with it and drops it, saying so, when it does not. The newest with a zero from standing or a known pose is kept; one
whose zero was only assumed never takes the place of a better one. A session that itself ran on a kept calibration
learnt nothing new and does not renew it, so that its age is the age of what was measured.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gonio.messages import SessionSummary
from gonio.signal.consts import Side
from gonio.signal.stored import StoredCalibration, Triple

#: How old a calibration may be: housings are strapped on anew each day, and habits of a month ago say little.
MAX_AGE: Final = timedelta(days=30)
#: Flags of a session after which nothing that it found may be kept.
SPOILT: Final = frozenset({"sensors-exchanged", "other-leg", "same-segment", "not-a-hinge", "pose-moved"})
DROPPED: Final = "stored-calibration-dropped"
_SURE: Final = frozenset({"standing", "pose"})
_UNIT: Final = 1e-3  # how far an axis' length may be from 1


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


class _Written(BaseModel):
    """A calibration as JSON; angles in radians, as the name says."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    thigh: Triple
    shank: Triple
    straight_rad: Annotated[float, Field(ge=-7, le=7)]
    upright_rad: Annotated[float, Field(ge=-7, le=7)] | None = None
    zero: Literal["standing", "pose", "range"]

    @model_validator(mode="after")
    def _axes_are_of_length_one(self) -> Self:
        for axis in (self.thigh, self.shank):
            if abs(sum(part * part for part in axis) - 1.0) > _UNIT:
                raise ValueError("an axis is not of length 1")
        return self


def calibration_text(calibration: StoredCalibration) -> str:
    """Write a calibration as JSON."""
    written = _Written(
        thigh=calibration.thigh,
        shank=calibration.shank,
        straight_rad=calibration.straight,
        upright_rad=None if math.isnan(calibration.upright) else calibration.upright,
        zero=calibration.zero,
    )
    return written.model_dump_json(exclude_none=True)


def read_calibration(text: str) -> StoredCalibration:
    """Read a calibration.

    Raises:
        ValueError: the text is none (pydantic's ValidationError).
    """
    written = _Written.model_validate_json(text)
    upright = float("nan") if written.upright_rad is None else written.upright_rad
    return StoredCalibration(written.thigh, written.shank, written.straight_rad, upright, written.zero)


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
    if found is None or summary.calibration == "stored" or SPOILT & {*summary.flags}:
        return before
    if found.calibration.zero in _SURE or before is None or not fresh_enough(before, found.taken_at):
        return found
    return before if before.calibration.zero in _SURE else found
