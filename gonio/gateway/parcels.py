"""From chosen records to publishes: one kind each, bounded, and smaller the more often its records were sent."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gonio.messages import MAX_ENVELOPES, Envelope, Kind

Numbered: TypeAlias = tuple[int, Envelope]  # a record with its number in the outbox

BATCH_TEXT: Final = 262_144  # characters of payload in one publish: common brokers refuse packets over 128 kB deflated


@dataclass(slots=True)
class _Parcel:
    records: list[Numbered] = field(default_factory=list)
    text: int = 0
    bound: int = MAX_ENVELOPES

    def takes(self, length: int, bound: int) -> bool:
        return not self.records or (len(self.records) < min(self.bound, bound) and self.text + length <= BATCH_TEXT)

    def add(self, record: Numbered, length: int, bound: int) -> None:
        self.records.append(record)
        self.text += length
        self.bound = min(self.bound, bound)


def cut(records: Sequence[Numbered], times_sent: Callable[[int], int]) -> Iterator[list[Numbered]]:
    """Cut records into publishes, each full or the last of its kind; the first record's kind goes first.

    A record that was sent before gets a smaller publish each time: one that the broker never passes on (too large for
    it, say) does not take its neighbours along for ever.

    Args:
        records: what to send, the most urgent first.
        times_sent: how often a record was sent before.
    """
    open_parcels: dict[Kind, _Parcel] = {}
    for record in records:
        number, envelope = record
        length, bound = len(envelope.payload), max(1, MAX_ENVELOPES >> times_sent(number))
        parcel = open_parcels.setdefault(envelope.kind, _Parcel())
        if not parcel.takes(length, bound):
            yield parcel.records
            parcel = open_parcels[envelope.kind] = _Parcel()
        parcel.add(record, length, bound)
    for parcel in open_parcels.values():
        yield parcel.records
