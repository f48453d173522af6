"""What BlueZ does to a gateway now and then, to order: see ``FakeBluez.fail``."""

import asyncio

from dbus_fast import Message, Variant

from tests.bluez.bluez_objects import DAEMON, DEVICE, NOT_READY, SERVICE
from tests.bluez.fake_bluez import FakeBluez, Fault

#: Between two words of BlueZ about the same device, s.
_SOON_S = 0.02


def refuses(name: str, text: str) -> Fault:
    """BlueZ answers with an error of its own."""
    return lambda _bluez, message: Message.new_error(message, f"{SERVICE}.Error.{name}", text)


def not_ready(_bluez: FakeBluez, message: Message) -> Message:
    """The adapter is off."""
    return Message.new_error(message, *NOT_READY)


def no_reply(_bluez: FakeBluez, message: Message) -> Message:
    """The bus answers for a daemon that died over the call."""
    text = "Message recipient disconnected from message bus without replying"
    return Message.new_error(message, f"{DAEMON}.Error.NoReply", text)


def stays_silent(_bluez: FakeBluez, _message: Message) -> bool:
    """No answer ever."""
    return True  # "handled": dbus-fast sends nothing


def drops_before_services(bluez: FakeBluez, message: Message) -> Message:
    """BlueZ connects, and loses the sensor before it knows its services."""
    reply = bluez.obey(message)
    bluez.lose(bluez.sensor_at(str(message.path)))
    return reply


def aborted_by_local(*, told: bool) -> Fault:
    """BlueZ gives its own attempt up; it tells, or does not, that the sensor was connected for a moment."""

    def fault(bluez: FakeBluez, message: Message) -> Message:
        if told:
            path = str(message.path)
            loop = asyncio.get_running_loop()
            bluez.change(path, DEVICE, Connected=Variant("b", True))
            loop.call_later(_SOON_S, lambda: bluez.change(path, DEVICE, Connected=Variant("b", False)))
        return Message.new_error(message, f"{SERVICE}.Error.Failed", "le-connection-abort-by-local")

    return fault
