"""What a kit needs, looked at from outside: each finding says how it stands and what to do."""

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from gonio.drivers.link import FoundSensor, scan
from gonio.drivers.link_errors import BluetoothUnavailableError
from gonio.errors import GonioError
from gonio.firmware_profiles import known_profiles
from gonio.gateway.clock import kernel_clock_state
from gonio.gateway.database import DATABASE_NAME, kit_runs
from gonio.gateway.housekeeping import disk_state
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.keyfile import KEY_NAME
from gonio.gateway.moment import KnownMoment
from gonio.gateway.rotation import credential_trouble
from gonio.gateway.settings import KitSettings
from gonio.gateway.store import KitStore
from gonio.gateway.uplink_status import read_uplink
from gonio.gateway.wiping import read_mark
from gonio.identity.mqtt_words import connection_words

#: "told" is worth knowing and no fault of the kit: it does not end the command with 1.
State: TypeAlias = Literal["ok", "told", "wrong"]

CONNECT_S: Final = 10.0
LISTEN_S: Final = 2.0

Listen: TypeAlias = Callable[[], Sequence[FoundSensor]]
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing stands; ``to_do`` is empty where nothing is to be done."""

    subject: str
    state: State
    says: str
    to_do: str = ""

    def as_dict(self) -> dict[str, str]:
        """Give it as JSON has it."""
        return asdict(self)


def examine(settings: KitSettings, *, now: datetime | None = None, listen: Listen | None = None) -> list[Finding]:
    """Look at a kit; nothing is changed, but the broker is connected to and sensors are listened for.

    Args:
        settings: the kit's.
        now: this moment, aware; None for the clock's.
        listen: hears sensors, see ``gonio.drivers.link.scan``; None for the system's Bluetooth.
    """
    moment = now or datetime.now(UTC)
    if not (settings.data_dir / DATABASE_NAME).exists():
        to_do = "enrol it (gonio gateway enroll), or name its --data-dir"
        return [Finding("data", "wrong", f"there is no kit in {settings.data_dir}", to_do)]
    return [
        *_directory(settings),
        *_keys(settings),
        *_enrolment(settings, moment),
        *_clock(settings, moment),
        *_records(settings),
        *_broker(settings, moment),
        *_bluetooth(listen or _listen),
    ]


def _directory(settings: KitSettings) -> Iterator[Finding]:
    folder = settings.data_dir
    open_to = stat.S_IMODE(folder.stat().st_mode) & _OTHERS
    if open_to or not os.access(folder, os.W_OK):
        yield Finding("data", "wrong", f"others may look into {folder}", f"chmod 700 {folder}, as the kit's own user")
    else:
        yield Finding("data", "ok", f"{folder}; the kit {'runs' if kit_runs(folder) else 'does not run'}")
    mark = read_mark(folder)
    if mark is not None:
        yield Finding("wipe", "told", f"a wipe is under way ({mark.stage})", "start the kit: it goes on with it")


def _keys(settings: KitSettings) -> Iterator[Finding]:
    folder = IdentityFolder(settings.data_dir)
    database_key = settings.key_file or settings.data_dir / KEY_NAME
    for name, file in (("database key", database_key), ("kit's key", folder.key_file)):
        if not file.exists():
            yield Finding(name, "wrong", f"{file} is missing", "put back a copy; without one see docs/kit-identity.md")
        elif stat.S_IMODE(file.stat().st_mode) & _OTHERS:
            yield Finding(name, "wrong", f"others may read {file}", f"chmod 600 {file}")
        else:
            yield Finding(name, "ok", "only its owner may read it")
    if database_key.exists() and _beside(database_key, settings.data_dir):
        yield Finding(
            "stolen card",
            "told",
            "a stolen card can be read: the database's key lies on the same medium as the database",
            "put the key on another medium (GONIO_KIT_KEY_FILE), or use a TPM; the kit holds no name of a patient",
        )


def _beside(key: Path, data_dir: Path) -> bool:
    """Tell whether a key lies on the disk of the data."""
    return key.resolve().stat().st_dev == data_dir.stat().st_dev


def _enrolment(settings: KitSettings, now: datetime) -> Iterator[Finding]:
    folder = IdentityFolder(settings.data_dir)
    try:
        enrolment, certificate = folder.enrolment(), folder.certificate()
        at = KnownMoment(settings.data_dir).at_least(now)
        trouble = credential_trouble(folder, at)
    except GonioError as error:
        yield Finding("enrolment", "wrong", str(error), "enrol the kit anew with a claim code")
        return
    if enrolment is None or certificate is None:
        yield Finding("enrolment", "wrong", "no clinic has this kit", "gonio gateway enroll, with the clinic's code")
        return
    yield Finding("enrolment", "ok", f"{enrolment.kit_id}, with {enrolment.server}")
    until = f"its certificate holds until {certificate.not_after:%Y-%m-%d}"
    if folder.key_file.exists() and trouble is None and _fit(settings):
        more = "; a new key is in use and has not worked yet, the one before it is kept" if folder.overlaps else ""
        yield Finding("certificate", "ok", until + more)
    else:
        said = trouble or "key and certificate do not belong together"
        to_do = "see that the kit reaches the clinic's enrolment service; else enrol it anew"
        yield Finding("certificate", "wrong", said, to_do)


def _fit(settings: KitSettings) -> bool:
    try:
        settings.broker_address().tls_context()
    except GonioError:
        return False
    return True


def _clock(settings: KitSettings, now: datetime) -> Iterator[Finding]:
    known = KnownMoment(settings.data_dir).behind(now)
    if known is not None:
        said = f"the clock is behind: it says {now:%Y-%m-%d %H:%M} UTC, and it is at least {known:%Y-%m-%d %H:%M}"
        yield Finding("clock", "wrong", said, "let the kit reach a time server (NTP): what it records has no date yet")
    elif kernel_clock_state() != "synchronised":
        yield Finding(
            "clock", "told", "no time server keeps the clock; records say so, and their day must be confirmed",
            "let systemd-timesyncd or chrony run",
        )  # fmt: skip
    else:
        yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC, kept by a time server")


def _records(settings: KitSettings) -> Iterator[Finding]:
    try:
        with KitStore.peek(settings.data_dir, settings.keys()) as store:
            counts, disk = store.counts(), disk_state(store, datetime.now().astimezone())
    except GonioError as error:
        yield Finding("records", "wrong", str(error), "see docs/operations.md")
        return
    said = f"{counts.pending} wait for the clinic, {counts.acknowledged} acknowledged, {counts.rejected} refused"
    if counts.rejected:
        yield Finding("records", "wrong", said, "gonio gateway status names them with the clinic's reasons")
    else:
        yield Finding("records", "ok", said)
    free = f"{disk.free_bytes // 2**20} MB free, room for {disk.days_left} days of records"
    if disk.trouble is not None:
        yield Finding("disk", "wrong", f"{free}; {disk.trouble}", "free some space")
    else:
        yield Finding("disk", "ok", free)


def _broker(settings: KitSettings, now: datetime) -> Iterator[Finding]:
    try:
        address = settings.broker_address()
        context = address.tls_context(KnownMoment(settings.data_dir).behind(now))
    except GonioError as error:
        yield Finding("broker", "wrong", str(error), "correct the broker's address or its files")
        return
    try:
        with socket.create_connection((address.host, address.port), timeout=CONNECT_S) as plain:
            if context is not None:
                with context.wrap_socket(plain, server_hostname=address.host):
                    pass
    except OSError as error:
        said = connection_words(error) or error.strerror or "the connection broke"
        yield Finding("broker", "wrong", f"{address}: {said}", "check the network and the address")
        return
    uplink = read_uplink(settings.data_dir)
    problem = uplink.problem if uplink is not None else None
    if problem is not None:
        yield Finding("broker", "wrong", f"{address} answers, but: {problem}", "gonio gateway status follows it")
    else:
        yield Finding("broker", "ok", f"{address} answers{'' if address.tls else ', in plain text on this machine'}")


def _bluetooth(listen: Listen) -> Iterator[Finding]:
    try:
        heard = len(listen())
    except BluetoothUnavailableError as error:
        yield Finding("Bluetooth", "wrong", str(error), "see docs/bluetooth.md")
    else:
        yield Finding("Bluetooth", "ok", f"it can be used; {heard} sensor(s) heard in {LISTEN_S:.0f} s")


def _listen() -> Sequence[FoundSensor]:
    logging.getLogger("bleak").setLevel(logging.ERROR)  # the error says it in words
    return asyncio.run(scan(known_profiles(), timeout_s=LISTEN_S))
