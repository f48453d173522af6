"""When publishes arrived, where this computer's clock may have gone back.

A record whose synchronised clock shows a moment far after its arrival is refused (``judge``): its kit's clock is wrong,
or ours. It is ours where it shows a moment that is long over: the book, or this process, has seen a later one. A record
that would be refused for that is then held against the latest moment seen; where it lies after that one as well, nobody
can say, and it is passed over: not stored, not refused, not answered, so that its kit sends it again.

A record whose own clock was not synchronised is dated by nothing but its arrival until its kit's other records repair
it: it too is given the latest moment seen, or it would seem to come from before its kit was anybody's.
"""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from gonio.cloud_sink.judge import MAX_AHEAD
from gonio.cloud_sink.model import Delivery, Unreadable
from gonio.messages import BadRecord, Envelope

#: By so much a clock may be set back without a word: time servers do.
STEP_BACK: Final = timedelta(minutes=1)

_log = logging.getLogger(__name__)


class ArrivalClock:
    """Knows the latest moment that was ever seen."""

    def __init__(self, newest: datetime | None) -> None:
        """Begin.

        Args:
            newest: when the book's newest record arrived, aware; None where there is none.
        """
        self._newest = newest or datetime.min.replace(tzinfo=UTC)
        self._is_back = False

    def place(self, delivery: Delivery) -> Delivery:
        """Give a delivery whose records may be judged by its moment of arrival, perhaps with fewer of them."""
        arrived = delivery.received_at
        self._notice(arrived)
        self._newest = max(self._newest, arrived)
        if not self._is_back or not any(_is_ahead(item, arrived) or _is_undated(item) for item in delivery.items):
            return delivery
        kept = tuple(item for item in delivery.items if not _is_ahead(item, self._newest))
        return replace(delivery, received_at=self._newest, items=kept)

    def _notice(self, arrived: datetime) -> None:
        is_back = arrived + STEP_BACK < self._newest
        if is_back and not self._is_back:
            _log.error(
                "this computer's clock shows %s, before %s when the book's newest record arrived: set it; "
                "records that it makes seem to come from the future are left to be sent again",
                f"{arrived:%Y-%m-%d %H:%M}",
                f"{self._newest:%Y-%m-%d %H:%M}",
            )
        self._is_back = is_back


def _is_ahead(item: Envelope | BadRecord | Unreadable, arrived: datetime) -> bool:
    """Tell whether a record would be refused as one from the future."""
    return isinstance(item, Envelope) and item.clock == "synchronised" and item.captured - arrived > MAX_AHEAD


def _is_undated(item: Envelope | BadRecord | Unreadable) -> bool:
    """Tell whether nothing but its arrival dates a record."""
    return isinstance(item, Envelope) and item.clock == "unsynchronised"
