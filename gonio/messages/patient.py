"""What a patient sends beside sessions and check-ins: messages, and how he or she wants to be reminded."""

import uuid
from datetime import date, time
from typing import Annotated, ClassVar, Final, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from gonio.messages.check_in import Author, Note, SaidBy
from gonio.messages.wire import Flag, Wire


class PatientMessage(Wire):
    """A message to the therapist. Payload of kind ``message``, schema version 1."""

    SCHEMA_VERSION: ClassVar[int] = 1

    said_by: SaidBy = "person"
    author: Author = "patient"
    text: str = Field(min_length=1, max_length=4000)
    answers: uuid.UUID | None = Field(default=None, description="the clinic's message that it answers")
    about: uuid.UUID | None = Field(default=None, description="the session's or check-in's record that it is about")
    ask: bool = Field(default=False, description="an answer is hoped for")


Weekdays: TypeAlias = Annotated[tuple[Literal[1, 2, 3, 4, 5, 6, 7], ...], Field(min_length=1, max_length=7)]
EVERY_DAY: Final = (1, 2, 3, 4, 5, 6, 7)


class Reminder(Wire):
    """One reminder: local time at the kit, on days of the week (1 is Monday, ISO 8601)."""

    at: time
    weekdays: tuple[Literal[1, 2, 3, 4, 5, 6, 7], ...] = Field(
        default=(1, 2, 3, 4, 5, 6, 7), min_length=1, max_length=7
    )


class Pause(Wire):
    """Days on which nothing is expected, both inclusive; ``until`` None is open."""

    since: date
    until: date | None = None
    reason: Literal["travel", "vacation", "illness", "surgery", "other"]
    note: Note = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until is not None and self.until < self.since:
            raise ValueError("a pause ends on the day it begins or later")
        return self


class Preference(Wire):
    """All that a patient prefers, whole: the newest replaces the older. Payload of ``preference``, schema version 1."""

    SCHEMA_VERSION: ClassVar[int] = 1

    said_by: SaidBy = "person"
    author: Author = "patient"
    language: str | None = Field(default=None, pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    reminders: tuple[Reminder, ...] = Field(default=(), max_length=20)
    quiet_from: time | None = None
    quiet_to: time | None = None
    opt_outs: tuple[Flag, ...] = Field(default=(), max_length=32, description="reminders, messages, sharing, ...")
    pause: Pause | None = None
