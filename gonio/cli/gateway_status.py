"""What ``gonio gateway status`` says: the links as the kit last wrote them, its records, and what to do."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gonio.gateway.allowed_sensors import read_allowed
from gonio.gateway.database import kit_runs
from gonio.gateway.housekeeping import disk_state
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.keyfile import KeySource
from gonio.gateway.links.board import LinkStatus, SensorStatus, read_status
from gonio.gateway.links.diary import last_sentences
from gonio.gateway.links.words import battery_words
from gonio.gateway.moment import KnownMoment
from gonio.gateway.rotation import credential_trouble
from gonio.gateway.store import KitStore
from gonio.gateway.uplink_status import UplinkStatus, read_uplink
from gonio.gateway.wiping import read_mark
from gonio.messages import DownKind


def status_lines(directory: Path, log_lines: int, keys: KeySource | None = None) -> Iterator[str]:
    """Give the lines for a person.

    Args:
        directory: the kit's data directory.
        log_lines: how many of the newest events to show.
        keys: where its database's key is kept; None for a file in the directory.

    Raises:
        UsageError: there is no kit, or its database is damaged or of another version.
    """
    with KitStore.peek(directory, keys) as store:
        yield f"kit {store.kit_id}, outbox {store.outbox_id}; {'it runs' if kit_runs(directory) else 'it does not run'}"
        counts = store.counts()
        yield f"records: {counts.pending} wait for the clinic, {counts.acknowledged} acknowledged"
        for ended in store.ended():
            lost = ", ".join(f"{first} to {last}" for first, last in ended.lost) or "none"
            yield f"  outbox {ended.outbox_id} was damaged: {ended.saved} records saved, numbers lost: {lost}"
        for one in store.rejected():
            yield f"  refused by the clinic: record {one.sequence} ({one.kind}, {one.captured_at}): {one.reason}"
        yield from _identity(directory)
        uplink = read_uplink(directory)
        if uplink is not None:
            yield from _uplink(uplink, runs=kit_runs(directory))
        disk = disk_state(store, datetime.now().astimezone())
        yield (
            f"disk: {disk.free_bytes // 2**20} MB free, room for {disk.days_left} days of records; the database has "
            f"{disk.database_bytes // 1024} kB"
        )
        if disk.trouble is not None:
            yield f"  {disk.trouble}"
        yield from _from_the_clinic(store)
        pairing = store.pairing()
        for sensor in pairing.values():
            yield f"{sensor.segment}: {sensor.name} ({sensor.address}, {sensor.family})"
        if not pairing:
            yield "no sensors are paired: gonio gateway pair"
        if unfinished := store.open_session_ids():
            yield f"open sessions: {len(unfinished)} (one that runs now, or one that was cut off)"
    links = read_status(directory)
    if links is not None:
        yield from _links(links, in_use=links.in_use and kit_runs(directory))
    sentences = last_sentences(directory, log_lines)
    if sentences:
        yield "the newest events:"
        yield from (f"  {sentence}" for sentence in sentences)


def _identity(directory: Path) -> Iterator[str]:
    folder = IdentityFolder(directory)
    enrolment, certificate = folder.enrolment(), folder.certificate()
    if enrolment is None or certificate is None:
        yield "no clinic has this kit: gonio gateway enroll"
    else:
        yield f"enrolled with {enrolment.server}, its certificate holds until {certificate.not_after:%Y-%m-%d}"
    trouble = credential_trouble(folder, KnownMoment(directory).at_least(datetime.now(UTC)))
    if trouble is not None:
        yield f"  {trouble}"
    if (mark := read_mark(directory)) is not None:
        yield f"a wipe is under way ({mark.stage}); the kit takes no session until it is over"
    if (allowed := read_allowed(directory)) is not None:
        yield f"the clinic gave this kit these sensors, and it uses no others: {allowed}"


def _from_the_clinic(store: KitStore) -> Iterator[str]:
    unread = sum(one.state == "received" for one in store.clinic_records(DownKind.MESSAGE))
    if unread:
        yield f"{unread} message(s) of the clinic's are unread: gonio gateway messages"
    for gap in store.inbox_gaps():
        yield f"records {gap.first} to {gap.last} of the clinic's ({gap.outbox_id}) have not arrived yet"


def _uplink(uplink: UplinkStatus, *, runs: bool) -> Iterator[str]:
    yield f"broker {uplink.broker}: {uplink.state if runs else 'not connected, the kit does not run'}"
    if (problem := uplink.problem) is not None:
        yield f"  {'' if runs else 'when it last ran: '}{problem}"
    if uplink.trouble is not None:
        yield f"  {uplink.trouble}"
    if uplink.last_settled_at is not None:
        when = uplink.last_settled_at.isoformat(sep=" ", timespec="seconds")
        yield f"  the clinic last acknowledged something at {when}"


def _links(links: LinkStatus, *, in_use: bool) -> Iterator[str]:
    when = links.written_at.isoformat(sep=" ", timespec="seconds")
    yield f"links at {when}:" if in_use else f"links of the last session, which was over or cut off at {when}:"
    if in_use and links.trouble:
        yield f"  Bluetooth: {links.trouble}"
    for one in links.sensors:
        yield f"  the {one.segment} sensor {one.says if in_use else 'is not in use'}{_details(one)}"
        lost = "lost samples cannot be told, it has no clock" if one.lost is None else f"{one.lost} lost"
        yield (
            f"    {one.received} samples, {lost}; {one.gaps} gaps, the longest silence {one.longest_silence_s:.1f} s; "
            f"{one.reconnects} reconnects, away for {one.away_s:.1f} s"
        )
        if in_use and one.to_do:
            yield f"    what to do: {one.to_do}"
        if one.battery_percent is not None and (low := battery_words(one.battery_percent)) is not None:
            yield f"    it {low}"


def _details(one: SensorStatus) -> str:
    known = (
        one.adapter,
        None if one.rssi_dbm is None else f"heard at {one.rssi_dbm} dBm",
        None if one.battery_percent is None else f"battery {one.battery_percent} %",
    )
    told = ", ".join(text for text in known if text)
    return f" ({told})" if told else ""


def status_answer(directory: Path, log_lines: int, keys: KeySource | None = None) -> dict[str, Any]:
    """Give the same for a program; arguments and errors as ``status_lines``."""
    links = read_status(directory)
    runs = kit_runs(directory)
    uplink = read_uplink(directory)
    with KitStore.peek(directory, keys) as store:
        counts = store.counts()
        disk = disk_state(store, datetime.now().astimezone())
        return {
            "kit": store.kit_id,
            "outbox": str(store.outbox_id),
            "runs": runs,
            "pending": counts.pending,
            "acknowledged": counts.acknowledged,
            "rejected": [
                {"sequence": one.sequence, "kind": one.kind, "reason": one.reason} for one in store.rejected()
            ],
            "disk": {
                "free_mb": disk.free_bytes // 2**20,
                "days_left": disk.days_left,
                "database_bytes": disk.database_bytes,
                "trouble": disk.trouble,
            },
            "inbox_gaps": [
                {"outbox": str(gap.outbox_id), "first": gap.first, "last": gap.last} for gap in store.inbox_gaps()
            ],
            "pairing": {s.segment: {"address": s.address, "family": s.family} for s in store.pairing().values()},
            "open_sessions": len(store.open_session_ids()),
            "uplink": None if uplink is None else uplink.model_dump(mode="json") | {"problem": uplink.problem},
            "links": None if links is None else links.model_dump(mode="json") | {"in_use": links.in_use and runs},
            "log": list(last_sentences(directory, log_lines)),
        }
