"""The stock room: every box of a clinic, where it is, what became of it; each call one transaction, audited.

Decided here:

- A kit that is lost is taken from its patient and its keys are revoked, in one transaction: broker and sink refuse it
  within seconds. Whoever hopes that it still listens lets it wipe itself first (``wipe_first``): then its keys count
  until they are revoked, and what it sends meanwhile belongs to nobody.
- A kit that comes back is told to wipe itself. It is clean when its receipt says that this was done, or when a person
  says, with the reason, that it was cleaned by hand.
- A retired kit's keys are revoked.
- A sensor belongs to one box of the clinic at a time: two kits in one household never take each other's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Row, and_, exists, func, insert, or_, select, update

from gonio.cloud_sink import admin, audit_log, down, stock_life
from gonio.cloud_sink.audit_log import Action, Entry
from gonio.cloud_sink.engine import reader, store_errors, writer
from gonio.cloud_sink.enrolment import keys as kit_keys
from gonio.cloud_sink.enrolment.keys import KeyState
from gonio.cloud_sink.kits import lock_kits
from gonio.cloud_sink.schema import CLINICS, HOME_CLINIC, KIT_BINDINGS
from gonio.cloud_sink.schema_identity import KIT_KEYS
from gonio.cloud_sink.schema_stock import STOCK
from gonio.cloud_sink.stock_csv import NewBox, write_csv
from gonio.cloud_sink.stock_life import LifeEvent
from gonio.cloud_sink.stock_states import BoxEvent, BoxState, check_move
from gonio.errors import UsageError
from gonio.messages import AllowSensors, Wipe, read_down

MAX_REASON: Final = 500
_NO_BOX: Final = "there is no such box: list them with `gonio clinic stock list`"


@dataclass(frozen=True, slots=True)
class Box:
    """A box as the book has it.

    Attributes:
        item_id: its id.
        label: what stands on it.
        serial: the maker's number.
        kit_id: the kit in it, from its claim on.
        state: where it is.
        thigh_sensor, shank_sensor: addresses in capitals, or None.
        changed_at: since when it is in this state.
        bound: whether a patient has its kit.
        may_connect: whether a key of its kit counts.
    """

    item_id: UUID
    label: str
    serial: str
    kit_id: str | None
    state: BoxState
    thigh_sensor: str | None
    shank_sensor: str | None
    changed_at: datetime
    bound: bool
    may_connect: bool


def boxes_csv(boxes: Sequence[Box]) -> str:
    """Write boxes as CSV, with a header; no cell is a formula."""
    header = ("box", "label", "serial", "state", "kit", "thigh_sensor", "shank_sensor", "since", "with_patient")
    return write_csv(
        header,
        [
            (
                str(box.item_id),
                box.label,
                box.serial,
                box.state.value,
                box.kit_id or "",
                box.thigh_sensor or "",
                box.shank_sensor or "",
                box.changed_at.isoformat(timespec="seconds"),
                "yes" if box.bound else "no",
            )
            for box in boxes
        ],
    )


class StockRoom:
    """A store's boxes; calls block, from several threads and processes.

    A box of another clinic than the one named is not there. ``actor`` is who does it, as the audit log names people;
    that of the store if not given.
    """

    def __init__(self, engine: Engine, actor: str) -> None:
        self._reader = reader(engine)
        self._writer = writer(engine)
        self._actor = actor

    def boxes(self, *, clinic_id: UUID = HOME_CLINIC, state: BoxState | None = None) -> list[Box]:
        """Give a clinic's boxes, by label, all or those in one state."""
        query = _boxes().where(STOCK.c.clinic_id == clinic_id)
        if state is not None:
            query = query.where(STOCK.c.state == state.value)
        with store_errors(), self._reader.connect() as connection:
            rows = connection.execute(query.order_by(STOCK.c.label, STOCK.c.serial, STOCK.c.item_id))
            return [_box(row) for row in rows]

    def box(self, item_id: UUID, *, clinic_id: UUID = HOME_CLINIC) -> Box | None:
        """Give one of a clinic's boxes, or None."""
        query = _boxes().where(STOCK.c.clinic_id == clinic_id, STOCK.c.item_id == item_id)
        with store_errors(), self._reader.connect() as connection:
            row = connection.execute(query).first()
            return None if row is None else _box(row)

    def life(self, item_id: UUID, *, clinic_id: UUID = HOME_CLINIC) -> Sequence[LifeEvent]:
        """Give what happened to a box, the oldest first.

        Raises:
            UsageError: no such box.
        """
        if self.box(item_id, clinic_id=clinic_id) is None:
            raise UsageError(_NO_BOX)
        with store_errors(), self._reader.connect() as connection:
            return stock_life.life_of(connection, item_id)

    def enter(self, boxes: Sequence[NewBox], *, clinic_id: UUID = HOME_CLINIC, actor: str | None = None) -> list[UUID]:
        """Enter boxes, all or none; codes are made later, one by one, when a box is packed.

        Raises:
            UsageError: a text is too long or cannot be printed, or a sensor is another box's; the text names the box.
        """
        now, by, ids = datetime.now(UTC), actor or self._actor, []
        with store_errors(), self._writer.begin() as connection:
            _alone(connection, clinic_id)
            for number, new in enumerate(boxes, 1):
                item_id = uuid4()
                try:
                    _enter(connection, item_id, new, clinic_id=clinic_id, by=by, at=now)
                except UsageError as error:
                    raise UsageError(
                        f"box {number} ({new.label or new.serial or 'without a label'}): {error}"
                    ) from error
                ids.append(item_id)
            entries = [Entry(clinic_id, by, Action.BOX_ENTERED, "box", str(item_id)) for item_id in ids]
            audit_log.append(connection, entries, at=now)
        return ids

    def move(
        self,
        item_id: UUID,
        to: BoxState,
        reason: str = "",
        *,
        clinic_id: UUID = HOME_CLINIC,
        wipe_first: bool = False,
        by_hand: bool = False,
        actor: str | None = None,
    ) -> Box:
        """Let a box come to another state, with all that follows; see the head of this module.

        Args:
            item_id: the box.
            to: the state.
            reason: why; needed for ``lost`` and ``retired``, and where it was cleaned by hand.
            clinic_id: whose box.
            wipe_first: a lost kit's keys count on, so that the wipe can reach it.
            by_hand: it was cleaned at the table: there is no receipt of a wipe.
            actor: who.

        Raises:
            UsageError: no such box, a state that does not follow, no reason, or a kit that is not wiped yet.
        """
        reason = _reason(reason)
        now, by = datetime.now(UTC), actor or self._actor
        with store_errors(), self._writer.begin() as connection:
            box = self._hold(connection, item_id, clinic_id)
            check_move(BoxState(box.state), to)
            if not reason and (to in {BoxState.LOST, BoxState.RETIRED} or by_hand):
                raise UsageError("say why: it stays in the box's history")
            if to is BoxState.CLEANED and box.kit_id is not None and not by_hand:
                _check_wiped(connection, box)
            patient_id = _take(connection, box, now) if to in {BoxState.LOST, BoxState.RETURNED} else None
            stock_life.note(connection, box, to, by=by, at=now, reason=reason, patient_id=patient_id)
            if box.kit_id is not None:
                self._follow(connection, box, to, by=by, at=now, reason=reason, wipe_first=wipe_first)
            detail = {"from": box.state, "to": to.value}
            entry = Entry(clinic_id, by, Action.BOX_MOVED, "box", str(item_id), reason, detail)
            audit_log.append(connection, [entry], at=now)
        moved = self.box(item_id, clinic_id=clinic_id)
        if moved is None:
            raise UsageError(_NO_BOX)
        return moved

    def name_sensors(
        self,
        item_id: UUID,
        thigh: str,
        shank: str,
        reason: str = "",
        *,
        clinic_id: UUID = HOME_CLINIC,
        actor: str | None = None,
    ) -> None:
        """Say which sensors are in a box; its kit is told, and connects to no others.

        Raises:
            UsageError: no such box, no address, one sensor twice, or one that is in another box.
        """
        reason = _reason(reason)
        now, by = datetime.now(UTC), actor or self._actor
        with store_errors(), self._writer.begin() as connection:
            _alone(connection, clinic_id)
            box = self._hold(connection, item_id, clinic_id)
            if box.state == BoxState.RETIRED.value:
                raise UsageError("this box is retired, for good")
            allowed = _sensors(connection, clinic_id, item_id, thigh, shank)
            what = BoxEvent.SENSORS_NAMED if box.thigh_sensor is None else BoxEvent.SENSOR_SWAPPED
            values = {"thigh_sensor": allowed.thigh, "shank_sensor": allowed.shank}
            connection.execute(update(STOCK).where(STOCK.c.item_id == item_id).values(values))
            patient_id = None if box.kit_id is None else _bound_to(connection, box.kit_id)
            stock_life.note(connection, box, what, by=by, at=now, reason=reason, patient_id=patient_id)
            if box.kit_id is not None:
                down.queue(connection, box.kit_id, allowed, actor=by, now=now)
            entry = Entry(clinic_id, by, Action.BOX_SENSORS, "box", str(item_id), reason, values)
            audit_log.append(connection, [entry], at=now)

    def _hold(self, connection: Connection, item_id: UUID, clinic_id: UUID) -> Row[Any]:
        """Hold the box's kit, then the box: whoever binds a kit goes the same way."""
        kit_id = connection.execute(select(STOCK.c.kit_id).where(STOCK.c.item_id == item_id)).scalar_one_or_none()
        if kit_id is not None:
            lock_kits(connection, [kit_id], to_change=True)
        box = stock_life.hold(connection, item_id)
        if box is None or box.clinic_id != clinic_id:
            raise UsageError(_NO_BOX)
        if box.kit_id != kit_id:
            raise UsageError("this box was just claimed: look at it again")
        return box

    def _follow(
        self,
        connection: Connection,
        box: Row[Any],
        to: BoxState,
        *,
        by: str,
        at: datetime,
        reason: str,
        wipe_first: bool,
    ) -> None:
        """Do to the kit what its box's new state asks for."""
        known = kit_keys.keys_of(connection, box.kit_id)
        listens = not known or any(key.state is not KeyState.REVOKED for key in known)
        if listens and (to is BoxState.RETURNED or (to is BoxState.LOST and wipe_first)):
            wipe = Wipe(do="wipe", at_once=to is BoxState.LOST)
            down.queue(connection, box.kit_id, wipe, actor=by, now=at)
        elif to is BoxState.RETIRED or to is BoxState.LOST:
            ended = kit_keys.revoke(connection, box.kit_id, reason=f"{to}: {reason}"[:500], at=at)
            if ended:
                entry = Entry(
                    box.clinic_id, by, Action.KEYS_REVOKED, "kit", box.kit_id, f"{to}: {reason}"[:500], {"keys": ended}
                )
                audit_log.append(connection, [entry], at=at)


def _boxes() -> Any:  # noqa: ANN401 - SQLAlchemy's
    names = ("item_id", "label", "serial", "kit_id", "state", "thigh_sensor", "shank_sensor", "changed_at")
    bindings, keys = KIT_BINDINGS.c, KIT_KEYS.c
    now = datetime.now(UTC)
    bound = exists().where(
        bindings.kit_id == STOCK.c.kit_id,
        bindings.bound_from <= now,
        or_(bindings.bound_to.is_(None), bindings.bound_to > now),
    )
    counts = exists().where(keys.kit_id == STOCK.c.kit_id, keys.state != KeyState.REVOKED.value)
    return select(*(STOCK.c[name] for name in names), bound.label("bound"), counts.label("may_connect"))


def _box(row: Row[Any]) -> Box:
    values = row._asdict()
    flags = {name: bool(values[name]) for name in ("bound", "may_connect")}
    return Box(**(values | flags | {"state": BoxState(row.state)}))


def _alone(connection: Connection, clinic_id: UUID) -> None:
    """Let nobody else name sensors in this clinic until the transaction ends; SQLite's one writer is alone anyway."""
    connection.execute(select(CLINICS.c.clinic_id).where(CLINICS.c.clinic_id == clinic_id).with_for_update())


def _enter(connection: Connection, item_id: UUID, new: NewBox, *, clinic_id: UUID, by: str, at: datetime) -> None:
    label, serial = _text(new.label, 200, "label"), _text(new.serial, 100, "serial number")
    sensors: AllowSensors | None = None
    if new.thigh_sensor or new.shank_sensor:
        sensors = _sensors(connection, clinic_id, item_id, new.thigh_sensor, new.shank_sensor)
    row = {"item_id": item_id, "clinic_id": clinic_id, "label": label, "serial": serial, "kit_id": None}
    named = {"thigh_sensor": sensors.thigh if sensors else None, "shank_sensor": sensors.shank if sensors else None}
    connection.execute(insert(STOCK).values(row | named | {"state": BoxState.IN_STOCK.value, "changed_at": at}))
    box = stock_life.hold(connection, item_id)
    if box is not None:
        stock_life.note(connection, box, BoxEvent.ENTERED, by=by, at=at)


def _sensors(connection: Connection, clinic_id: UUID, item_id: UUID, thigh: str, shank: str) -> AllowSensors:
    try:
        allowed = AllowSensors(do="sensors", thigh=thigh.strip().upper(), shank=shank.strip().upper())
    except ValidationError as error:
        raise UsageError(
            "give the addresses of two sensors, thigh and shank, as `gonio gateway scan` prints them"
        ) from error
    named = [allowed.thigh, allowed.shank]
    columns = STOCK.c
    other = connection.execute(
        select(columns.label, columns.thigh_sensor, columns.shank_sensor)
        .where(
            columns.clinic_id == clinic_id,
            columns.item_id != item_id,
            columns.state != BoxState.RETIRED.value,
            or_(func.upper(columns.thigh_sensor).in_(named), func.upper(columns.shank_sensor).in_(named)),
        )
        .limit(1)
    ).first()
    if other is not None:
        taken = next(name for name in named if name in {other.thigh_sensor, other.shank_sensor})
        raise UsageError(
            f"sensor {taken} is in another box ({other.label or 'without a label'}): name another there first"
        )
    return allowed


def _text(text: str, most: int, what: str) -> str:
    text = text.strip()
    if len(text) > most or not (text.isprintable() or not text):
        raise UsageError(f"a {what} has at most {most} printable characters")
    return text


def _reason(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_REASON or not (text.isprintable() or not text):
        raise UsageError(f"a reason has at most {MAX_REASON} printable characters, on one line")
    return text


def _bound_to(connection: Connection, kit_id: str) -> UUID | None:
    columns = KIT_BINDINGS.c
    found: UUID | None = connection.execute(
        select(columns.patient_id).where(and_(columns.kit_id == kit_id, columns.bound_to.is_(None)))
    ).scalar_one_or_none()
    return found


def _take(connection: Connection, box: Row[Any], at: datetime) -> UUID | None:
    """Take the box's kit from whoever has it; gives who that was."""
    if box.kit_id is None:
        return None
    patient_id = _bound_to(connection, box.kit_id)
    if patient_id is not None:
        admin.unbind_kit(connection, box.kit_id, at=at)
    return patient_id


def _check_wiped(connection: Connection, box: Row[Any]) -> None:
    """Refuse to call a kit clean whose receipt for a wipe since its return is not here."""
    returned = [line.at for line in stock_life.life_of(connection, box.item_id) if line.what is BoxState.RETURNED]
    since_ms = int(returned[-1].timestamp() * 1000) if returned else 0
    for row in down.rows_of(connection, box.kit_id):
        # the time in a UUIDv7 is its first 48 bits, ms (RFC 9562)
        if (
            row.state is down.DownState.APPLIED
            and row.envelope.record_id.int >> 80 >= since_ms
            and isinstance(read_down(row.envelope), Wipe)
        ):
            return
    raise UsageError(
        "this kit has not said yet that it is wiped: switch it on where it has a network and wait, or say that it was "
        "cleaned by hand (--by-hand), and how"
    )
