"""What a patient said beside the sensors: pain, effort, what was done by hand; and why something is struck out.

All of it is self-reported, stands apart from what was measured, and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gonio.cloud_sink.review.zone import PatientZone
from gonio.cloud_sink.said import CheckInRow, VoidRow
from gonio.messages.check_in import SEVERE_PAIN, CheckIn, HandExercise
from gonio.web.words import Level, clock, count, day

#: Check-ins on one page.
CHECK_INS_SHOWN = 50
_WHO = {"patient": "the patient", "caregiver": "a caregiver"}
_WHY = {"not-me": "it was somebody else", "test": "a test", "mistake": "a mistake", "other": "another reason"}
_STOPPED = {
    "done": "done",
    "pain": "stopped for pain",
    "tired": "stopped, tired",
    "other": "stopped for another reason",
}


@dataclass(frozen=True, slots=True)
class SaidLine:
    """One check-in: when, what was said of pain and the rest, and what needs a look; ``struck``: it never counts."""

    when: str
    pain: str
    rest: tuple[str, ...]
    note: str
    level: Level | None
    word: str
    struck: bool
    tags: tuple[str, ...]


def said_line(row: CheckInRow, zone: PatientZone) -> SaidLine:
    """Write one check-in."""
    told, local = row.check_in, zone.local(row.head.captured)
    tags = [tag for tag, so in (("Simulated", told.simulated), ("Struck out", row.voided)) if so]
    if told.author == "caregiver":
        tags.append("By a caregiver")
    level, word = _judge(told)
    return SaidLine(
        f"{day(local)}, {clock(local)}", _pain(told), _rest(told), told.note, level, word, row.voided, tuple(tags)
    )


def struck_words(voids: Sequence[VoidRow]) -> str:
    """Say who struck a record out, and why; "" where nobody did."""
    return "; ".join(
        f"by {_WHO.get(void.by, 'staff')}: {_WHY.get(void.reason, void.reason)}"
        + (" (simulated)" if void.simulated else "")
        for void in voids
    )


def _judge(told: CheckIn) -> tuple[Level | None, str]:
    if told.red_flags:
        return Level.ACT, "Red flag"
    if (told.worst_pain or 0) >= SEVERE_PAIN:
        return Level.ACT, "Severe pain"
    if told.stop_reason == "pain":
        return Level.WATCH, "Stopped for pain"
    return None, ""


def _pain(told: CheckIn) -> str:
    parts = (("before", told.pain_before), ("during", told.pain_during), ("after", told.pain_after))
    return ", ".join(f"{name} {value}" for name, value in parts if value is not None) or "not told"


def _rest(told: CheckIn) -> tuple[str, ...]:
    lines = [_plain(flag) for flag in told.red_flags]
    if told.effort is not None:
        lines.append(f"effort {told.effort} of 10")
    lines += [_plain(symptom) for symptom in told.symptoms]
    if told.stop_reason is not None:
        lines.append(_STOPPED[told.stop_reason])
    lines += [_by_hand(one) for one in told.by_hand]
    if told.steps is not None:
        lines.append(count(told.steps, "step"))
    if told.about is not None:
        lines.append(f"about {told.about:%Y-%m-%d}")
    return tuple(lines)


def _by_hand(one: HandExercise) -> str:
    reps = "" if one.reps is None else f" of {count(one.reps, 'repetition')}"
    return f"{_plain(one.exercise)}, {one.side}: {count(one.sets, 'set')}{reps}, without sensors"


def _plain(word: str) -> str:
    return word.replace("-", " ")
