"""From what happened to a simulated patient to the record that the kit commits.

A record is a pure function of the fleet's seed, the kit's number and the record's number. Its id is one of the outbox's
own: an outbox that is made anew is another kit's, and nothing that it sends is taken for what the first one sent.
"""

import hashlib
import random
import uuid
from datetime import datetime

from gonio.gateway.records import Capture, Draft, Priority
from gonio.messages import CheckIn, Envelope, Kind, payload_text, wire_time
from gonio.simulators.fleet_history import About, Happening, Patient
from gonio.simulators.fleet_session import simulated_session
from gonio.simulators.fleet_truth import TruthLine
from gonio.simulators.fleet_words import simulated_words


def simulated_draft(
    seed: int, kit: int, sequence: int, who: Patient, happening: Happening, outbox_id: uuid.UUID
) -> Draft:
    """Make a record.

    Args:
        seed: of the fleet.
        kit: its number.
        sequence: the record's number, from 1.
        who: the kit's patient.
        happening: what it tells of.
        outbox_id: the kit's outbox.
    """
    rng = random.Random(f"{seed}/{kit}/record/{sequence}")  # noqa: S311 - a simulation
    moment = happening.moment
    sitting_id = uuid.uuid5(outbox_id, f"sitting {moment.sitting}")
    about = about_id(outbox_id, happening.about)
    payload = (
        simulated_session(rng, who, happening, sitting_id)
        if happening.kind is Kind.SESSION
        else simulated_words(rng, who, happening, about, sitting_id)
    )
    return Draft(
        record_id=record_id(outbox_id, sequence, moment.shown),
        kind=happening.kind,
        capture=Capture(
            boot_id=uuid.uuid5(outbox_id, f"boot {moment.boot}"),
            monotonic_ns=moment.monotonic_ns,
            captured_at=wire_time(moment.shown),
            clock=moment.clock,
        ),
        schema_version=payload.SCHEMA_VERSION,
        payload=payload_text(payload),
        priority=Priority.URGENT if isinstance(payload, CheckIn) and payload.urgent else Priority.USUAL,
    )


def record_id(outbox_id: uuid.UUID, sequence: int, shown: datetime) -> uuid.UUID:
    """Give a record's id: a UUIDv7 (RFC 9562) whose random part follows from outbox and number."""
    drawn = int.from_bytes(hashlib.sha256(outbox_id.bytes + sequence.to_bytes(8, "big")).digest()[:10], "big")
    millis = int(shown.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    return uuid.UUID(
        int=millis << 80 | 0x7 << 76 | (drawn >> 62 & 0xFFF) << 64 | 0b10 << 62 | drawn & 0x3FFF_FFFF_FFFF_FFFF
    )


def about_id(outbox_id: uuid.UUID, about: About | None) -> uuid.UUID | None:
    """Give the id of the record that another one is about, where it is about one."""
    return None if about is None else record_id(outbox_id, about.sequence, about.shown)


def truth_line(envelope: Envelope, who: Patient, happening: Happening | None) -> TruthLine:
    """Tell of a record all that a check of the clinic's book needs: its content's hash, and when it really was.

    Args:
        envelope: the record, as the kit holds it.
        who: the kit's patient.
        happening: what it tells of; None for what the kit itself said, a receipt.
    """
    told = {
        "kind": envelope.kind.value,
        "captured_at": envelope.captured_at,
        "clock": envelope.clock,
        "boot_id": str(envelope.boot_id),
        "true_at": envelope.captured_at if happening is None else happening.moment.true_utc.isoformat(),
        "time_zone": who.zone,
        "sha256": hashlib.sha256(envelope.signed_bytes()).hexdigest(),
    }
    if happening is not None and envelope.kind is Kind.VOID and envelope.outbox_id is not None:
        told["voids"] = str(about_id(envelope.outbox_id, happening.about))
    return TruthLine(envelope.kit_id, envelope.sequence or 0, envelope.record_id, told)
