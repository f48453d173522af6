"""The steps of signing in: password, second factor, session; and stepping up in a session that is full.

A login that nobody has and a wrong password are answered alike and cost alike. The slow part, Argon2, runs outside of
any transaction: what it was asked for is counted before, and the answer is held against the book again after.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from gonio.cloud_sink import audit_log
from gonio.cloud_sink.accounts import factors, notes, passkeys, sessions, throttle, users
from gonio.cloud_sink.accounts.book import AccountBook, identity_of
from gonio.cloud_sink.accounts.model import Identity, Outcome, Pending, Role, SignIn, Site, Stage, UserState
from gonio.cloud_sink.accounts.notes import Event
from gonio.cloud_sink.accounts.sessions import Session
from gonio.cloud_sink.accounts.throttle import Attempt
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.schema_accounts import USERS

#: The second factor that was given, where it was right.
Proof = Callable[[Connection, Session, datetime], str | None]


class SignInSteps(AccountBook):
    """What the pages of signing in ask."""

    def sign_in(self, login: str, password: str, *, source: str, device: str | None = None, label: str = "") -> SignIn:
        """Take login and password.

        Args:
            login: as typed.
            password: as typed.
            source: the address that it comes from.
            device: the browser's long-lived token, where it has one.
            label: what the browser calls itself, for the list of sessions.

        Returns:
            FACTOR or ENROL with a token; REFUSED; or WAIT.
        """
        now = self._clock()
        folded = users.fold_login(login)
        row = self._read(lambda connection: users.by_login(connection, folded))

        def count(connection: Connection) -> Attempt:
            known = sessions.known_device(connection, row.user_id, device, now) if row is not None else None
            if known is not None:
                return throttle.admit(connection, [throttle.of_device(row.user_id, row.clinic_id, known)], now)
            counters = [throttle.of_login(self._vault, folded), throttle.of_address(self._vault, source)]
            return throttle.admit(connection, counters, now)

        attempt = self._write(count)
        if attempt.wait_s > 0:
            return SignIn(Outcome.WAIT, wait_s=attempt.wait_s)
        active = row is not None and row.state == UserState.ACTIVE
        right = self._passwords.verify(row.password_hash if active else None, password)
        rehashed = None
        if right and self._passwords.is_outdated(row.password_hash):
            rehashed = self._passwords.hash(password)
        return self._write(lambda connection: self._answer(connection, row, attempt, rehashed, label, right=right))

    def _answer(
        self,
        connection: Connection,
        row: Any,  # noqa: ANN401 - SQLAlchemy's row
        attempt: Attempt,
        rehashed: str | None,
        label: str,
        *,
        right: bool,
    ) -> SignIn:
        now = self._clock()
        kept = None
        if right:  # and still so: it may have been changed, or the user disabled, since it was read
            same = (USERS.c.user_id == row.user_id, USERS.c.password_hash == row.password_hash)
            query = select(USERS.c.totp_sealed).where(*same, USERS.c.state == UserState.ACTIVE)
            kept = connection.execute(query.with_for_update(key_share=True)).first()
        if kept is None:
            user = (row.user_id, row.clinic_id) if row is not None else None
            audit_log.append(connection, notes.failure(attempt, user, "password"), at=now)
            return SignIn(Outcome.REFUSED, wait_s=_next_wait_s(attempt))
        throttle.take_back(connection, attempt, now)
        throttle.purge(connection, now)
        if rehashed is not None:
            users.change(connection, row.user_id, password_hash=rehashed)
        has_factor = kept.totp_sealed is not None or factors.count_passkeys(connection, row.user_id) > 0
        stage, outcome = (Stage.FACTOR, Outcome.FACTOR) if has_factor else (Stage.ENROL, Outcome.ENROL)
        token = sessions.open_session(connection, row.user_id, row.clinic_id, stage, now, label)
        known = any(counter.scope is throttle.Scope.DEVICE for counter in attempt.failures)
        detail = {"browser": "known" if known else "unknown", "next": str(outcome)}
        entry = notes.by_user(Event.PASSWORD_RIGHT, row.clinic_id, row.user_id, detail)
        audit_log.append(connection, [entry], at=now)
        return SignIn(outcome, token)

    def second_factor(self, token: str, code: str, *, source: str, device: str | None = None) -> SignIn:  # noqa: ARG002 - the address of an attempt belongs to its contract
        """Take a code of the authenticator app or a recovery code; in a full session this is stepping up.

        Returns:
            DONE with the session's new token; REFUSED; or WAIT.

        Raises:
            SignedOutError: the token opens no session that asks for a second factor.
        """

        def proof(connection: Connection, session: Session, now: datetime) -> str | None:
            if factors.use_totp(connection, self._vault, session, code, now):
                return "totp"
            if factors.use_recovery_code(connection, self._vault, session.user_id, code, now):
                return "recovery-code"
            return None

        return self._prove(token, device, proof)

    def begin_passkey(self, token: str, site: Site) -> str:
        """Give the options, JSON, with which the browser asks for one of the user's passkeys.

        Raises:
            SignedOutError: the token opens no session.
        """

        def ask(connection: Connection) -> str:
            now = self._clock()
            return passkeys.ask_to_authenticate(connection, self._find(connection, token, now), site, now)

        return self._write(ask)

    def finish_passkey(
        self,
        token: str,
        credential: str,
        site: Site,
        *,
        source: str,  # noqa: ARG002 - as above
        device: str | None = None,
    ) -> SignIn:
        """Take the browser's answer to ``begin_passkey``, JSON; as ``second_factor``."""

        def proof(connection: Connection, session: Session, now: datetime) -> str | None:
            return "passkey" if passkeys.authenticate(connection, session, credential, site, now) else None

        return self._prove(token, device, proof)

    def _prove(self, token: str, device: str | None, proof: Proof) -> SignIn:
        def change(connection: Connection) -> SignIn:
            now = self._clock()
            session = self._find(connection, token, now, lock=True)
            if session.stage is Stage.ENROL:
                return SignIn(Outcome.ENROL)
            known = sessions.known_device(connection, session.user_id, device, now)
            counter = throttle.of_factor(session.user_id, session.clinic_id, known)
            attempt = throttle.admit(connection, [counter], now)
            if attempt.wait_s > 0:
                return SignIn(Outcome.WAIT, wait_s=attempt.wait_s)
            factor = proof(connection, session, now)
            if factor is None:
                user = (session.user_id, session.clinic_id)
                audit_log.append(connection, notes.failure(attempt, user, "second factor"), at=now)
                return SignIn(Outcome.REFUSED, wait_s=_next_wait_s(attempt))
            return self._let_in(connection, session, factor, device, known, now)

        return self._write(change)

    def _let_in(
        self,
        connection: Connection,
        session: Session,
        factor: str,
        device: str | None,
        known: bytes | None,
        now: datetime,
    ) -> SignIn:
        user_id, clinic_id = session.user_id, session.clinic_id
        counters = [throttle.of_factor(user_id, clinic_id, known)]
        if known is not None:
            counters.append(throttle.of_device(user_id, clinic_id, known))
        failures = throttle.clear(connection, counters) - 1  # without this attempt
        hashed, fresh = sessions.remember_device(connection, user_id, clinic_id, device, now)
        new = sessions.promote(connection, session, now, hashed)
        event = Event.STEPPED_UP if session.stage is Stage.FULL else Event.SIGNED_IN
        detail = {"factor": factor, "browser": "unknown" if known is None else "known", "failures_before": failures}
        entries = [notes.by_user(event, clinic_id, user_id, detail)]
        if factor == "recovery-code":
            left = factors.count_recovery_codes(connection, user_id)
            entries.append(notes.by_user(Event.RECOVERY_CODE_USED, clinic_id, user_id, {"left": left}))
        audit_log.append(connection, entries, at=now)
        return SignIn(Outcome.DONE, new, fresh)

    def pending(self, token: str) -> Pending | None:
        """Say how far the owner of a token has come; None where it opens nothing."""

        def ask(connection: Connection) -> Pending | None:
            session = sessions.find(connection, token, self._clock(), self._lifetimes)
            if session is None:
                return None
            return Pending(
                session.stage,
                session.user_id,
                session.login,
                session.totp_sealed is not None,
                factors.count_passkeys(connection, session.user_id),
                factors.count_recovery_codes(connection, session.user_id),
            )

        return self._read(ask)

    def session(self, token: str, *, active: bool = True) -> Identity | None:
        """Say who is signed in with a token; None where it opens no full session.

        Args:
            token: of the session's cookie.
            active: whether this is a person's doing, which puts the automatic logoff off; a page that asks by itself
                is not.
        """
        now = self._clock()
        session = self._read(lambda connection: sessions.find(connection, token, now, self._lifetimes))
        if session is None or session.stage is not Stage.FULL:
            return None
        if active and now - session.seen_at >= sessions.SEEN_EVERY:
            self._write(lambda connection: sessions.touch(connection, session, now))
        return identity_of(session, now)

    def sign_out(self, token: str) -> None:
        """End the session of a token; one that has ended is no error."""

        def change(connection: Connection) -> None:
            now = self._clock()
            session = sessions.find(connection, token, now, self._lifetimes, lock=True)
            if session is not None:
                sessions.end(connection, session.user_id, session_id=session.session_id)
                entry = notes.by_user(Event.SIGNED_OUT, session.clinic_id, session.user_id)
                audit_log.append(connection, [entry], at=now)

        self._write(change)

    def admit_demo(self, clinic_id: UUID = HOME_CLINIC) -> SignIn:
        """Open a full session for the demo's therapist, who has no password and no second factor.

        Only for the pages of a demo on this machine: the caller has checked the demo's ticket. Such a session can do
        nothing that needs a second factor anew.
        """

        def change(connection: Connection) -> SignIn:
            now = self._clock()
            users.clinic(connection, clinic_id, lock=True)
            login = f"demo-therapist@{clinic_id}.invalid"
            row = users.by_login(connection, login)
            if row is not None:
                user_id = row.user_id
            else:
                user_id = users.add_user(connection, clinic_id, login, "Demo therapist", Role.THERAPIST, now)
                users.change(connection, user_id, state=UserState.ACTIVE)
            token = sessions.open_session(connection, user_id, clinic_id, Stage.FULL, now, "demo")
            audit_log.append(
                connection, [notes.by_user(Event.SIGNED_IN, clinic_id, user_id, {"factor": "demo"})], at=now
            )
            return SignIn(Outcome.DONE, token)

        return self._write(change)


def _next_wait_s(attempt: Attempt) -> float:
    return max(throttle.delay_s(counter.scope, count) for counter, count in attempt.failures.items())
