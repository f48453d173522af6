"""The durable queue of one projection, and where its points stand; each call is one transaction.

A projection begins with the records that are in the book already (stage *filling*: queued some at a time, so that the
queue stays short) while the intake queues new ones. A rebuild takes all points away first (*clearing*), or begins in
another bucket (*moved*). Each stage is on disk, so that a process that is killed goes on where it was.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)

from gonio.cloud_sink import audit_log
from gonio.cloud_sink.audit_log import Action, Entry
from gonio.cloud_sink.bulk import Row, in_slices, insert_rows
from gonio.cloud_sink.engine import reader, store_errors, writer
from gonio.cloud_sink.projection.marks import MARK_ANEW, PROJECTED, SeenHealth
from gonio.cloud_sink.projection.points import Drawn
from gonio.cloud_sink.projection.state import Queued, Wanted, wanted
from gonio.cloud_sink.schema import HOME_CLINIC, KIT_HEALTH, RECORDS
from gonio.cloud_sink.schema_projection import PROJECTION_PLACES, PROJECTION_QUEUE, PROJECTIONS
from gonio.errors import UsageError
from gonio.messages import Kind

Stage: TypeAlias = Literal["moved", "clearing", "filling", "ready"]

#: Records queued at once while filling: a short transaction on either store.
FILL_SLICE: Final = 2_000
MAX_REASON: Final = 400  # below what the column takes

_FIRST_ID: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record's points stand; see `schema_projection.PROJECTION_PLACES`."""

    record_id: UUID
    kit_id: str
    kind: str
    place: bytes
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Work:
    """A round's worth: what is queued, what its points must be, where they stood."""

    queued: tuple[Queued, ...]
    wanted: Mapping[UUID, tuple[str, Wanted]]
    places: Mapping[UUID, Place]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is left: rows that wait, and rows that the server or we refused."""

    waiting: int
    refused: int


class ProjectionQueue:
    """The queue of the projection of one name."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._reader = reader(engine)
        self._writer = writer(engine)
        self._name = name

    # --- the projection itself ---

    def register(self, target: str, *, rebuild: bool, actor: str) -> None:
        """Make the projection known to the intake, or begin it anew.

        Args:
            target: where its points go, as people read it.
            rebuild: whether to begin anew; then the target may be another.
            actor: who asks, for the audit log.

        Raises:
            UsageError: it was begun in another target.
        """
        with store_errors(), self._writer.begin() as connection:
            # every open transaction of intake has asked who is registered (and is waited for here) or will ask later
            # (and waits for us): so a record is queued by its own transaction, or is in the book before the filling
            if connection.dialect.name == "postgresql":
                connection.execute(text("LOCK TABLE projections IN ACCESS EXCLUSIVE MODE"))
            columns = PROJECTIONS.c
            known = connection.execute(select(columns.target).where(columns.projection == self._name)).scalar()
            if known is None:
                row = {
                    "projection": self._name,
                    "clinic_id": HOME_CLINIC,
                    "target": target,
                    "stage": "clearing" if rebuild else "filling",
                    "filled_to": None,
                    "registered_at": datetime.now(UTC),
                }
                connection.execute(insert(PROJECTIONS).values(row))
            elif rebuild:
                stage: Stage = "clearing" if known == target else "moved"
                self._set(connection, target=target, stage=stage, filled_to=None)
            elif known != target:
                raise UsageError(
                    f"the projection {self._name!r} goes to {known}: to fill {target} in its place add --rebuild, "
                    "to fill both give this one another --name"
                )
            if rebuild:
                entry = Entry(HOME_CLINIC, actor, Action.PROJECTION_REBUILT, "store", "projection")
                audit_log.append(connection, [entry])

    def forget(self) -> bool:
        """Take the projection out: the intake queues nothing for it any more. Tell whether it was there."""
        with store_errors(), self._writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("LOCK TABLE projections IN ACCESS EXCLUSIVE MODE"))
            for table in (PROJECTION_QUEUE, PROJECTION_PLACES):
                connection.execute(delete(table).where(table.c.projection == self._name))
            gone = connection.execute(delete(PROJECTIONS).where(PROJECTIONS.c.projection == self._name))
            return gone.rowcount > 0

    def stage(self) -> Stage:
        """Tell how far it is.

        Raises:
            UsageError: it was taken out meanwhile.
        """
        with store_errors(), self._reader.connect() as connection:
            return self._stage(connection)[0]

    def cleared(self) -> None:
        """Note that the target has no points any more: all of the book is queued again."""
        with store_errors(), self._writer.begin() as connection:
            places = PROJECTION_PLACES.c
            connection.execute(delete(PROJECTION_PLACES).where(places.projection == self._name))
            columns = PROJECTION_QUEUE.c
            connection.execute(
                update(PROJECTION_QUEUE)
                .where(columns.projection == self._name, columns.due_at.is_(None))
                .values(due_at=datetime.now(UTC), reason=None)
            )
            self._set(connection, stage="filling", filled_to=None)

    def fill(self) -> bool:
        """Queue the next records that were in the book before; tell whether there may be more."""
        with store_errors(), self._writer.begin() as connection:
            stage, filled_to = self._stage(connection)
            if stage != "filling":
                return False
            after = RECORDS.c.record_id > (filled_to or _FIRST_ID)
            ids = self._queue(connection, self._records().where(after).limit(FILL_SLICE))
            if ids:
                self._set(connection, filled_to=ids[-1])
                return True
            self._queue_health(connection)
            self._set(connection, stage="ready", filled_to=None)
            return False

    # --- a round ---

    def take(self, limit: int) -> Work:
        """Give what is due, the longest waiting first, as of one moment of the book; nothing is changed by it."""
        columns = PROJECTION_QUEUE.c
        with store_errors(), self._reader.connect() as connection:
            rows = connection.execute(
                select(columns.record_id, columns.clinic_id, columns.kind, columns.ticket, columns.content)
                .where(columns.projection == self._name, columns.due_at.is_not(None))
                .order_by(columns.due_at, columns.record_id)
                .limit(limit)
            )
            queued = tuple(Queued(*row) for row in rows)
            places = self._places(connection, [row.record_id for row in queued])
            return Work(queued, wanted(connection, queued), places)

    def place(self, moved: Sequence[Place], standing: Mapping[Queued, tuple[str, Drawn]]) -> None:
        """Note where points will stand, before they are written.

        Args:
            moved: places whose points have been taken away. What else of the kit stood in the same span of time may
                have gone with them, so it is queued again.
            standing: what will be written, with each one's kit.
        """
        with store_errors(), self._writer.begin() as connection:
            columns = PROJECTION_PLACES.c
            for place in moved:
                connection.execute(
                    delete(PROJECTION_PLACES).where(
                        columns.projection == self._name, columns.record_id == place.record_id
                    )
                )
            for place in moved:
                overlapping = select(columns.record_id).where(
                    columns.projection == self._name,
                    columns.kit_id == place.kit_id,
                    columns.first_ns <= place.last_ns,
                    columns.last_ns >= place.first_ns,
                )
                self._queue(connection, self._records().where(RECORDS.c.record_id.in_(overlapping)))
            rows: list[Row] = [
                {
                    "projection": self._name,
                    "record_id": queued.record_id,
                    "clinic_id": queued.clinic_id,
                    "kit_id": kit_id,
                    "kind": queued.kind,
                    "place": drawn.place,
                    "first_ns": drawn.first_ns,
                    "last_ns": drawn.last_ns,
                }
                for queued, (kit_id, drawn) in standing.items()
            ]
            insert_rows(connection, PROJECTION_PLACES, rows, "ON CONFLICT DO NOTHING")

    def settle(self, done: Iterable[Queued], refused: Mapping[Queued, str]) -> None:
        """Take away what is done, and set aside what was refused, unless it was marked again meanwhile."""
        columns = PROJECTION_QUEUE.c
        same = and_(
            columns.projection == self._name,
            columns.record_id == bindparam("its_id"),
            columns.ticket == bindparam("its_ticket"),
        )
        set_aside: Row = {"due_at": None, "reason": bindparam("why")}
        finished = [{"its_id": row.record_id, "its_ticket": row.ticket} for row in sorted(done, key=_by_id)]
        failed = [
            {"its_id": row.record_id, "its_ticket": row.ticket, "why": refused[row][:MAX_REASON]}
            for row in sorted(refused, key=_by_id)
        ]
        with store_errors(), self._writer.begin() as connection:
            if finished:
                connection.execute(delete(PROJECTION_QUEUE).where(same), finished)
            if failed:
                connection.execute(update(PROJECTION_QUEUE).where(same).values(set_aside), failed)

    def backlog(self) -> Backlog:
        """Count what is left."""
        columns = PROJECTION_QUEUE.c
        with store_errors(), self._reader.connect() as connection:
            waiting, refused = connection.execute(
                select(func.count(columns.due_at), func.count(columns.reason)).where(columns.projection == self._name)
            ).one()
            return Backlog(waiting, refused)

    def refused(self, limit: int) -> list[tuple[UUID, str]]:
        """Name some of what was refused, with the reason."""
        columns = PROJECTION_QUEUE.c
        with store_errors(), self._reader.connect() as connection:
            rows = connection.execute(
                select(columns.record_id, columns.reason)
                .where(columns.projection == self._name, columns.reason.is_not(None))
                .order_by(columns.record_id)
                .limit(limit)
            )
            return [(record_id, reason) for record_id, reason in rows]

    # --- within a transaction ---

    def _stage(self, connection: Connection) -> tuple[Stage, UUID | None]:
        columns = PROJECTIONS.c
        row = connection.execute(
            select(columns.stage, columns.filled_to).where(columns.projection == self._name)
        ).one_or_none()
        if row is None:
            raise UsageError(f"there is no projection {self._name!r}: it was taken out with --forget")
        return row.stage, row.filled_to

    def _set(self, connection: Connection, **values: object) -> None:
        connection.execute(update(PROJECTIONS).where(PROJECTIONS.c.projection == self._name).values(**values))

    def _mine(self, clinic: ColumnElement[UUID]) -> list[ColumnElement[bool]]:
        mine = select(PROJECTIONS.c.clinic_id).where(PROJECTIONS.c.projection == self._name).scalar_subquery()
        return [clinic == mine]

    def _places(self, connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Place]:
        columns = PROJECTION_PLACES.c
        query = select(
            columns.record_id, columns.kit_id, columns.kind, columns.place, columns.first_ns, columns.last_ns
        ).where(columns.projection == self._name)
        rows = in_slices(ids, lambda some: connection.execute(query.where(columns.record_id.in_(some))))
        return {row[0]: Place(*row) for row in rows}

    def _records(self) -> Select[Any]:
        columns = RECORDS.c
        return (
            select(literal(self._name).label("projection"), columns.record_id, columns.clinic_id, columns.kind)
            .where(columns.kind.in_(sorted(PROJECTED)), *self._mine(columns.clinic_id))
            .order_by(columns.record_id)
        )

    def _queue(self, connection: Connection, records: Select[Any]) -> list[UUID]:
        stamp: Row = {"ticket": uuid.uuid4(), "due_at": datetime.now(UTC), "reason": None, "content": None}
        rows = [dict(row) | stamp for row in connection.execute(records).mappings()]
        insert_rows(connection, PROJECTION_QUEUE, rows, MARK_ANEW)
        return [row["record_id"] for row in rows]

    def _queue_health(self, connection: Connection) -> None:
        columns = KIT_HEALTH.c
        rows = connection.execute(select(KIT_HEALTH).where(*self._mine(columns.clinic_id)).order_by(columns.record_id))
        stamp: Row = {
            "projection": self._name,
            "kind": Kind.HEALTH.value,
            "ticket": uuid.uuid4(),
            "due_at": datetime.now(UTC),
            "reason": None,
        }
        queued = [
            stamp
            | {
                "record_id": row["record_id"],
                "clinic_id": row["clinic_id"],
                "content": SeenHealth(row["kit_id"], row["as_of"], row["payload"]).to_text(),
            }
            for row in rows.mappings()
        ]
        insert_rows(connection, PROJECTION_QUEUE, queued, MARK_ANEW)


def _by_id(queued: Queued) -> UUID:
    return queued.record_id
