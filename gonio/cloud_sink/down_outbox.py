"""The clinic's outbox as its commands and its publisher use it: each call is durable when it returns."""

import random
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine

from gonio.cloud_sink import down
from gonio.cloud_sink.engine import reader, store_errors, writer
from gonio.cloud_sink.recall import recall, to_recall
from gonio.messages import DownEnvelope, DownPayload


class DownOutbox:
    """What goes down to kits; calls block, from several threads and processes.

    Every method raises StoreUnavailableError when the book cannot be used just now (try again) and StoreError when it
    is damaged or refuses a change.
    """

    def __init__(self, engine: Engine, rng: random.Random | None = None) -> None:
        """Take an open book; ``rng`` is for the waits, seeded by tests."""
        self._reader = reader(engine)
        self._writer = writer(engine)
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing

    def send(self, kit_id: str, payload: DownPayload, *, actor: str = "system:clinic") -> DownEnvelope:
        """Queue a record for a kit, under the next number; a worker (``gonio sink run``) brings it there.

        Args:
            kit_id: a kit that the clinic knows.
            payload: a program, a message to the patient or a command.
            actor: who wants it, as the audit log names people: ``operator:LOGIN`` or ``system:PART``.

        Raises:
            UsageError: the clinic has no such kit.
        """
        with store_errors(), self._writer.begin() as connection:
            return down.queue(connection, kit_id, payload, actor=actor, now=datetime.now(UTC))

    def claim(self) -> list[DownEnvelope]:
        """Take up to MAX_CLAIMED records that are due, by kit and kind; the next sending of each is pushed back.

        Several workers may do this at once: none gets what another has taken.
        """
        with store_errors(), self._writer.begin() as connection:
            return down.claim(connection, datetime.now(UTC), self._rng)

    def due(self) -> bool:
        """Tell whether there is anything to claim, without writing."""
        with store_errors(), self._reader.connect() as connection:
            return down.is_due(connection, datetime.now(UTC))

    def heard(self, kits: Collection[str]) -> int:
        """Take note that kits are back: what waits for them is due at once, and what the book lacks is asked for.

        Returns:
            How many ranges were asked for again.
        """
        names = sorted(kits)
        with store_errors():
            with self._reader.connect() as connection:
                waiting = down.waiting_kits(connection, names)
                lacks = to_recall(connection, names)
            if waiting:
                with self._writer.begin() as connection:
                    down.wake(connection, waiting, datetime.now(UTC))
            return sum(self._recall(kit_id) for kit_id in lacks)

    def rows(self, kit_id: str) -> Sequence[down.DownRow]:
        """Give all that was sent to a kit, oldest first, with how far each has come."""
        with store_errors(), self._reader.connect() as connection:
            return down.rows_of(connection, kit_id)

    def _recall(self, kit_id: str) -> int:
        with self._writer.begin() as connection:
            return recall(connection, kit_id, datetime.now(UTC), self._rng)
