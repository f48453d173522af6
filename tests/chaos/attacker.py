"""Somebody on the broker who reads what kits send and publishes in their names, without a key of theirs."""

import asyncio
import contextlib
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aiomqtt import Client, MqttError

from gonio.identity.keys import KeyPemFile, SigningKey
from gonio.identity.signatures import sign
from gonio.messages import (
    UP_FILTER,
    Envelope,
    HealthReport,
    Kind,
    MessageError,
    new_record_id,
    pack,
    payload_text,
    unpack,
    up_topic,
)

_PAUSE_S: Final = 0.1  # after each publish that was answered with forgeries
_AGAIN_S: Final = 0.3  # after the broker went away


def forgeries(genuine: Envelope, key: SigningKey) -> Iterator[Envelope]:
    """Give records in a kit's name, as far from the truth as somebody may want them.

    Args:
        genuine: a numbered record that the kit sent.
        key: the attacker's.
    """
    sequence = genuine.sequence or 1
    copy = genuine.model_copy(update={"record_id": new_record_id(), "sequence": sequence + 1})
    bare = copy.model_copy(update={"key_id": None, "signature": None})
    yield genuine.model_copy(update={"payload": genuine.payload + " "})  # to make the kit believe that it is refused
    yield copy  # the kit's signature, of another record
    yield _fresh(bare)  # in the place of the kit's next record
    yield sign(_fresh(bare), key)
    yield sign(_fresh(bare), key).model_copy(update={"key_id": genuine.key_id})
    yield sign(_fresh(bare).model_copy(update={"outbox_id": uuid.uuid4(), "sequence": 1}), key)
    report = HealthReport(software="forged", outbox_id=genuine.outbox_id, last_sequence=sequence + 1_000_000, pending=0)
    health = {"kind": Kind.HEALTH, "outbox_id": None, "sequence": None, "payload": payload_text(report)}
    yield sign(
        _fresh(bare).model_copy(update=health | {"schema_version": HealthReport.SCHEMA_VERSION}),
        key,
    )


def _fresh(envelope: Envelope) -> Envelope:
    return envelope.model_copy(update={"record_id": new_record_id()})


class Attacker:
    """Publishes again, and forges, what it sees.

    Attributes:
        sent: the ids of the records that it has published, but for those that it has altered and left their own.
        altered: those.
    """

    def __init__(self, port: int, folder: Path, seed: int) -> None:
        """Prepare.

        Args:
            port: the broker's, on this machine.
            folder: for its key.
            seed: of what it picks.
        """
        self._port = port
        self._key = KeyPemFile.make(folder / "attacker.pem")
        self._rng = random.Random(f"{seed}/attacker")  # noqa: S311 - a schedule, no secret
        self.sent: set[str] = set()
        self.altered: set[str] = set()

    async def run(self) -> None:
        """Go on for ever, whatever happens to the broker."""
        while True:
            with contextlib.suppress(MqttError):
                await self._connected()
            await asyncio.sleep(_AGAIN_S)

    async def _connected(self) -> None:
        async with Client("127.0.0.1", self._port, timeout=5.0) as client:
            await client.subscribe(UP_FILTER, qos=0)
            async for message in client.messages:
                genuine = self._pick(message.payload)
                if genuine is None:
                    continue
                await client.publish(up_topic(genuine.kit_id, genuine.kind), pack([genuine]), qos=1)  # a replay
                for forged in forgeries(genuine, self._key):
                    (self.altered if forged.record_id == genuine.record_id else self.sent).add(str(forged.record_id))
                    await client.publish(up_topic(forged.kit_id, forged.kind), pack([forged]), qos=1)
                await asyncio.sleep(_PAUSE_S)

    def _pick(self, payload: object) -> Envelope | None:
        """Give one of the numbered records in a publish; None where there is none, or it is our own."""
        if not isinstance(payload, bytes):
            return None
        try:
            items = unpack(payload)
        except MessageError:
            return None
        records = [one for one in items if isinstance(one, Envelope) and one.sequence is not None]
        seen = self._rng.choice(records) if records else None
        if seen is None or str(seen.record_id) in self.sent:
            return None
        return None if seen.payload.endswith(" ") else seen  # no kit writes it so, but we do
