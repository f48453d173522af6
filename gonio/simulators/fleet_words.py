"""What a simulated patient says: check-ins with pain that follows the recovery, voids, messages, preferences.

All of it says of itself that nobody said it.
"""

import random
import uuid
from datetime import date, time, timedelta
from typing import Final

from gonio.messages import (
    CheckIn,
    HandExercise,
    Kind,
    PatientMessage,
    Pause,
    Preference,
    Reminder,
    VoidReport,
)
from gonio.simulators.fleet_history import Happening, Patient

_FIRST_PAIN: Final = 5.0  # in the first days, on the scale of 0 to 10
_LAST_PAIN: Final = 1.0
_FLARE_PAIN: Final = 5.0  # that the worst flare adds
_SYMPTOMS: Final = ("swelling", "stiffness", "warmth", "giving-way")
_RED_FLAGS: Final = ("calf-swelling", "fever")
_STOPPED_BY_PAIN: Final = 7
_TEXTS: Final = (
    "It was stiff this morning and went well later.",
    "May I use the stairs without the rail?",
    "The strap slips on the left side.",
    "I walked to the shop and back.",
)


def simulated_words(
    rng: random.Random, who: Patient, happening: Happening, about: uuid.UUID | None, sitting_id: uuid.UUID
) -> CheckIn | VoidReport | PatientMessage | Preference:
    """Draw what was said.

    Args:
        rng: from which all that varies follows.
        who: the patient.
        happening: what kind of record it is, when, and how the knee was.
        about: the record that it is about, or None.
        sitting_id: of the sitting that it belongs to.

    Raises:
        ValueError: nobody says a record of this kind.
    """
    match happening.kind:
        case Kind.CHECK_IN:
            return _check_in(rng, who, happening, about, sitting_id)
        case Kind.VOID if about is not None:
            return VoidReport(said_by="simulated", record_id=about, reason=rng.choice(("not-me", "not-me", "test")))
        case Kind.MESSAGE:
            return PatientMessage(said_by="simulated", text=rng.choice(_TEXTS), about=about, ask=rng.random() < 0.5)  # noqa: PLR2004 - half
        case Kind.PREFERENCE:
            return _preference(rng, happening.moment.shown.date())
        case _:
            raise ValueError(f"a record of kind {happening.kind.value} is not what a patient says")


def _check_in(
    rng: random.Random, who: Patient, happening: Happening, about: uuid.UUID | None, sitting_id: uuid.UUID
) -> CheckIn:
    usual = _FIRST_PAIN + (_LAST_PAIN - _FIRST_PAIN) * who.recovered(happening.moment.day)
    before = _score(rng.gauss(usual + _FLARE_PAIN * happening.flare, 0.8))
    during = _score(before + rng.gauss(0.7, 0.8))
    ill = rng.random() < 0.002  # noqa: PLR2004 - a red flag every few hundred check-ins
    return CheckIn(
        said_by="simulated",
        author="patient" if rng.random() < 0.95 else "caregiver",  # noqa: PLR2004 - now and then for the patient
        follows=about,
        sitting_id=None if about is None else sitting_id,
        pain_before=before,
        pain_during=None if about is None else during,
        pain_after=None if about is None else _score(before + rng.gauss(0.2, 0.8)),
        effort=None if about is None else _score(rng.gauss(4, 1.5)),
        symptoms=tuple(one for one in _SYMPTOMS if rng.random() < 0.1 + 0.4 * happening.flare),
        red_flags=(rng.choice(_RED_FLAGS),) if ill else (),
        stop_reason=None if about is None else "pain" if during >= _STOPPED_BY_PAIN else "done",
        by_hand=() if about is not None else (HandExercise(exercise="heel-slide", side=who.side, sets=2, reps=10),),
        steps=rng.randrange(500, 9_000) if rng.random() < 0.3 else None,  # noqa: PLR2004 - a third wears a counter
    )


def _preference(rng: random.Random, today: date) -> Preference:
    away = rng.random() < 0.5  # noqa: PLR2004 - half of them are about a pause
    return Preference(
        said_by="simulated",
        language="en",
        reminders=(Reminder(at=time(rng.randrange(7, 12))), Reminder(at=time(rng.randrange(15, 20)))),
        quiet_from=time(21),
        quiet_to=time(7),
        pause=Pause(since=today, until=today + timedelta(days=rng.randrange(2, 10)), reason="travel") if away else None,
    )


def _score(value: float) -> int:
    return max(0, min(10, round(value)))
