"""What a patient says: how it was, what hurt, what was done without sensors; and what the patient strikes out.

All of it is self-reported and stays marked so for ever: nothing here was measured.
"""

import uuid
from datetime import date
from typing import Annotated, ClassVar, Final, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from gonio.messages.wire import ExerciseName, Flag, Seconds, Wire

#: Pain from which on a check-in goes before all others: the alert of facts on pain (7 of 10, numeric rating scale).
SEVERE_PAIN: Final = 7

Score: TypeAlias = Annotated[int, Field(ge=0, le=10)]  # numeric rating scale: 0 is none, 10 the worst imaginable
Note: TypeAlias = Annotated[str, Field(max_length=4000)]
Side: TypeAlias = Literal["left", "right"]
Author: TypeAlias = Literal["patient", "caregiver"]
SaidBy: TypeAlias = Literal["person", "simulated"]

StopReason: TypeAlias = Literal["done", "pain", "tired", "other"]


class HandExercise(Wire):
    """An exercise that somebody says was done, without sensors. Self-reported for ever."""

    exercise: ExerciseName
    side: Side
    sets: int = Field(default=1, ge=1, le=100)
    reps: int | None = Field(default=None, ge=0, le=2000, description="of each set; None: not told")
    hold_s: Seconds | None = None
    duration_s: Seconds | None = None


class CheckIn(Wire):
    """How a patient is. Payload of kind ``check-in``, schema version 1; what is None was not told.

    ``symptoms`` are words of the patient page's list (``swelling``, ``stiffness``, ...), ``red_flags`` likewise of the
    list that sends to a doctor at once (``calf-swelling``, ``fever``, ``chest-pain``, ...).
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    said_by: SaidBy = Field(default="person", description="simulated: no person said this, every screen must say so")
    author: Author = "patient"
    about: date | None = Field(default=None, description="another day than that of captured_at, as the patient says")
    follows: uuid.UUID | None = Field(default=None, description="the session's record that it follows")
    sitting_id: uuid.UUID | None = None
    pain_before: Score | None = None
    pain_during: Score | None = None
    pain_after: Score | None = None
    effort: Score | None = Field(default=None, description="perceived exertion, category-ratio scale 0 to 10")
    symptoms: tuple[Flag, ...] = Field(default=(), max_length=32)
    red_flags: tuple[Flag, ...] = Field(default=(), max_length=32)
    stop_reason: StopReason | None = None
    by_hand: tuple[HandExercise, ...] = Field(default=(), max_length=64)
    steps: int | None = Field(default=None, ge=0, le=200_000, description="of the day, as the patient says")
    note: Note = ""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        told = (self.pain_before, self.pain_during, self.pain_after, self.effort, self.stop_reason, self.steps)
        if all(value is None for value in told) and not (
            self.symptoms or self.red_flags or self.by_hand or self.note.strip()
        ):
            raise ValueError("a check-in says at least one thing")
        return self

    @property
    def worst_pain(self) -> int | None:
        """The largest of the pains told, or None."""
        told = [pain for pain in (self.pain_before, self.pain_during, self.pain_after) if pain is not None]
        return max(told, default=None)

    @property
    def urgent(self) -> bool:
        """Whether it must reach the clinic before anything else: severe pain or a red flag."""
        return bool(self.red_flags) or (self.worst_pain or 0) >= SEVERE_PAIN

    @property
    def simulated(self) -> bool:
        """Whether no person said this: every screen must say so."""
        return self.said_by == "simulated"


class VoidReport(Wire):
    """A record struck out by the patient's side: kept, never counted. Payload of kind ``void``, schema version 1."""

    SCHEMA_VERSION: ClassVar[int] = 1

    said_by: SaidBy = "person"
    author: Author = "patient"
    record_id: uuid.UUID = Field(description="what is struck out: a session or a check-in of the same kit")
    reason: Literal["not-me", "test", "mistake", "other"]
    note: Note = ""
