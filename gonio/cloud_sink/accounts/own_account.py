"""What users do with their own accounts: take an invitation, set factors up, change the password, end sessions."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from gonio.cloud_sink import audit_log
from gonio.cloud_sink.accounts import factors, notes, passkeys, sessions, throttle, users
from gonio.cloud_sink.accounts.book import AccountBook
from gonio.cloud_sink.accounts.model import (
    FactorRefusedError,
    Identity,
    InvitationError,
    Invited,
    LastFactorError,
    NoSuchError,
    Outcome,
    Passkey,
    SignedOutError,
    SignIn,
    Site,
    Stage,
    TotpSecret,
    UserState,
    WebSession,
)
from gonio.cloud_sink.accounts.notes import Event
from gonio.cloud_sink.accounts.passwords import check_new
from gonio.cloud_sink.accounts.sessions import Session

_NO_INVITATION = "this invitation is not good any more: ask your clinic's administrator for a new one"


class OwnAccount(AccountBook):
    """What the pages of the own account ask."""

    # --- the invitation ---

    def invitation(self, token: str) -> Invited | None:
        """Say whom a good invitation is for, or None."""
        row = self._read(lambda connection: users.invited(connection, token, self._clock()))
        return None if row is None else Invited(row.login, row.name, row.clinic)

    def accept_invitation(self, token: str, password: str, *, source: str, label: str = "") -> SignIn:  # noqa: ARG002 - the address belongs to the contract of an attempt
        """Set the first password with an invitation, which is good once.

        Returns:
            ENROL with a token: a second factor comes next.

        Raises:
            InvitationError: it is no good invitation.
            PasswordRefusedError: the password will not do; the invitation stays good.
        """
        row = self._read(lambda connection: users.invited(connection, token, self._clock()))
        if row is None:
            raise InvitationError(_NO_INVITATION)
        check_new(password, [row.login, row.name, row.clinic])
        hashed = self._passwords.hash(password)

        def change(connection: Connection) -> SignIn:
            now = self._clock()
            user = users.get(connection, row.clinic_id, row.user_id, lock=True)
            if user.state is not UserState.INVITED or not users.use_invitation(connection, token, now):
                raise InvitationError(_NO_INVITATION)
            users.change(connection, user.user_id, password_hash=hashed, state=UserState.ACTIVE)
            new = sessions.open_session(connection, user.user_id, user.clinic_id, Stage.ENROL, now, label)
            entry = notes.by_user(Event.INVITATION_TAKEN, user.clinic_id, user.user_id)
            audit_log.append(connection, [entry], at=now)
            return SignIn(Outcome.ENROL, new)

        return self._write(change)

    # --- second factors ---

    def begin_totp(self, token: str) -> TotpSecret:
        """Make a secret for an authenticator app; it is in force once ``confirm_totp`` has seen a code of it.

        Raises:
            SignedOutError, StepUpNeededError: not now.
        """

        def change(connection: Connection) -> TotpSecret:
            now = self._clock()
            session = self._find(connection, token, now, lock=True)
            self._may_change_factors(session, now)
            secret = factors.new_secret()
            users.change(connection, session.user_id, totp_pending=self._vault.seal(session.user_id, secret.encode()))
            return TotpSecret(secret, factors.uri(secret, session.login))

        return self._write(change)

    def confirm_totp(self, token: str, code: str) -> SignIn:
        """Put the secret of ``begin_totp`` in force, in place of one before.

        Returns:
            DONE with the session's new token, and recovery codes where there were none.

        Raises:
            FactorRefusedError: it is no code of that secret, or there is none.
            SignedOutError, StepUpNeededError: not now.
        """

        def add(connection: Connection, session: Session, now: datetime) -> str:
            if session.totp_pending is None:
                raise FactorRefusedError("scan the code with your authenticator app first")
            secret = self._vault.unseal(session.user_id, session.totp_pending).decode()
            step = factors.matching_step(secret, code, now)
            if step is None:
                raise FactorRefusedError("this is not the app's code of this moment: is your phone's clock right?")
            values = {"totp_sealed": session.totp_pending, "totp_step": step, "totp_pending": None}
            users.change(connection, session.user_id, **values)
            return "totp"

        return self._add_factor(token, add)

    def begin_passkey_registration(self, token: str, site: Site) -> str:
        """Give the options, JSON, with which the browser makes a passkey.

        Raises:
            SignedOutError, StepUpNeededError: not now.
        """

        def change(connection: Connection) -> str:
            now = self._clock()
            session = self._find(connection, token, now, lock=True)
            self._may_change_factors(session, now)
            return passkeys.ask_to_register(connection, session, site, now)

        return self._write(change)

    def finish_passkey_registration(self, token: str, credential: str, site: Site, name: str) -> SignIn:
        """Take the passkey that the browser made, JSON; as ``confirm_totp``."""

        def add(connection: Connection, session: Session, now: datetime) -> str:
            passkeys.register(connection, session, credential, site, name=name, now=now)
            return "passkey"

        return self._add_factor(token, add)

    def _add_factor(self, token: str, add: Callable[[Connection, Session, datetime], str]) -> SignIn:
        def change(connection: Connection) -> SignIn:
            now = self._clock()
            session = self._find(connection, token, now, lock=True)
            self._may_change_factors(session, now)
            if session.stage is Stage.ENROL and factors.has_factor(connection, session):
                raise SignedOutError("a second factor was set up meanwhile: sign in with it")
            kind = add(connection, session, now)
            user_id, clinic_id = session.user_id, session.clinic_id
            codes: tuple[str, ...] = ()
            entries = [notes.by_user(Event.FACTOR_ADDED, clinic_id, user_id, {"factor": kind})]
            if factors.count_recovery_codes(connection, user_id) == 0:
                codes = factors.make_recovery_codes(connection, self._vault, user_id, clinic_id, now)
                entries.append(notes.by_user(Event.RECOVERY_CODES_MADE, clinic_id, user_id))
            sessions.end(connection, user_id, but=session.session_id)
            device_hash, device = session.device_hash, None
            if session.stage is Stage.ENROL:
                device_hash, device = sessions.remember_device(connection, user_id, clinic_id, None, now)
                entries.append(notes.by_user(Event.SIGNED_IN, clinic_id, user_id, {"factor": kind}))
            new = sessions.promote(connection, session, now, device_hash)
            audit_log.append(connection, entries, at=now)
            return SignIn(Outcome.DONE, new, device, recovery_codes=codes)

        return self._write(change)

    def new_recovery_codes(self, token: str) -> tuple[str, ...]:
        """Make ten fresh recovery codes in place of the old; they are shown once.

        Raises:
            SignedOutError, StepUpNeededError: not now.
        """

        def change(connection: Connection) -> tuple[str, ...]:
            now = self._clock()
            session = self._full(connection, token, now)
            user_id, clinic_id = session.user_id, session.clinic_id
            codes = factors.make_recovery_codes(connection, self._vault, user_id, clinic_id, now)
            audit_log.append(connection, [notes.by_user(Event.RECOVERY_CODES_MADE, clinic_id, user_id)], at=now)
            return codes

        return self._write(change)

    def passkeys(self, identity: Identity) -> list[Passkey]:
        """Give the user's passkeys, the oldest first."""
        return self._read(lambda connection: passkeys.listed(connection, identity.user_id))

    def remove_passkey(self, token: str, passkey_id: UUID) -> None:
        """Remove one of the user's passkeys.

        Raises:
            NoSuchError: it is none of theirs.
            LastFactorError: it is their last second factor.
            SignedOutError, StepUpNeededError: not now.
        """

        def remove(connection: Connection, session: Session) -> str:
            if passkeys.remove(connection, session.user_id, passkey_id) == 0:
                raise NoSuchError("you have no such passkey")
            if session.totp_sealed is None and factors.count_passkeys(connection, session.user_id) == 0:
                raise LastFactorError("this is your last second factor: set up another first")
            return "passkey"

        self._remove_factor(token, remove)

    def remove_totp(self, token: str) -> None:
        """Take the authenticator app away; as ``remove_passkey``."""

        def remove(connection: Connection, session: Session) -> str:
            if session.totp_sealed is None:
                raise NoSuchError("you have no authenticator app")
            if factors.count_passkeys(connection, session.user_id) == 0:
                raise LastFactorError("this is your last second factor: set up a passkey first")
            users.change(connection, session.user_id, totp_sealed=None, totp_step=None, totp_pending=None)
            return "totp"

        self._remove_factor(token, remove)

    def _remove_factor(self, token: str, remove: Callable[[Connection, Session], str]) -> None:
        def change(connection: Connection) -> None:
            now = self._clock()
            session = self._full(connection, token, now)
            detail = {"factor": remove(connection, session)}
            entry = notes.by_user(Event.FACTOR_REMOVED, session.clinic_id, session.user_id, detail)
            audit_log.append(connection, [entry], at=now)

        self._write(change)

    def _full(self, connection: Connection, token: str, now: datetime) -> Session:
        session = self._find(connection, token, now, lock=True)
        if session.stage is not Stage.FULL:
            raise SignedOutError("sign in first")
        self._may_change_factors(session, now)
        return session

    # --- password and sessions ---

    def change_password(self, token: str, old: str, new: str, *, source: str, device: str | None = None) -> SignIn:  # noqa: ARG002 - as above
        """Change the password, which ends all other sessions.

        Returns:
            DONE with the session's new token; REFUSED where the old one is wrong; or WAIT.

        Raises:
            PasswordRefusedError: the new one will not do.
            SignedOutError: the token opens no full session.
        """
        now = self._clock()

        def count(connection: Connection) -> tuple[Session, throttle.Attempt]:
            session = self._find(connection, token, now, lock=True)
            if session.stage is not Stage.FULL:
                raise SignedOutError("sign in first")
            clinic = users.clinic(connection, session.clinic_id).name
            check_new(new, [session.login, session.name, clinic])
            known = sessions.known_device(connection, session.user_id, device, now)
            counter = throttle.of_factor(session.user_id, session.clinic_id, known)
            return session, throttle.admit(connection, [counter], now)

        session, attempt = self._write(count)
        if attempt.wait_s > 0:
            return SignIn(Outcome.WAIT, wait_s=attempt.wait_s)
        right = self._passwords.verify(session.password_hash, old)
        hashed = self._passwords.hash(new) if right else None

        def change(connection: Connection) -> SignIn:
            moment = self._clock()
            user_id, clinic_id = session.user_id, session.clinic_id
            current = self._find(connection, token, moment, lock=True)
            if hashed is None or current.password_hash != session.password_hash:
                entries = notes.failure(attempt, (user_id, clinic_id), "password")
                audit_log.append(connection, entries, at=moment)
                return SignIn(Outcome.REFUSED)
            throttle.take_back(connection, attempt, moment)
            users.change(connection, user_id, password_hash=hashed)
            sessions.end(connection, user_id, but=session.session_id)
            fresh = sessions.renew(connection, current, moment)
            entry = notes.by_user(Event.PASSWORD_CHANGED, clinic_id, user_id)
            audit_log.append(connection, [entry], at=moment)
            return SignIn(Outcome.DONE, fresh)

        return self._write(change)

    def sessions(self, identity: Identity) -> list[WebSession]:
        """Give the user's living sessions, the one seen last first."""
        return self._read(
            lambda connection: sessions.listed(connection, identity.user_id, self._clock(), self._lifetimes)
        )

    def end_session(self, identity: Identity, session_id: UUID) -> None:
        """End one of the user's own sessions.

        Raises:
            NoSuchError: it is none of theirs, or has ended.
        """

        def change(connection: Connection) -> None:
            if sessions.end(connection, identity.user_id, session_id=session_id) == 0:
                raise NoSuchError("you have no such session")
            self._note_ended(connection, identity, 1)

        self._write(change)

    def end_other_sessions(self, identity: Identity) -> int:
        """End all of the user's sessions but this one; gives how many."""

        def change(connection: Connection) -> int:
            count = sessions.end(connection, identity.user_id, but=identity.session_id)
            if count:
                self._note_ended(connection, identity, count)
            return count

        return self._write(change)

    def _note_ended(self, connection: Connection, identity: Identity, count: int) -> None:
        entry = notes.by_user(Event.SESSIONS_ENDED, identity.clinic_id, identity.user_id, {"sessions": count})
        audit_log.append(connection, [entry], at=self._clock())
