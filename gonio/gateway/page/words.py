"""What things are called on the page, and how each exercise is done; in English, to be translated where it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gonio.gateway.page.languages import mark as _


@dataclass(frozen=True, slots=True)
class ExerciseWords:
    """An exercise for the one who does it: its name, and what to do, one step after the other."""

    name: str
    steps: tuple[str, ...]


EXERCISES: Final[Mapping[str, ExerciseWords]] = {
    "quad-set": ExerciseWords(
        _("Thigh squeeze"),
        (
            _("Sit or lie with your leg straight in front of you."),
            _("Press the back of your knee down and tighten your thigh."),
            _("Hold, then let go slowly."),
        ),
    ),
    "heel-slide": ExerciseWords(
        _("Heel slide"),
        (
            _("Lie on your back with your leg straight."),
            _("Slide your heel toward your bottom, as far as is comfortable."),
            _("Slide it back until your leg is straight again."),
        ),
    ),
    "straight-leg-raise": ExerciseWords(
        _("Straight leg raise"),
        (
            _("Lie on your back, the other knee bent, this leg straight."),
            _("Tighten your thigh and lift the straight leg."),
            _("Hold, then lower it slowly."),
        ),
    ),
    "straight-leg-raise-side": ExerciseWords(
        _("Side leg raise"),
        (
            _("Lie on your other side, legs straight."),
            _("Lift the upper leg, toes pointing forward."),
            _("Hold, then lower it slowly."),
        ),
    ),
    "straight-leg-raise-prone": ExerciseWords(
        _("Leg raise, face down"),
        (
            _("Lie face down, legs straight."),
            _("Lift this leg a little, knee straight."),
            _("Hold, then lower it slowly."),
        ),
    ),
    "short-arc-quad": ExerciseWords(
        _("Short knee stretch"),
        (
            _("Lie on your back with a rolled towel under your knee."),
            _("Lift your foot until the knee is straight; the knee stays on the towel."),
            _("Hold, then lower it slowly."),
        ),
    ),
    "long-arc-quad": ExerciseWords(
        _("Seated knee stretch"),
        (
            _("Sit on a firm chair, feet on the floor."),
            _("Lift your foot until the knee is straight."),
            _("Hold, then lower it slowly."),
        ),
    ),
    "terminal-knee-extension": ExerciseWords(
        _("Standing knee stretch"),
        (
            _("Stand near something to hold on to, the knee a little bent."),
            _("Straighten the knee and tighten your thigh."),
            _("Hold, then bend it a little again."),
        ),
    ),
    "sit-to-stand": ExerciseWords(
        _("Sit to stand"),
        (
            _("Sit at the front of a firm chair, feet under your knees."),
            _("Stand up with your weight on both legs."),
            _("Sit down slowly."),
        ),
    ),
    "mini-squat": ExerciseWords(
        _("Small squat"),
        (
            _("Stand behind a chair and hold on to it."),
            _("Bend both knees a little, as if to sit, heels on the floor."),
            _("Stand up again."),
        ),
    ),
    "step-up": ExerciseWords(
        _("Step up"),
        (
            _("Stand before a low step, with something to hold on to."),
            _("Step up with this leg and straighten it."),
            _("Step down slowly."),
        ),
    ),
    "lunge": ExerciseWords(
        _("Lunge"),
        (
            _("Stand with this leg in front, with something to hold on to."),
            _("Lower yourself by bending both knees; the front knee stays above the foot."),
            _("Push yourself up again."),
        ),
    ),
    "bridge": ExerciseWords(
        _("Bridge"),
        (
            _("Lie on your back, knees bent, feet flat."),
            _("Lift your hips until they are in line with your thighs."),
            _("Hold, then lower them slowly."),
        ),
    ),
    "hamstring-curl": ExerciseWords(
        _("Standing heel lift"),
        (
            _("Stand and hold on to a chair."),
            _("Bend this knee and lift your heel behind you."),
            _("Lower it slowly."),
        ),
    ),
}

SIDES: Final[Mapping[str, str]] = {"left": _("left leg"), "right": _("right leg")}

SYMPTOMS: Final[Mapping[str, str]] = {
    "swelling": _("Swelling"),
    "stiffness": _("Stiffness"),
    "warmth": _("Warm knee"),
    "clicking": _("Clicking or grinding"),
    "giving-way": _("Knee gives way"),
    "tired": _("Very tired"),
}

RED_FLAGS: Final[Mapping[str, str]] = {
    "chest-pain": _("Chest pain"),
    "shortness-of-breath": _("Shortness of breath"),
    "fainting": _("Fainting or nearly fainting"),
    "calf-pain": _("New pain in the calf"),
    "calf-swelling": _("Calf swollen, hard or red"),
    "fever": _("Fever or chills"),
    "wound-drainage": _("The wound leaks or smells"),
    "sudden-swelling": _("The knee swelled up suddenly"),
    "cannot-bear-weight": _("I cannot put weight on the leg"),
    "numbness": _("Foot or leg numb or cold"),
}

STOP_REASONS: Final[Mapping[str, str]] = {
    "done": _("I am done"),
    "pain": _("It hurts"),
    "tired": _("I am tired"),
    "other": _("Another reason"),
}

VOID_REASONS: Final[Mapping[str, str]] = {
    "not-me": _("It was not me"),
    "test": _("It was only a try"),
    "mistake": _("It was started by mistake"),
    "other": _("Another reason"),
}

PAUSE_REASONS: Final[Mapping[str, str]] = {
    "travel": _("I am traveling"),
    "vacation": _("Vacation"),
    "illness": _("I am ill"),
    "surgery": _("Another surgery"),
    "other": _("Another reason"),
}

#: What a person can do about a mark of a running or finished session; other marks are for the therapist.
FLAGS: Final[Mapping[str, str]] = {
    "sensors-exchanged": _("The two sensors seem to be exchanged. Swap them: the one marked T belongs above the knee."),
    "other-leg": _("The sensors seem to sit on the other leg. Please check the side."),
    "same-segment": _("Both sensors seem to sit on the same part of the leg. One belongs above the knee, one below."),
    "not-a-hinge": _("The angle is not certain. Check that both straps are firm."),
    "ended-at-limit": _("The exercise ran very long and was ended. All that was counted is kept."),
}

#: What else a person can do something about while a session runs; the disk is told at the top of every page.
TROUBLES: Final[Mapping[str, str]] = {
    "thigh-battery": _("The sensor on the thigh (T) is nearly empty. Charge it after this exercise."),
    "shank-battery": _("The sensor on the shin (S) is nearly empty. Charge it after this exercise."),
    "disk": _("The kit's memory refuses to save. Keep it switched on and call your clinic."),
}

ERRORS: Final[Mapping[str, str]] = {
    "SensorNotFoundError": _("A sensor was not found. Press the button on each sensor, keep them near, and try again."),
    "BluetoothUnavailableError": _("The kit's Bluetooth does not work. Switch the kit off and on again."),
    "UsageError": _("No sensors are set up on this kit, or your clinic is just resetting it. Please call your clinic."),
    "OtherSensorError": _("These sensors belong to another kit. Use the ones from your box."),
    "StoreWriteError": _("The kit's memory is full. Please call your clinic."),
}
ERROR: Final = _("The sensors could not be used. Charge them, keep them near, and try again.")
