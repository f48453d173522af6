"""What the pages read from the clinic's book; ``cloud_sink.store.Store`` gives it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

from gonio.cloud_sink.audit_log import LogCheck
from gonio.cloud_sink.kit_days import KitDays
from gonio.cloud_sink.model import PatientRow, SessionRow
from gonio.cloud_sink.overview import KitState
from gonio.cloud_sink.proof import Refusal
from gonio.cloud_sink.said import CheckInRow, VoidRow


class ProofBook(Protocol):
    """What the pages of completeness read; ``cloud_sink.proof.Proof`` gives it."""

    def states(self, kit_id: str | None = None, /) -> Sequence[KitState]:
        """Look at all kits, or at one."""
        ...

    def late(self, kits: Sequence[str], /) -> Mapping[str, int]:
        """Count of some kits the records that came late."""
        ...

    def sources(self, kits: Sequence[str], /) -> Mapping[str, frozenset[str]]:
        """Tell which sources the sessions of some kits have beside real sensors."""
        ...

    def days(self, kit_id: str, /) -> KitDays:
        """Look at one kit day by day."""
        ...

    def refusals(self, kit_id: str | None = None, /, *, limit: int = 100) -> Sequence[Refusal]:
        """Give what was refused, the latest first."""
        ...

    def log(self) -> LogCheck:
        """Verify the audit log."""
        ...


class Book(Protocol):
    """The reading side of a store; every method may block and raise a GonioError."""

    def patients(self) -> Sequence[PatientRow]:
        """List the patients."""
        ...

    def patient(self, patient_id: UUID, /) -> PatientRow | None:
        """Give one patient."""
        ...

    def sessions(
        self, patient_id: UUID, /, *, limit: int = 100, before: datetime | None = None
    ) -> Sequence[SessionRow]:
        """List a patient's sessions captured before a moment, newest first."""
        ...

    def session(self, record_id: UUID, /) -> SessionRow | None:
        """Give one session."""
        ...

    @property
    def proof(self) -> ProofBook:
        """What the book can say for itself."""
        ...


class ClinicBook(Book, Protocol):
    """What one clinic may read, and where is noted what was; ``cloud_sink.clinic_book.ClinicBook`` gives it."""

    def check_ins(
        self, patient_id: UUID, /, *, limit: int = 100, before: datetime | None = None
    ) -> Sequence[CheckInRow]:
        """List what a patient said before a moment, newest first."""
        ...

    def struck_out(self, record_ids: Collection[UUID], /) -> Mapping[UUID, Sequence[VoidRow]]:
        """Say which of some sessions are struck out, and why."""
        ...

    def data_days(self, first: date, last: date, /) -> Mapping[UUID, int]:
        """Count the patients' data days from one date to another, inclusive."""
        ...

    def note_read(self, actor: str, patient_id: UUID, page: str, reason: str = "", /) -> None:
        """Note that somebody reads of a patient; on the disk when this returns."""
        ...

    def note(self, actor: str, action: str, reason: str = "", /) -> None:
        """Note what somebody does with the book as a whole."""
        ...

    def log_rows(self, *, before: int | None = None, subject_id: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Give rows of the clinic's log, the newest first."""
        ...

    def log_lines(self) -> Sequence[str]:
        """Give the clinic's log as lines of JSON."""
        ...
