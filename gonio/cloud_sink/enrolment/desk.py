"""The enrolment desk: claims, renewals, revocations, each one transaction of the book, each in the audit log."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, insert

from gonio.cloud_sink import audit_log, stock_life
from gonio.cloud_sink.audit_log import Action, Entry
from gonio.cloud_sink.engine import reader, store_errors, writer
from gonio.cloud_sink.enrolment import claims
from gonio.cloud_sink.enrolment import keys as kit_keys
from gonio.cloud_sink.enrolment.claims import ClaimRefusedError
from gonio.cloud_sink.enrolment.keys import KeyState, KitKey
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.schema_stock import STOCK
from gonio.cloud_sink.stock_states import BoxEvent, BoxState
from gonio.errors import UsageError
from gonio.identity.authority import Revoked
from gonio.identity.certificates import Certificate, CertificateError, read_request
from gonio.identity.keys import PublicKey, p256, public_der
from gonio.messages import MessageError

#: Gives a kit its certificate for a request, or None where an authority outside will.
Issue: TypeAlias = Callable[[bytes, str], Certificate | None]

RENEWAL: Final = b"gonio renewal v1\n"
_ACTOR: Final = "system:enrolment"
_KIT: Final = re.compile(r"kit-[0-9a-f]{16}")  # as the kit makes it: nobody claims the name of a program


@dataclass(frozen=True, slots=True)
class Box:
    """A box that was entered, with its claim code, which is told this once."""

    item_id: UUID
    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What a broker has to know: the kits that may connect, sorted, and the certificates that no longer count."""

    kits: tuple[str, ...]
    revoked: tuple[Revoked, ...]


class EnrolmentDesk:
    """How kits come to a clinic; every method is one transaction and blocks."""

    def __init__(self, engine: Engine, actor: str) -> None:
        self._reader = reader(engine)
        self._writer = writer(engine)
        self._actor = actor

    # --- the clinic's side ---

    def add_box(
        self, label: str = "", serial: str = "", *, clinic_id: UUID = HOME_CLINIC, life: timedelta = claims.LIFE
    ) -> Box:
        """Enter a box that nobody has yet, with a claim code for the kit in it.

        Args:
            label: what stands on the box, at most 200 characters.
            serial: the maker's number, at most 100.
            clinic_id: whose it is.
            life: how long the code counts.

        Raises:
            UsageError: a text that is too long, or a life beyond 14 days.
        """
        if len(label) > 200 or len(serial) > 100:  # noqa: PLR2004 - the columns' widths
            raise UsageError("a label has at most 200 characters and a serial number 100")
        now, item_id = datetime.now(UTC), uuid4()
        with store_errors(), self._writer.begin() as connection:
            row = {"item_id": item_id, "clinic_id": clinic_id, "label": label, "serial": serial, "kit_id": None}
            connection.execute(insert(STOCK).values(row | {"state": BoxState.IN_STOCK.value, "changed_at": now}))
            entered = stock_life.hold(connection, item_id)
            if entered is not None:
                stock_life.note(connection, entered, BoxEvent.ENTERED, by=self._actor, at=now)
            code = claims.make(connection, item_id, by=self._actor, at=now, life=life)
            entry = Entry(clinic_id, self._actor, Action.CLAIM_MADE, "box", str(item_id))
            audit_log.append(connection, [entry], at=now)
        return Box(item_id, code, now + life)

    def new_code(self, item_id: UUID, *, life: timedelta = claims.LIFE) -> Box:
        """Make a new claim code for a box, also for one whose kit has to begin anew.

        Raises:
            UsageError: no such box.
        """
        now = datetime.now(UTC)
        with store_errors(), self._writer.begin() as connection:
            code = claims.make(connection, item_id, by=self._actor, at=now, life=life)
            found = claims.find(connection, code)
            clinic_id = HOME_CLINIC if found is None else found.clinic_id
            entry = Entry(clinic_id, self._actor, Action.CLAIM_MADE, "box", str(item_id))
            audit_log.append(connection, [entry], at=now)
        return Box(item_id, code, now + life)

    def revoke(self, kit_id: str, reason: str) -> list[str]:
        """Let none of a kit's keys count any more, from now on; gives the names of those that did.

        Raises:
            UsageError: no reason.
        """
        if not reason.strip():
            raise UsageError("say why the kit's keys are revoked: it goes into the audit log")
        now = datetime.now(UTC)
        with store_errors(), self._writer.begin() as connection:
            known = kit_keys.keys_of(connection, kit_id)
            ended = kit_keys.revoke(connection, kit_id, reason=reason[:500], at=now)
            if ended:
                detail = {"keys": ended}
                entry = Entry(known[0].clinic_id, self._actor, Action.KEYS_REVOKED, "kit", kit_id, reason[:500], detail)
                audit_log.append(connection, [entry], at=now)
        return ended

    def enter_key(self, kit_id: str, public_key: bytes) -> str:
        """Enter the key of a kit that is claimed by nobody, and needs no certificate: a simulated one's.

        Returns:
            The key's name. A key that is there already stays as it is.

        Raises:
            UsageError: it is no P-256 key, another kit's, or was revoked.
        """
        PublicKey(public_key)
        with store_errors(), self._writer.begin() as connection:
            return kit_keys.register(connection, kit_id, public_key, at=datetime.now(UTC))

    def keys(self, kit_id: str) -> list[KitKey]:
        """Give all keys of a kit, the newest first."""
        with store_errors(), self._reader.connect() as connection:
            return kit_keys.keys_of(connection, kit_id)

    def standing(self) -> Standing:
        """Say who may connect to the broker, and which certificates no longer count."""
        with store_errors(), self._reader.connect() as connection:
            return Standing(tuple(kit_keys.active_kits(connection)), tuple(kit_keys.revoked_serials(connection)))

    def put_certificate(self, certificate: Certificate, authority: Certificate) -> str:
        """Enter a certificate that an authority outside has issued; gives the kit's id.

        Raises:
            UsageError: it is not of that authority, or of no key that waits for one.
        """
        if not certificate.issued_by(authority):
            raise UsageError("this certificate is not of the clinic's authority")
        with store_errors(), self._writer.begin() as connection:
            known = kit_keys.key(connection, certificate.key_id)
            if known is None or known.certificate is not None or known.kit_id != certificate.name:
                raise UsageError(
                    "no kit waits for this certificate: look at the kit's keys (gonio clinic kit keys KIT)"
                )
            kit_keys.certify(connection, known.key_id, certificate)
            self._issued(connection, known, datetime.now(UTC), self._actor)
        return known.kit_id

    # --- the kit's side ---

    def claim(self, code: str, kit_id: str, request: bytes, issue: Issue) -> KitKey:
        """Let the kit that shows a code be the clinic's; asked again with the same key, it is answered again.

        Args:
            code: the plain code.
            kit_id: the kit's own name.
            request: its certificate request, PEM.
            issue: the authority.

        Returns:
            Its key; with a certificate, unless an authority outside has not signed yet.

        Raises:
            ClaimRefusedError: it may not have it; noted, where the code is one of ours.
            CertificateError: the request is of no use.
        """
        if not _KIT.fullmatch(kit_id):  # at the broker a name is a right
            raise ClaimRefusedError("this is no kit's name: a kit makes it itself")
        now = datetime.now(UTC)
        public = public_der(p256(read_request(request, kit_id).public_key()))
        refused: ClaimRefusedError
        with store_errors(), self._writer.begin() as connection:
            found = claims.find(connection, code)
            if found is None:
                raise ClaimRefusedError("this claim code is not known here: check it, or ask the clinic for a new one")
            try:
                known = claims.check(connection, found, kit_id, public, at=now)
            except ClaimRefusedError as error:
                refused = error
                detail = {"claim": str(found.claim_id)}
                entry = Entry(found.clinic_id, _ACTOR, Action.CLAIM_REFUSED, "kit", kit_id, str(error)[:500], detail)
                audit_log.append(connection, [entry], at=now)
            else:
                if known is not None:
                    return known
                certificate = issue(request, kit_id)
                kit_keys.register(
                    connection,
                    kit_id,
                    public,
                    at=now,
                    clinic_id=found.clinic_id,
                    certificate=certificate,
                    request=request.decode("ascii"),
                )
                claims.use(connection, found, kit_id, public, at=now)
                stock_life.claimed(connection, found.item_id, by=_ACTOR, at=now)
                return self._entered(connection, public, now, Action.KIT_CLAIMED)
        raise refused

    def renew(self, kit_id: str, request: bytes, at: str, proof: str, issue: Issue) -> KitKey:
        """Give a kit that proves itself with a key of its own a certificate for its next key.

        An expired certificate does not matter: the key counts. A superseded key may only ask again for the key that
        has superseded it, because that answer may have been lost.

        Raises:
            ClaimRefusedError: no key of this kit that counts has signed this.
            CertificateError: the request is of no use.
        """
        now = datetime.now(UTC)
        public = public_der(p256(read_request(request, kit_id).public_key()))
        proven = RENEWAL + f"{kit_id}\n{at}\n{hashlib.sha256(request).hexdigest()}".encode("ascii", "replace")
        try:
            signature = base64.b64decode(proof, validate=True)
        except (binascii.Error, ValueError) as error:
            raise MessageError("the proof is no base64") from error
        next_key = PublicKey(public)
        with store_errors(), self._writer.begin() as connection:
            signers = [one for one in kit_keys.keys_of(connection, kit_id) if one.state is not KeyState.REVOKED]
            signer = next((one for one in signers if PublicKey(one.public_key).verifies(signature, proven)), None)
            if signer is None:
                raise ClaimRefusedError("this kit has no key here that counts: ask the clinic for a new claim code")
            known = next((one for one in signers if one.key_id == next_key.key_id), None)
            if known is not None and known.state is KeyState.ACTIVE:
                return known
            if known is not None or signer.state is not KeyState.ACTIVE:
                raise ClaimRefusedError("this key was replaced by a newer one of this kit")
            certificate = issue(request, kit_id)
            kit_keys.register(
                connection, kit_id, public, at=now, certificate=certificate, request=request.decode("ascii")
            )
            return self._entered(connection, public, now, Action.KEY_RENEWED)

    def _entered(self, connection: Connection, public: bytes, now: datetime, action: Action) -> KitKey:
        known = kit_keys.key(connection, PublicKey(public).key_id)
        if known is None:
            raise CertificateError("the key was not entered")
        detail = {"key": known.key_id, "serial": known.serial}
        entry = Entry(known.clinic_id, _ACTOR, action, "kit", known.kit_id, detail=detail)
        audit_log.append(connection, [entry], at=now)
        return known

    def _issued(self, connection: Connection, known: KitKey, now: datetime, actor: str) -> None:
        entry = Entry(known.clinic_id, actor, Action.CERTIFICATE_ENTERED, "kit", known.kit_id)
        audit_log.append(connection, [entry], at=now)
