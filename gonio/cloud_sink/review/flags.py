"""What each flag of a session means, in plain sentences, each with what to do about it.

A flag that says that a sensor was faulty, sat in the wrong place or saw no hinge makes the session no evidence: its
figures may look well and be wrong. The faults of one sensor bear its segment's name before their own.
"""

from dataclasses import dataclass
from typing import Final

from gonio.cloud_sink.review.words import ZERO
from gonio.signal.consts import INCLINATION_ONLY
from gonio.web.words import Level


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that limits the trust in a session, or that its reader should know.

    Attributes:
        level: how far.
        what: what it is.
        do: what to do about it.
        covers: flags of the wire that say the same, and are not told twice.
    """

    level: Level
    what: str
    do: str
    covers: frozenset[str] = frozenset()


FIRST: Final = "Ask the patient to begin by standing straight and still for three seconds."
WEAR: Final = "Check the straps: each sensor tight on its segment, away from the joint."
_PLACES: Final = "Check that each sensor sits where its label says, on the leg chosen on the kit."
_CHOOSE: Final = "Ask which one it was, or have it chosen on the kit before the start."
_SWAP: Final = "Use another sensor; if it stays so with a full battery, have this one replaced."
_WAKE: Final = "Check that it is charged and worn."

#: Flags of the signal chain and the kit that concern the session.
FLAGS: Final = {
    "not-calibrated": Finding(
        Level.ACT,
        "The sensors could not be aligned with the leg, so no angle was known.",
        FIRST + " Then the first repetitions slowly and far.",
    ),
    "sign-uncertain": Finding(
        Level.ACT,
        "The motion did not show which way the knee bends.",
        FIRST + " Then a few steps or large bends before the exercise.",
    ),
    "not-a-hinge": Finding(
        Level.ACT,
        "Thigh and shank did not move against each other as on a hinge, so a knee angle cannot be told from them.",
        WEAR + " Deep squats with the hips turned out also look like this.",
    ),
    "sensors-exchanged": Finding(
        Level.ACT, "The thigh's sensor was worn on the shank and the shank's on the thigh.", _PLACES
    ),
    "other-leg": Finding(
        Level.ACT,
        "The sensors sat on the other leg than before, or on the other side of this one.",
        "Ask which leg it was. " + _PLACES,
    ),
    "same-segment": Finding(Level.ACT, "Both sensors moved as one: they sat on the same segment.", _PLACES),
    "sensor-moved": Finding(
        Level.WATCH,
        "A sensor slipped or was moved on the leg; the angle was withheld until it was known again.",
        "Look at the hatched parts of the curve. " + WEAR,
    ),
    "stored-calibration-dropped": Finding(
        Level.WATCH,
        "What the kit had kept of an earlier session did not fit the motion, so it began anew.",
        "Nothing, where the sensors were strapped on otherwise; if it comes again and again, show how they are worn.",
    ),
    "pose-moved": Finding(
        Level.WATCH,
        "The leg moved during the guided pose, so its angle was not taken as zero.",
        "Ask the patient to hold still until the kit says that the pose is over.",
    ),
    "pose-missed": Finding(
        Level.WATCH,
        "Nothing was measured during the guided pose, so its angle was not taken as zero.",
        "Ask the patient to take the pose once both sensors are connected.",
    ),
    "no-standing": Finding(Level.WATCH, "The patient was not seen standing still.", FIRST),
    "zero-assumed": Finding(Level.WATCH, ZERO["range"][1], FIRST),
    "exercise-uncertain": Finding(
        Level.WATCH, "The exercise could not be told with certainty from the motion.", _CHOOSE
    ),
    "other-exercise": Finding(
        Level.WATCH, "The motion looks like another exercise than the one that was chosen.", _CHOOSE
    ),
    "gap": Finding(
        Level.WATCH,
        "For a time nothing was measured.",
        "Look at the hatched parts of the curve; a repetition there may be missing from the count.",
    ),
    "count-faint": Finding(
        Level.WATCH,
        "This exercise moves the leg so little that its count is of low confidence.",
        "Judge by the curve rather than by the count.",
    ),
    "no-motion": Finding(
        Level.ACT,
        "For ten minutes and longer a sensor did not move at all.",
        "Ask whether the sensors were worn; a forgotten session ends itself, but is no exercise.",
    ),
    "no-thigh-samples": Finding(Level.ACT, "The thigh's sensor sent nothing.", _WAKE),
    "no-shank-samples": Finding(Level.ACT, "The shank's sensor sent nothing.", _WAKE),
    "only-thigh": Finding(
        Level.ACT,
        "Only the thigh's sensor told anything: its tilt was counted, without an angle of the knee.",
        "The count can be looked at, nothing else. Check that the shank's sensor is charged and worn.",
    ),
    "only-shank": Finding(
        Level.ACT,
        "Only the shank's sensor told anything: its tilt was counted, without an angle of the knee.",
        "The count can be looked at, nothing else. Check that the thigh's sensor is charged and worn.",
    ),
    INCLINATION_ONLY: Finding(
        Level.WATCH,
        "A sensor without a gyroscope was worn: repetitions were counted by inclination alone, by how far the leg was "
        "tilted. No angle of the knee can be told from that.",
        "Count, tilt and times can be used, no flexion and no speed. For an angle both sensors need a gyroscope.",
    ),
    "sensor-lost": Finding(
        Level.WATCH,
        "The connection to a sensor broke and did not come back; the session ended there.",
        "What was done until then is shown. Check the sensor's battery and its distance from the kit.",
    ),
    "sensor-reconnected": Finding(
        Level.WATCH,
        "The connection to a sensor broke and came back.",
        "Look at the hatched parts of the curve; keep the kit within a few metres of the leg.",
    ),
    "ended-at-limit": Finding(
        Level.WATCH,
        "The session reached the kit's limit of time or repetitions and was ended there.",
        "Ask the patient to stop the session on the kit after each exercise.",
    ),
}

#: Faults of one sensor: level, what it did (after "The thigh's sensor"), and what to do.
SENSOR_FAULTS: Final = {
    "accelerometer-dead": (Level.ACT, "told no acceleration, or always the same.", _SWAP),
    "gyroscope-dead": (Level.ACT, "told no turning though it turned.", _SWAP),
    "axis-stuck": (Level.ACT, "told the same on one of its axes while the others moved.", _SWAP),
    "frozen": (Level.ACT, "repeated one reading again and again.", "Switch it off and on. " + _SWAP),
    "saturated": (
        Level.WATCH,  # what it spoilt is not measured; the rest of the session stands
        "was moved faster or harder than it can measure; at those moments nothing was measured.",
        WEAR + " If jumps or kicks are meant, set the sensor to a larger range.",
    ),
    "units": (
        Level.ACT,
        "told gravity or turning several times too large or too small.",
        "Its firmware is not the one that its profile describes: report it with the sensor's name and version.",
    ),
    "gravity-off": (Level.ACT, "told a gravity over 15 % wrong while it lay still.", _SWAP),
    "dropped": (Level.ACT, "fell and then lay still.", "Ask when it came off. " + WEAR),
    "not-moving": (Level.ACT, "lay still while the other one moved: it may not have been on the leg.", WEAR),
    "too-slow": (
        Level.ACT,
        "sent fewer than 15 samples a second, too few for an angle.",
        "Set its rate to 50 Hz or more; keep the kit within a few metres of the leg.",
    ),
    "rate-off": (
        Level.WATCH,
        "sent at another rate than it was set to; the rate that was measured is used.",
        "Nothing for one session; if it stays so, have its settings looked at.",
    ),
}


def flag_finding(flag: str) -> Finding:
    """Explain a flag; one of newer software is shown as it is, never hidden."""
    if flag in FLAGS:
        return FLAGS[flag]
    segment, _, fault = flag.partition("-")
    if segment in ("thigh", "shank") and fault in SENSOR_FAULTS:
        level, what, do = SENSOR_FAULTS[fault]
        return Finding(level, f"The {segment}'s sensor {what}", do)
    return Finding(
        Level.WATCH,
        f"The kit reports “{flag}”, which this page does not know.",
        "Update the clinic's software; until then read the figures with care.",
    )
