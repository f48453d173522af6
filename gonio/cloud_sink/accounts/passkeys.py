"""Passkeys (W3C Web Authentication): asked for and checked with user verification; within the caller's transaction."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, delete, select, update
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from gonio.cloud_sink.accounts.model import FactorRefusedError, Passkey, Site
from gonio.cloud_sink.accounts.sessions import Session
from gonio.cloud_sink.bulk import ON_CONFLICT_SKIP, insert_rows
from gonio.cloud_sink.schema_accounts import PASSKEYS, WEB_SESSIONS
from gonio.messages import new_record_id

#: How long a browser has to answer what it was asked.
CHALLENGE_LIFE: Final = timedelta(minutes=5)
#: Longer than any authenticator's answer without attestation.
MAX_ANSWER: Final = 16_384
#: Passkeys of one user.
MAX_PASSKEYS: Final = 20
MAX_NAME: Final = 100
REGISTER: Final = "register"
AUTHENTICATE: Final = "authenticate"
_MALFORMED: Final = (WebAuthnException, ValueError, KeyError, TypeError, RecursionError)


def ask_to_register(connection: Connection, session: Session, site: Site, now: datetime) -> str:
    """Give what the browser is asked to make a passkey with, as JSON."""
    options = generate_registration_options(
        rp_id=site.host,
        rp_name="gonio",
        user_id=session.user_id.bytes,
        user_name=session.login,
        user_display_name=session.name,
        exclude_credentials=_descriptors(connection, session.user_id),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    _keep_challenge(connection, session, options.challenge, REGISTER, now)
    return options_to_json(options)


def register(connection: Connection, session: Session, answer: str, site: Site, *, name: str, now: datetime) -> None:
    """Take the passkey that the browser made.

    Raises:
        FactorRefusedError: it is not the answer to what was asked, or the passkey is known.
    """
    challenge = _take_challenge(connection, session, REGISTER, now)
    if challenge is None or len(answer) > MAX_ANSWER:
        raise FactorRefusedError("the passkey was not made in time: try again")
    if len(_descriptors(connection, session.user_id)) >= MAX_PASSKEYS:
        raise FactorRefusedError(f"there are {MAX_PASSKEYS} passkeys already: remove one first")
    try:
        made = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except _MALFORMED as error:
        raise FactorRefusedError("the browser's answer is no passkey for this site: try again") from error
    row = {
        "passkey_id": new_record_id(),
        "clinic_id": session.clinic_id,
        "user_id": session.user_id,
        "credential_id": made.credential_id,
        "public_key": made.credential_public_key,
        "sign_count": made.sign_count,
        "name": "".join(c for c in name if c.isprintable()).strip()[:MAX_NAME] or "passkey",
        "added_at": now,
        "used_at": None,
    }
    if not insert_rows(connection, PASSKEYS, [row], ON_CONFLICT_SKIP):
        raise FactorRefusedError("this passkey is known already")


def ask_to_authenticate(connection: Connection, session: Session, site: Site, now: datetime) -> str:
    """Give what the browser is asked to prove a passkey with, as JSON."""
    options = generate_authentication_options(
        rp_id=site.host,
        allow_credentials=_descriptors(connection, session.user_id),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    _keep_challenge(connection, session, options.challenge, AUTHENTICATE, now)
    return options_to_json(options)


def authenticate(connection: Connection, session: Session, answer: str, site: Site, now: datetime) -> bool:
    """Tell whether the browser has proven one of the user's passkeys, and write down its new count.

    A count that does not grow (a copied authenticator) is refused, where the authenticator counts at all.
    """
    challenge = _take_challenge(connection, session, AUTHENTICATE, now)
    if challenge is None or len(answer) > MAX_ANSWER:
        return False
    columns = PASSKEYS.c
    try:
        credential = parse_authentication_credential_json(answer)
        row = connection.execute(
            select(columns.passkey_id, columns.public_key, columns.sign_count)
            .where(columns.credential_id == credential.raw_id, columns.user_id == session.user_id)
            .with_for_update()
        ).first()
        if row is None:
            return False
        proven = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=row.public_key,
            credential_current_sign_count=row.sign_count,
            require_user_verification=True,
        )
    except _MALFORMED:
        return False
    values = {"sign_count": proven.new_sign_count, "used_at": now}
    connection.execute(update(PASSKEYS).where(columns.passkey_id == row.passkey_id).values(values))
    return True


def listed(connection: Connection, user_id: UUID) -> list[Passkey]:
    """Give a user's passkeys, the oldest first."""
    columns = PASSKEYS.c
    rows = connection.execute(
        select(columns.passkey_id, columns.name, columns.added_at, columns.used_at)
        .where(columns.user_id == user_id)
        .order_by(columns.added_at, columns.passkey_id)
    )
    return [Passkey(*row) for row in rows]


def remove(connection: Connection, user_id: UUID, passkey_id: UUID | None = None) -> int:
    """Remove one of a user's passkeys, or all; gives how many."""
    columns = PASSKEYS.c
    which = [columns.user_id == user_id] + ([columns.passkey_id == passkey_id] if passkey_id is not None else [])
    return connection.execute(delete(PASSKEYS).where(*which)).rowcount


def _descriptors(connection: Connection, user_id: UUID) -> list[PublicKeyCredentialDescriptor]:
    query = select(PASSKEYS.c.credential_id).where(PASSKEYS.c.user_id == user_id).order_by(PASSKEYS.c.added_at)
    return [PublicKeyCredentialDescriptor(id=key) for key in connection.execute(query).scalars()]


def _keep_challenge(connection: Connection, session: Session, challenge: bytes, use: str, now: datetime) -> None:
    values = {"challenge": challenge, "challenge_for": use, "challenge_at": now}
    connection.execute(update(WEB_SESSIONS).where(WEB_SESSIONS.c.token_hash == session.token_hash).values(values))


def _take_challenge(connection: Connection, session: Session, use: str, now: datetime) -> bytes | None:
    """Give the challenge that waits for its answer; it is good once, whatever the answer is."""
    columns = WEB_SESSIONS.c
    taken = connection.execute(
        update(WEB_SESSIONS)
        .where(columns.token_hash == session.token_hash, columns.challenge == session.challenge)
        .values(challenge=None, challenge_for=None, challenge_at=None)
    )
    in_time = session.challenge_at is not None and timedelta() <= now - session.challenge_at <= CHALLENGE_LIFE
    return session.challenge if taken.rowcount == 1 and in_time and session.challenge_for == use else None
