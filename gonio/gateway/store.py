"""What a kit must never lose: who it is, which sensors it wears, its open sessions and its outbox.

A record and its outbox row are written in one transaction, with the next number of a gapless sequence, and the same
transaction removes the journal of the session that it closes. So at every moment, whatever was killed, a session is
either in the journal or in the outbox, once.

Every method is one blocking transaction; from a coroutine call it with ``asyncio.to_thread``. Methods may be called
from several threads.
"""

import sqlite3
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

from gonio.gateway import compaction, inbox, notes, outbox, sessions_kept
from gonio.gateway.calibrations import KeptCalibration, Mounting, calibration_text, read_calibration
from gonio.gateway.database import DirectoryLock
from gonio.gateway.ended import ended_outboxes
from gonio.gateway.handle import StoreHandle
from gonio.gateway.keyfile import KeySource
from gonio.gateway.records import (
    Capture,
    DatabaseSize,
    Draft,
    OpenSession,
    OutboxCounts,
    OutboxHead,
    PairedSensor,
    Priority,
    RejectedRecord,
)
from gonio.identity.signatures import sign
from gonio.messages import Ack, DownEnvelope, DownKind, EndedOutbox, Envelope, Kind, Program
from gonio.signal.consts import Segment


class KitStore(StoreHandle):
    """The kit's durable state; a context manager. Make it with :meth:`open` or :meth:`peek`."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: DirectoryLock | None = None,
        keys: KeySource | None = None,
    ) -> None:
        """Take over an open database; without lock and keys it is for reading only."""
        super().__init__(path, connection, lock, keys)
        self._listeners: list[Callable[[], None]] = []

    # --- pairing -----------------------------------------------------------------------------------------------------

    def pair(self, sensors: Iterable[PairedSensor]) -> None:
        """Let these sensors, and no others, belong to the leg."""
        rows = [(s.segment, s.address, s.family, s.name) for s in sensors]
        with self._transaction() as db:
            db.execute("DELETE FROM sensor")
            db.executemany("INSERT INTO sensor VALUES (?, ?, ?, ?)", rows)

    def pairing(self) -> Mapping[Segment, PairedSensor]:
        """Give the sensors that belong to the leg."""
        with self._reading() as db:
            rows = db.execute("SELECT segment, address, family, name FROM sensor").fetchall()
        return {row[0]: PairedSensor(*row) for row in rows}

    # --- calibrations ------------------------------------------------------------------------------------------------

    def calibration(self, mounting: Mounting) -> KeptCalibration | None:
        """Give what is kept for two sensors on a leg; None when nothing is, or what is there cannot be read."""
        with self._reading() as db:
            row = db.execute(
                "SELECT calibration, taken_at, record_id FROM calibration WHERE thigh = ? AND shank = ? AND side = ?",
                _mounting_key(mounting),
            ).fetchone()
        if row is None:
            return None
        try:
            return KeptCalibration(read_calibration(row[0]), datetime.fromisoformat(row[1]), uuid.UUID(row[2]))
        except ValueError:  # of another version: the next session finds a new one
            return None

    def keep_calibration(self, mounting: Mounting, kept: KeptCalibration | None) -> None:
        """Keep a calibration in place of what was kept for these sensors and leg; None forgets it.

        Raises:
            StoreWriteError: the disk did not take it; what was there stays.
        """
        key = _mounting_key(mounting)
        with self._transaction() as db:
            db.execute("DELETE FROM calibration WHERE thigh = ? AND shank = ? AND side = ?", key)
            if kept is not None:
                text, taken_at = calibration_text(kept.calibration), kept.taken_at.isoformat()
                db.execute(
                    "INSERT INTO calibration VALUES (?, ?, ?, ?, ?, ?)", (*key, text, taken_at, str(kept.record_id))
                )

    # --- journal -----------------------------------------------------------------------------------------------------

    def journal(
        self,
        session: OpenSession,
        *,
        first_rep: int = 1,
        first_point: int = 0,
    ) -> None:
        """Commit how far a session has come; opens it in the journal if it is not there yet.

        Args:
            session: its head, and the repetitions and curve points that are new since the last call.
            first_rep: number of the first of ``session.reps``, from 1.
            first_point: index of the first of ``session.curve``.

        Raises:
            StoreWriteError: the disk did not take it; nothing of this call is written.
        """
        self._insist(lambda db: sessions_kept.journal(db, session, first_rep, first_point))

    def open_session_ids(self) -> list[uuid.UUID]:
        """Name the sessions in the journal, oldest first."""
        with self._reading() as db:
            return sessions_kept.open_ids(db)

    def open_session(self, record_id: uuid.UUID) -> OpenSession:
        """Give all that the journal knows of a session.

        Raises:
            KeyError: it is not in the journal.
            ValueError: what is there cannot be read (pydantic's ValidationError).
        """
        with self._reading() as db:
            return sessions_kept.read(db, record_id)

    # --- outbox ------------------------------------------------------------------------------------------------------

    def commit(self, draft: Draft, *, closes: uuid.UUID | None = None) -> Envelope:
        """Put a record into the outbox, under the next number of the sequence.

        Doing it again with the same ``record_id`` gives the record that is there: a caller who does not know
        whether a commit succeeded may repeat it.

        Args:
            draft: the record.
            closes: the journalled session that this record is the end of.

        Raises:
            StoreWriteError: the disk did not take it; nothing is written and no number is used up.
            ValueError: the record would not be accepted on the wire (pydantic's ValidationError); likewise.
        """

        def write(db: sqlite3.Connection) -> Envelope:
            envelope = outbox.stored(db, self.kit_id, draft.record_id) or outbox.insert(db, self._signer(db), draft)
            if closes is not None:
                sessions_kept.forget(db, closes)
            if draft.kind is Kind.RECEIPT:
                inbox.note_receipt(db, draft)
            if draft.kind is Kind.PREFERENCE:
                notes.mind_sharing(db, draft.payload)
            return envelope

        envelope = self._insist(write)
        self._tell_listeners()
        return envelope

    def signed(self, envelope: Envelope) -> Envelope:
        """Give a record of the kit's that is kept nowhere, signed: its health."""
        return sign(envelope, self.signing_key)

    def _tell_listeners(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function, in the committing thread, after each record committed; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def pending(self, limit: int, most: Priority = Priority.BULK) -> list[int]:
        """Give the numbers of records that wait for the clinic's word: urgent ones first, then the oldest.

        Args:
            limit: how many at most.
            most: the last priority that is wanted; while the patient shares nothing only what is urgent is.
        """
        with self._reading() as db:
            return outbox.pending(
                db, limit, Priority.URGENT if most > Priority.URGENT and notes.shares_nothing(db) else most
            )

    def numbered(self, numbers: Collection[int]) -> list[tuple[int, Envelope]]:
        """Give records with their numbers, in the order asked; a number that nothing has is passed over."""
        with self._reading() as db:
            return outbox.numbered(db, self.kit_id, numbers)

    def envelopes(self, numbers: Collection[int]) -> list[Envelope]:
        """Give records by their numbers, likewise."""
        return [envelope for _, envelope in self.numbered(numbers)]

    def record(self, record_id: uuid.UUID) -> Envelope | None:
        """Give a record by its id; None where there is none, or none any more."""
        with self._reading() as db:
            return outbox.stored(db, self.kit_id, record_id)

    def newest(self, limit: int) -> list[tuple[Envelope, str]]:
        """Give the newest records, the newest first, each with its state: pending, acknowledged or rejected."""
        with self._reading() as db:
            return outbox.newest(db, self.kit_id, limit)

    def of_kinds(self, kinds: Collection[Kind], after: int = 0) -> list[tuple[int, Envelope, str]]:
        """Give the records of some kinds with their numbers and states, oldest first.

        Args:
            kinds: which.
            after: only those with a larger number.
        """
        with self._reading() as db:
            return outbox.of_kinds(db, self.kit_id, kinds, after)

    def states(self, record_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
        """Give the state of records, pending, acknowledged or rejected; those that are not here are left out."""
        with self._reading() as db:
            return outbox.states(db, record_ids)

    def note(self, name: str) -> str | None:
        """Give what the kit has noted for itself under a name, or None."""
        with self._reading() as db:
            return notes.read(db, name)

    def keep_note(self, name: str, value: str) -> None:
        """Note something in place of what was noted under that name; a wiped kit forgets it.

        Raises:
            StoreWriteError: the disk did not take it; what was there stays.
        """
        with self._transaction() as db:
            notes.keep(db, name, value)

    def count_resends(self, numbers: Iterable[int]) -> None:
        """Note that these records had to be sent once more."""
        with self._transaction() as db:
            outbox.count_resends(db, numbers)

    def settle(self, acks: Iterable[Ack]) -> list[int]:
        """Take the clinic's word on records; gives the numbers that are settled by it (again or anew).

        A refused record stays, with the reason. "stored" has the last word: a record that the clinic has is not
        refused by an older answer that comes late. Ids that are not ours are passed over.
        """
        words = tuple(acks)
        return self._insist(lambda db: outbox.settle(db, words))

    def counts(self) -> OutboxCounts:
        """Count the records by state."""
        with self._reading() as db:
            return outbox.counts(db)

    def head(self) -> OutboxHead:
        """Tell how far the outbox that takes new records has come."""
        with self._reading() as db:
            return outbox.head(db)

    def ended(self) -> tuple[EndedOutbox, ...]:
        """Give the outboxes that ended because the database was damaged, newest first."""
        with self._reading() as db:
            return ended_outboxes(db)

    def rejected(self) -> list[RejectedRecord]:
        """Give the records that the clinic refused, oldest first, with its reasons."""
        with self._reading() as db:
            return outbox.rejected(db)

    # --- disk --------------------------------------------------------------------------------------------------------

    def size(self, since: str) -> DatabaseSize:
        """Tell how large the database is.

        Args:
            since: a day, as ISO 8601 has it, from which on records count as recent.
        """
        with self._reading() as db:
            return compaction.size(db, since)

    def stamp_acknowledged(self, now_s: int) -> None:
        """Note of acknowledged records that they are so now, s since 1970 by a clock that can be trusted."""
        self._insist(lambda db: compaction.stamp(db, now_s))

    def drop_older(self, before_s: int) -> int:
        """Delete some records that were acknowledged before a moment; gives how many, 0 when none is left."""
        return self._insist(lambda db: compaction.drop_older(db, before_s))

    def drop_oldest(self) -> int:
        """Delete some of the oldest acknowledged records; gives how many, 0 when none may be deleted."""
        return self._insist(compaction.drop_oldest)

    def give_back_pages(self, *, rebuild: bool) -> None:
        """Give the database's free pages back to the disk.

        Args:
            rebuild: a database that cannot do so yet may be rebuilt once; that takes its size on the disk again.
        """
        with self._reading() as db:
            compaction.give_back_pages(db, rebuild=rebuild)

    def restore_reserve(self) -> bool:
        """Set the reserve aside where it is not; False where the disk has no room for it."""
        with self._mutex:
            return self._reserve.restore()

    # --- inbox -------------------------------------------------------------------------------------------------------

    def receive(self, envelopes: Sequence[DownEnvelope], capture: Capture) -> list[DownEnvelope]:
        """Take what the clinic sent, each with its receipt, in one transaction.

        One that is here already is answered again and changes nothing. A ``resend`` is carried out at once, a program
        is in force on its days; what cannot be read is kept, and answered ``refused`` with the reason. A kit that a
        clinic has claimed likewise refuses what that clinic has not signed, and keeps it apart, see ``forged``.

        Args:
            envelopes: the records.
            capture: this moment.

        Returns:
            Those that are new and can be read, in the order of their sequence.

        Raises:
            StoreWriteError: the disk did not take it; nothing is written, and the clinic sends it again.
        """
        with self._transaction() as db:
            who = self._signer(db)
            new = [envelope for envelope in envelopes if inbox.receive(db, who, envelope, capture)]
        self._tell_listeners()
        return sorted(new, key=lambda envelope: envelope.sequence)

    def answer(self, record_id: uuid.UUID, state: inbox.State, capture: Capture, *, reason: str | None = None) -> bool:
        """Tell the clinic what became of a record of its: applied, read, or refused with the reason.

        Returns:
            False when that had been told, or something that goes further.

        Raises:
            KeyError: the clinic sent no such record.
            StoreWriteError: the disk did not take it.
        """
        with self._transaction() as db:
            new = inbox.answer(db, self._signer(db), record_id, state, reason, capture)
        self._tell_listeners()
        return new

    def clinic_records(self, kind: DownKind) -> list[inbox.InboxRecord]:
        """Give what the clinic sent of a kind, oldest first."""
        with self._reading() as db:
            return inbox.records(db, self.kit_id, kind)

    def forged(self) -> list[inbox.Forged]:
        """Give what came in the clinic's name without its signature, oldest first."""
        with self._reading() as db:
            return inbox.forged(db)

    def inbox_gaps(self) -> list[inbox.InboxGap]:
        """Name the numbers of the clinic's that have not arrived, though later ones have."""
        with self._reading() as db:
            return inbox.gaps(db)

    def program_on(self, day: date) -> Program | None:
        """Give the program that is in force on a day; None where there is none."""
        with self._reading() as db:
            return inbox.program_on(db, self.kit_id, day)


def _mounting_key(mounting: Mounting) -> tuple[str, str, str]:
    return (mounting.thigh.upper(), mounting.shank.upper(), mounting.side)
