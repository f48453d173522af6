"""Brings what the clinic sends to its kits, beside the intake and over the same connection to the broker.

Any number of workers may do it: each claims what it sends. A record is sent until the kit's receipt is in the book; a
kit that is away costs a publish now and then, and is served at once when it comes back, which its health report shows.
"""

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import Final, NoReturn

from gonio.cloud_sink.down_outbox import DownOutbox
from gonio.cloud_sink.engine import StoreError, StoreUnavailableError
from gonio.identity.keys import SigningKey
from gonio.identity.mqtt import MqttClient
from gonio.identity.signatures import sign
from gonio.messages import DownEnvelope, down_topic, pack_down

#: How long a record that another process has queued may lie before a worker looks.
POLL_S: Final = 1.0
#: Pause after the book could not be used.
TROUBLE_S: Final = 5.0
#: Kits that came back, looked at in one go; with 1,000 at once the intake goes on in between.
MAX_HEARD: Final = 100
#: Characters of payload in one publish: common brokers refuse packets over 128 kB deflated.
BATCH_TEXT: Final = 262_144

_log = logging.getLogger(__name__)


class DownPublisher:
    """Publishes what is due; one for a worker, whatever becomes of its connections."""

    def __init__(self, outbox: DownOutbox, key: SigningKey | None = None) -> None:
        """Take the clinic's outbox; nothing is looked at before :meth:`run`.

        Args:
            outbox: what is due.
            key: signs what goes out; without one, kits that are enrolled take nothing.
        """
        self._outbox = outbox
        self._key = key
        self._heard: set[str] = set()
        self._wake = asyncio.Event()

    def heard(self, kits: Collection[str]) -> None:
        """Take note that kits have reported, after that was committed; returns at once."""
        if kits:
            self._heard.update(kits)
            self._wake.set()

    async def run(self, client: MqttClient) -> NoReturn:
        """Publish over one connection until it breaks or the task is cancelled.

        Raises:
            aiomqtt.MqttError: the connection broke; what was claimed and not sent is due again later.
        """
        while True:
            self._wake.clear()
            kits = sorted(self._heard)[:MAX_HEARD]
            self._heard.difference_update(kits)
            try:
                envelopes = await asyncio.to_thread(self._take, kits)
            except (StoreUnavailableError, StoreError) as error:
                self._heard.update(kits)
                _log.error("nothing can be sent to kits just now: %s", error)
                await asyncio.sleep(TROUBLE_S)
                continue
            for batch in _batches(envelopes):
                first = batch[0]
                await client.publish(down_topic(first.kit_id, first.kind), pack_down(batch), qos=1)
            if not envelopes and not self._heard:
                await self._rest()

    def _take(self, kits: Sequence[str]) -> Sequence[DownEnvelope]:
        asked = self._outbox.heard(kits) if kits else 0
        if asked:
            _log.warning("the book lacks records that kits have sent before: %d ranges are asked for again", asked)
        due = self._outbox.claim() if self._outbox.due() else ()
        return due if self._key is None else [sign(envelope, self._key) for envelope in due]

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            return


def _batches(envelopes: Sequence[DownEnvelope]) -> Iterator[list[DownEnvelope]]:
    """Cut records into publishes: one kit and kind each, bounded."""
    for _, group in groupby(envelopes, key=lambda envelope: (envelope.kit_id, envelope.kind)):
        batch: list[DownEnvelope] = []
        text = 0
        for envelope in group:
            if batch and text + len(envelope.payload) > BATCH_TEXT:
                yield batch
                batch, text = [], 0
            batch.append(envelope)
            text += len(envelope.payload)
        yield batch
