"""The message service of a virtual Movella DOT: synchronisation, and no more than answers for the rest.

A sensor that was told to synchronise does so once its link has ended. It takes twelve seconds, after which the clock
of each that was told the same root follows the root's, and the acknowledgement waits to be read. Nothing can be
recorded on board.
"""

from typing import TYPE_CHECKING, Final

from gonio.drivers.codecs.dot_message import decode_message, encode_message
from gonio.simulators.peripheral_firmware import Replies, Surroundings, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

SYNC_TAKES_S: Final = 12.0


class DotMessages:
    """What a DOT does with messages.

    Attributes:
        synced: whether its clock follows the group's root.
        root: address of the root that it was told last.
        acknowledgement: what a read of the acknowledge characteristic gives: the answer to the last message.
    """

    def __init__(self, around: Surroundings, factory_reset: "Callable[[], None]") -> None:
        """Begin unsynchronised."""
        self.synced = False
        self.root: str | None = None
        self.acknowledgement = b""
        self._around = around
        self._factory_reset = factory_reset
        self._told = False
        self._begun_s: float | None = None

    def write(self, data: bytes) -> Replies:
        """Obey a message.

        Raises:
            ATT_Error: it is none, or one that this sensor does not know.
        """
        self.settle()
        message = decode_message(data)
        if not message.get("checksum_ok"):
            raise refuse()
        match message["mid"], message["reid"]:
            case "sync", "get_sync_status":
                status = "synced(0x04)" if self.synced else "not_synced(0x09)"
                return [("message_notification", encode_message("sync", "sync_status", {"status": status}))]
            case "sync", "stop_sync":
                self.synced = self._told = False
                self.root = self._begun_s = None
                self.acknowledgement = encode_message("sync", "stop_sync_result", {"result": "success"})
            case "sync", "start_sync":
                self.root, self._told = str(message["root_mac"]), True
                self.acknowledgement = b""
            case "configuration", "factory_reset":
                self._factory_reset()
            case "recording", name:
                result = "idle(0x06)" if name == "get_state" else "invalid(0x02)"
                arguments = {"result": result, "ack_of_reid": f"{name}({data[2]:#04x})"}
                self.acknowledgement = encode_message("recording", "ack", arguments)
            case _:
                raise refuse()
        return []

    def disconnected(self) -> None:
        """Begin to synchronise, if that was asked for."""
        if self._told and self._begun_s is None:
            self._begun_s = self._around.now_s()

    @property
    def finds_root(self) -> bool:
        """Whether it listens for the root that it was told."""
        return self._begun_s is not None or self.synced

    def settle(self) -> None:
        """Come to the end of a synchronisation whose time is over."""
        if self._begun_s is None or self._around.now_s() - self._begun_s < SYNC_TAKES_S:
            return
        root = self._root_messages()
        self.synced = root is not None and root.root == self.root and root.finds_root
        self._begun_s, self._told = None, False
        if self.synced and root is not None:
            self._around.clock.follow(root._around.clock)  # noqa: SLF001 - another of the same class
        result = "success" if self.synced else "not_started"
        self.acknowledgement = encode_message("sync", "start_sync_result", {"result": result})

    def _root_messages(self) -> "DotMessages | None":
        firmware = self._around.neighbours.get(self.root or "")
        messages = getattr(firmware, "messages", None)
        return messages if isinstance(messages, DotMessages) else None
