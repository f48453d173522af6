"""The accounts as the pages and the commands use them: every call is durable when it returns."""

from uuid import UUID

from sqlalchemy import Connection, select

from gonio.cloud_sink import audit_log
from gonio.cloud_sink.accounts import break_glass, users
from gonio.cloud_sink.accounts.administration import Administration
from gonio.cloud_sink.accounts.book import need_step_up
from gonio.cloud_sink.accounts.model import Clinic, Grant, Identity, NotAllowedError, Role
from gonio.cloud_sink.accounts.notes import Event
from gonio.cloud_sink.accounts.own_account import OwnAccount
from gonio.cloud_sink.accounts.sign_in import SignInSteps
from gonio.cloud_sink.audit_log import Entry
from gonio.cloud_sink.schema_accounts import USERS


class Accounts(SignInSteps, OwnAccount):
    """All of it; from several threads and processes at once. Calls block: Argon2 takes about a tenth of a second.

    Every method raises StoreUnavailableError when the book cannot be used just now (try again) and StoreError when it
    is damaged or refuses a change; and an AccountError, whose text may be shown, where something is not as asked.
    """

    # --- administration ---

    def administration(self, identity: Identity) -> Administration:
        """Give an administrator what administers their clinic.

        Raises:
            NotAllowedError: they are none.
        """
        if identity.role is not Role.ADMIN:
            raise NotAllowedError("only an administrator may do this")
        return Administration(self, identity.clinic_id, identity.actor, identity)

    def administration_of(self, clinic_id: UUID, actor: str) -> Administration:
        """Give the operator of the book what administers a clinic; ``actor`` as in the audit log.

        Raises:
            NoSuchError: there is no such clinic.
        """
        self.clinic(clinic_id)
        return Administration(self, clinic_id, actor, None)

    def clinics(self) -> list[Clinic]:
        """Give all clinics, by name."""
        return self._read(users.clinics)

    def has_users(self) -> bool:
        """Tell whether anybody was ever invited, to any clinic."""
        return self._read(lambda connection: connection.execute(select(USERS.c.user_id).limit(1)).first() is not None)

    def clinic(self, clinic_id: UUID) -> Clinic:
        """Give a clinic.

        Raises:
            NoSuchError: there is none.
        """
        return self._read(lambda connection: users.clinic(connection, clinic_id))

    def add_clinic(self, name: str, time_zone: str, actor: str) -> UUID:
        """Enter a clinic.

        Raises:
            UsageError: no name, or no such time zone.
        """

        def change(connection: Connection) -> UUID:
            clinic_id = users.add_clinic(connection, name, time_zone)
            entry = Entry(clinic_id, actor, Event.CLINIC_ADDED, "clinic", str(clinic_id))
            audit_log.append(connection, [entry], at=self._clock())
            return clinic_id

        return self._write(change)

    # --- emergency access ---

    def break_glass(self, identity: Identity, patient_id: UUID, reason: str) -> Grant:
        """Open one patient of the user's clinic to them for an hour.

        Raises:
            StepUpNeededError: the second factor was not given recently.
            UsageError: no proper reason.
            NoSuchError: the clinic has no such patient.
        """
        need_step_up(stepped_up=identity.stepped_up)
        return self._write(
            lambda connection: break_glass.grant(connection, identity, patient_id, reason, self._clock())
        )

    def opened(self, identity: Identity, patient_id: UUID) -> Grant | None:
        """Give the grant by which a patient is open to a user now, or None."""
        return self._read(lambda connection: break_glass.opened(connection, identity, patient_id, self._clock()))

    def recent_break_glass(self, clinic_id: UUID) -> list[Grant]:
        """Give a clinic's grants of the last seven days, the newest first."""
        return self._read(lambda connection: break_glass.recent(connection, clinic_id, self._clock()))
