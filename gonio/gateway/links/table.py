"""What a kit does with one sensor, as a table: the state it is in, what happens, the state that follows.

Each state is one activity, and a sensor is in one state at a time: so there never are two connection attempts, and
never a connection made before the old one was closed, whatever comes in whatever order. The activities:

============  =========================================================================================
state         what the kit does meanwhile
============  =========================================================================================
resting       nothing; nobody wants the sensor
searching     listens for it
missing       still listens; it has not been heard for so long that a person should look
connecting    makes one connection attempt
preparing     stops whatever it did, reads what it is, configures it
ready         connected, quiet
starting      lets it stream
streaming     watches that data come
suspect       asks a silent sensor something that it must answer
lost          closes the old connection
waiting       pauses, longer with each failure
refused       closes; it said no, which seldom changes: pauses for long
unavailable   closes; there is no Bluetooth to do anything with: waits for it
============  =========================================================================================

What is not in the table does not matter in that state and changes nothing.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where a sensor stands."""

    RESTING = "resting"
    SEARCHING = "searching"
    MISSING = "missing"
    CONNECTING = "connecting"
    PREPARING = "preparing"
    READY = "ready"
    STARTING = "starting"
    STREAMING = "streaming"
    SUSPECT = "suspect"
    LOST = "lost"
    WAITING = "waiting"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


class Event(StrEnum):
    """What can happen to it."""

    WANTED = "somebody wants it"
    RELEASED = "nobody wants it any more"
    HEARD = "it was heard, by an adapter that has room"
    FULL = "it was heard, but no adapter has room"
    UNHEARD = "it has not been heard for a while"
    CONNECTED = "the connection stands"
    PREPARED = "it is configured"
    GO = "it is to stream"
    HALT = "it is to be quiet"
    STARTED = "it was told to stream"
    SILENT = "no data for too long"
    DATA = "data came"
    LINK_LOST = "the link broke"
    FAILED = "what was tried failed, and may succeed another time"
    DENIED = "the sensor said no, or is another than its profile"
    CLOSED = "the old connection is closed"
    DUE = "the pause is over"
    BLUETOOTH_GONE = "Bluetooth cannot be used"
    BLUETOOTH_BACK = "Bluetooth may be used again"


_S, _E = State, Event

_ROWS: Final[Mapping[State, Mapping[Event, State]]] = {
    _S.RESTING: {_E.WANTED: _S.SEARCHING},
    _S.SEARCHING: {_E.HEARD: _S.CONNECTING, _E.FULL: _S.WAITING, _E.UNHEARD: _S.MISSING},
    _S.MISSING: {_E.HEARD: _S.CONNECTING, _E.FULL: _S.WAITING},
    _S.CONNECTING: {_E.CONNECTED: _S.PREPARING, _E.FAILED: _S.LOST, _E.LINK_LOST: _S.LOST, _E.DENIED: _S.REFUSED},
    _S.PREPARING: {_E.PREPARED: _S.READY, _E.FAILED: _S.LOST, _E.LINK_LOST: _S.LOST, _E.DENIED: _S.REFUSED},
    _S.READY: {_E.GO: _S.STARTING, _E.FAILED: _S.LOST, _E.LINK_LOST: _S.LOST, _E.DENIED: _S.REFUSED},
    _S.STARTING: {_E.STARTED: _S.STREAMING, _E.FAILED: _S.LOST, _E.LINK_LOST: _S.LOST, _E.DENIED: _S.REFUSED},
    _S.STREAMING: {_E.SILENT: _S.SUSPECT, _E.LINK_LOST: _S.LOST, _E.HALT: _S.READY},
    _S.SUSPECT: {
        _E.DATA: _S.STREAMING,
        _E.SILENT: _S.LOST,
        _E.FAILED: _S.LOST,
        _E.LINK_LOST: _S.LOST,
        _E.HALT: _S.READY,
    },
    _S.LOST: {_E.CLOSED: _S.WAITING},
    _S.WAITING: {_E.DUE: _S.SEARCHING},
    _S.REFUSED: {_E.DUE: _S.SEARCHING},
    _S.UNAVAILABLE: {_E.BLUETOOTH_BACK: _S.SEARCHING},
}


def _table() -> Mapping[tuple[State, Event], State]:
    table = {(state, event): after for state, row in _ROWS.items() for event, after in row.items()}
    for state in set(State) - {_S.RESTING}:
        table[state, _E.RELEASED] = _S.RESTING
        if state is not _S.UNAVAILABLE:
            table[state, _E.BLUETOOTH_GONE] = _S.UNAVAILABLE
    return MappingProxyType(table)


#: State and event to the state that follows.
TABLE: Final = _table()

#: The states in which a connection to the sensor may exist; on the way out of these it is closed first.
LINKED: Final = frozenset(
    {_S.CONNECTING, _S.PREPARING, _S.READY, _S.STARTING, _S.STREAMING, _S.SUSPECT},
)

#: The states whose activity begins by closing what connection there is.
CLOSING: Final = frozenset({_S.RESTING, _S.LOST, _S.REFUSED, _S.UNAVAILABLE})


def matters(state: State, event: Event) -> bool:
    """Tell whether an event changes anything in a state."""
    return (state, event) in TABLE


def after(state: State, event: Event) -> State:
    """Give the state that follows."""
    return TABLE.get((state, event), state)
