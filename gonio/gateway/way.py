"""The kit's way to its clinic: which broker, shown which certificate, by which clock, and whether it has worked."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from gonio.gateway.moment import KnownMoment
from gonio.identity.broker import BrokerAddress, ClientArguments


def _now() -> datetime:
    return datetime.now(UTC)


class Way:
    """A broker's address that may be changed while the uplink runs, with what is learnt from each connection.

    Attributes:
        address: where to.
        changed: set when the connection is to be made anew; whoever makes it clears it.
        attempts: connections begun since one has worked, or since the address was changed.
    """

    def __init__(
        self, address: BrokerAddress, moment: KnownMoment | None = None, *, now: Callable[[], datetime] = _now
    ) -> None:
        """Prepare.

        Args:
            address: where to.
            moment: what is known of the time; None where the clock is to be believed always.
            now: the wall clock, aware.
        """
        self.address = address
        self.changed = asyncio.Event()
        self.attempts = 0
        self._moment = moment
        self._now = now
        self._begun: datetime | None = None
        self._listeners: list[Callable[[], None]] = []

    def on_worked(self, listener: Callable[[], None]) -> None:
        """Call a function when the clinic has acknowledged something, once in each connection."""
        self._listeners.append(listener)

    def begin(self) -> ClientArguments:
        """Give what the next connection is made with.

        Raises:
            UsageError: a file of certificates cannot be read, or a key does not fit its certificate.
        """
        self.changed.clear()
        self.attempts += 1
        self._begun = self._now()
        known = self._moment.behind(self._begun) if self._moment else None
        return self.address.client_arguments(known)

    def worked(self) -> None:
        """Take note that the clinic has acknowledged something."""
        if self._begun is None:
            return
        begun, self._begun = self._begun, None
        self.attempts = 0
        if self._moment is not None and self.address.tls and self._moment.behind(begun) is None:
            self._moment.learn(begun)
        for listener in self._listeners:
            listener()

    def use(self, address: BrokerAddress) -> None:
        """Connect anew, there."""
        self.address = address
        self.attempts = 0
        self._begun = None  # what the old connection still brings says nothing of the new one
        self.changed.set()
