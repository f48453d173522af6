"""What the pages read from the clinic's book; ``cloud_sink.store.Store`` gives it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from gonio.cloud_sink.model import PatientRow, SessionRow


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
