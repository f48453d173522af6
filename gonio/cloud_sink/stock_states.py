"""The life of a box: the states it can be in, and which may follow which.

A kit becomes active by being bound to a patient, and is only delivered again when it is taken from that patient: both
follow the binding and are no moves by hand. Between two patients stand always ``returned`` and ``cleaned``, so that
nothing of the last patient is left on the kit of the next.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from gonio.errors import UsageError


class BoxState(StrEnum):
    """Where a box is."""

    IN_STOCK = "in-stock"
    SHIPPED = "shipped"
    DELIVERED = "delivered"  # somebody has it, and it is bound to nobody
    ACTIVE = "active"
    LOST = "lost"
    RETURNED = "returned"
    CLEANED = "cleaned"
    RETIRED = "retired"


class BoxEvent(StrEnum):
    """What happens to a box without another state."""

    ENTERED = "entered"
    CLAIMED = "claimed"
    SENSORS_NAMED = "sensors-named"
    SENSOR_SWAPPED = "sensor-swapped"  # in the same episode of care, done from afar


_S: Final = BoxState
#: What people may move a box to, by the state that it is in.
MOVES: Final[Mapping[BoxState, tuple[BoxState, ...]]] = MappingProxyType(
    {
        _S.IN_STOCK: (_S.SHIPPED, _S.DELIVERED, _S.LOST, _S.RETIRED),
        _S.SHIPPED: (_S.DELIVERED, _S.RETURNED, _S.LOST),
        _S.DELIVERED: (_S.RETURNED, _S.LOST),
        _S.ACTIVE: (_S.RETURNED, _S.LOST),
        _S.LOST: (_S.RETURNED, _S.RETIRED),
        _S.RETURNED: (_S.CLEANED, _S.LOST),
        _S.CLEANED: (_S.IN_STOCK, _S.LOST, _S.RETIRED),
        _S.RETIRED: (),
    }
)
#: A kit whose box is in one of these may be bound to a patient.
READY: Final = frozenset({_S.IN_STOCK, _S.SHIPPED, _S.DELIVERED, _S.ACTIVE})


def check_move(now: BoxState, to: BoxState) -> None:
    """Refuse a move that is none.

    Raises:
        UsageError: this does not follow; the text says what may.
    """
    if to in MOVES[now]:
        return
    if to is _S.ACTIVE:
        raise UsageError("a kit becomes active when it is bound to a patient: gonio clinic kit bind KIT PATIENT")
    if now is to:
        raise UsageError(f"this box is {now} already")
    if not MOVES[now]:
        raise UsageError(f"this box is {now}, for good")
    raise UsageError(f"this box is {now}: it can become {' or '.join(MOVES[now])}, not {to}")


def check_ready(now: BoxState) -> None:
    """Refuse to give a box to a patient that is not ready for one.

    Raises:
        UsageError: it is lost, not clean, or retired; the text says what to do.
    """
    if now in READY:
        return
    what = {
        _S.LOST: "was reported lost: enter its return and clean it first",
        _S.RETURNED: "has come back and is not clean yet: wipe it first",
        _S.CLEANED: "is clean: put it in stock first",
    }.get(now, "is retired: take another kit")
    raise UsageError(f"the box of this kit {what} (gonio clinic stock move)")
