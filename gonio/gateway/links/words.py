"""A sensor's link in sentences: what happened, how it stands, what to do. One place, for log, status and screen."""

from collections.abc import Mapping
from typing import Final

from gonio.gateway.links.table import Event, State

#: A charge at and below which a person should know, percent: an hour or two of the sensors with the least.
LOW_BATTERY_PERCENT: Final = 15

#: How it stands, as the end of a sentence that begins with the sensor.
STANDING: Final[Mapping[State, str]] = {
    State.RESTING: "is not in use",
    State.SEARCHING: "is looked for",
    State.MISSING: "is not heard",
    State.CONNECTING: "is being connected",
    State.PREPARING: "is being configured",
    State.READY: "is connected and quiet",
    State.STARTING: "is being started",
    State.STREAMING: "streams",
    State.SUSPECT: "is silent and is asked whether it is still there",
    State.LOST: "is lost; the old connection is being closed",
    State.WAITING: "is away; the next attempt comes soon",
    State.REFUSED: "refuses; it is tried again later",
    State.UNAVAILABLE: "cannot be reached: the kit's Bluetooth is not there",
}

#: What happened, as the end of a sentence; what is not here is told by the state that follows.
HAPPENED: Final[Mapping[tuple[State, Event], str]] = {
    (State.SUSPECT, Event.DATA): "sends again",
    (State.SUSPECT, Event.SILENT): "stays silent, although its link stands: it is connected anew",
    (State.STREAMING, Event.LINK_LOST): "is lost",
    (State.READY, Event.LINK_LOST): "is lost",
    (State.READY, Event.FAILED): "is lost",
    (State.SUSPECT, Event.LINK_LOST): "is lost",
    (State.SUSPECT, Event.FAILED): "did not answer: it is connected anew",
    (State.STREAMING, Event.HALT): "was stopped",
    (State.SEARCHING, Event.FULL): "is heard, but no Bluetooth adapter has room for another connection",
    (State.MISSING, Event.FULL): "is heard, but no Bluetooth adapter has room for another connection",
    (State.UNAVAILABLE, Event.BLUETOOTH_BACK): "is looked for again: the kit's Bluetooth is back",
}

#: Why a link that stands is given up in a state, as the end of a sentence.
GIVEN_UP: Final[Mapping[State, str]] = {
    State.LOST: "is silent although its link stands",
    State.REFUSED: "refused",
    State.UNAVAILABLE: "is gone: the kit's Bluetooth cannot be used",
}

#: Steps of every connection, which the log leaves out.
_ROUTINE: Final = frozenset({State.CONNECTING, State.PREPARING, State.READY, State.STARTING, State.LOST, State.RESTING})

#: The states of an attempt that has not succeeded yet.
_ATTEMPT: Final = frozenset({State.CONNECTING, State.PREPARING, State.STARTING})

NEVER_HEARD: Final = "see that it is switched on, charged and near"
CLAIMED: Final = (
    "see that it is switched on, charged and near; where it is, another phone, tablet or kit holds its connection: "
    "close the sensor's app there, or switch that Bluetooth off"
)
UNREACHABLE: Final = (
    "bring it nearer; where it is near, another phone, tablet or kit may be taking its connection: close the "
    "sensor's app there, or switch the sensor off and on"
)
REFUSED: Final = "switch it off and on; where that does not help, 'gonio devices' lists the firmware that is known"
UNAVAILABLE: Final = (
    "see that the Bluetooth adapter is plugged in and switched on (bluetoothctl power on) and that the Bluetooth "
    "service runs (systemctl status bluetooth)"
)
FULL: Final = "plug in another Bluetooth adapter, or end the use of another sensor"

#: Failed attempts in a row after which somebody else may have the sensor.
_MANY_FAILURES: Final = 3


def what_to_do(state: State, *, failures: int, heard_before: bool, full: bool = False) -> str | None:
    """Advise a person; None where there is nothing to do but to wait.

    Args:
        state: how the sensor stands.
        failures: failed attempts in a row.
        heard_before: it was once heard by this kit.
        full: no adapter had room for it.
    """
    match state:
        case State.MISSING:
            return CLAIMED if heard_before else NEVER_HEARD
        case State.UNAVAILABLE:
            return UNAVAILABLE
        case State.REFUSED:
            return REFUSED
        case State.WAITING if full:
            return FULL
        case State.LOST | State.WAITING | State.SEARCHING | State.CONNECTING if failures >= _MANY_FAILURES:
            return UNREACHABLE
        case _:
            return None


def told(before: State, event: Event, now: State, reason: str) -> str | None:
    """Say what happened, as the end of a sentence; None where it is a step of every connection.

    Args:
        before: the state before.
        event: what happened.
        now: the state that follows.
        reason: the error's words, "" where there is none.
    """
    text = HAPPENED.get((before, event))
    if text is None:
        if now in {State.REFUSED, State.LOST} and before in _ATTEMPT:
            text = "could not be connected"
        elif now in _ROUTINE or (now is State.WAITING and before is State.LOST) or before is State.WAITING:
            return None
        else:
            text = STANDING[now]
    return f"{text} ({reason})" if reason else text


def battery_words(percent: int) -> str | None:
    """Warn of a low charge, as the end of a sentence; None where it is not low."""
    return f"has {percent} % of its charge left: charge it" if percent <= LOW_BATTERY_PERCENT else None
