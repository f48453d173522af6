"""How the kit is doing, as a record for the clinic."""

import asyncio
import platform
from collections.abc import Mapping, Sequence

from gonio.gateway.housekeeping import DiskState
from gonio.gateway.records import Capture
from gonio.gateway.store import KitStore
from gonio.gateway.summary import SOFTWARE
from gonio.messages import Envelope, HealthReport, Kind, new_record_id, payload_text
from gonio.signal.consts import Segment


async def health_envelope(
    store: KitStore,
    capture: Capture,
    *,
    held: int,
    disk: DiskState | None,
    batteries: Mapping[Segment, int],
    troubles: Sequence[str | None],
) -> Envelope:
    """Make the record, signed.

    Args:
        store: for the counts of the outbox.
        capture: this moment.
        held: records that the disk has refused so far.
        disk: how much room there is; None where it is not known.
        batteries: last known charge of each sensor, 0 to 100.
        troubles: what is wrong, in words; None where nothing is.
    """
    counts, head, ended = await asyncio.to_thread(lambda: (store.counts(), store.head(), store.ended()))
    report = HealthReport(
        software=SOFTWARE,
        platform=f"{platform.system()} {platform.machine()}"[:64],
        outbox_id=head.outbox_id,
        last_sequence=head.last_sequence,
        pending=counts.pending + held,
        oldest_pending=head.oldest_pending,
        rejected=counts.rejected,
        ended=ended,
        disk_free_mb=disk.free_bytes // 2**20 if disk else None,
        days_left=disk.days_left if disk else None,
        batteries_percent=dict(batteries),
        troubles=tuple(trouble[:200] for trouble in troubles if trouble)[:8],
    )
    bare = Envelope(
        record_id=new_record_id(),
        kind=Kind.HEALTH,
        kit_id=store.kit_id,
        boot_id=capture.boot_id,
        monotonic_ns=capture.monotonic_ns,
        captured_at=capture.captured_at,
        clock=capture.clock,
        schema_version=HealthReport.SCHEMA_VERSION,
        payload=payload_text(report),
    )
    return await asyncio.to_thread(store.signed, bare)
