"""Whose records are let in: those of kits that are enrolled, signed with a key of that very kit.

The keys of a batch's kits are read from the book once for the batch, so a revocation counts from the next batch on.
A check costs about 70 µs and needs no connection to the book.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

from sqlalchemy import Connection, select

from gonio.cloud_sink.alarm import Alarm
from gonio.cloud_sink.bulk import in_slices
from gonio.cloud_sink.enrolment.keys import KeyState
from gonio.cloud_sink.schema_identity import KIT_KEYS
from gonio.identity.keys import PublicKey
from gonio.identity.signatures import signed_by
from gonio.messages import Envelope


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A kit's key as far as admission needs it."""

    key_id: str
    state: KeyState
    public_key: bytes


KeysOfKits: TypeAlias = Mapping[str, Sequence[KnownKey]]

#: Parsed keys that are held; parsing one costs as much as half a check.
_PARSED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may send, as of one batch.

    Attributes:
        keys: all keys of the kits of the batch, by kit; a kit that is not there is not enrolled.
        signed_only: whether kits that are not enrolled are refused; else their records come in, unproven.
    """

    keys: KeysOfKits = field(default_factory=lambda: MappingProxyType({}))
    signed_only: bool = False

    def refusal(self, envelope: Envelope) -> tuple[str, Alarm] | None:
        """Say why a record may not come in and what that is a sign of; None where it may."""
        keys = self.keys.get(envelope.kit_id, ())
        if not keys:
            return ("this kit is not enrolled with the clinic", Alarm.NOT_ENROLLED) if self.signed_only else None
        key = next((one for one in keys if one.key_id == envelope.key_id), None)
        if envelope.signature is None:
            return "the record is not signed, though its kit signs", Alarm.FORGED
        if key is None:
            return "the record is signed with a key that is not this kit's", Alarm.FORGED
        if not signed_by(envelope, parsed(key.public_key)):
            return "the record's signature does not fit its content", Alarm.FORGED
        if key.state is KeyState.REVOKED:
            return "the record is signed with a key that was revoked", Alarm.REVOKED
        return None


#: What a book without kits' keys, and with any kit, is taken in by.
OPEN: Final = Admission()


def keys_of_kits(connection: Connection, kits: Iterable[str]) -> KeysOfKits:
    """Read the keys of some kits, those that no longer count too."""
    columns = KIT_KEYS.c
    query = select(columns.kit_id, columns.key_id, columns.state, columns.public_key)
    found: dict[str, list[KnownKey]] = {}
    for kit_id, key_id, state, public_key in in_slices(
        sorted(set(kits)), lambda ids: connection.execute(query.where(columns.kit_id.in_(ids)))
    ):
        found.setdefault(kit_id, []).append(KnownKey(key_id, KeyState(state), public_key))
    return found


@lru_cache(_PARSED)
def parsed(public_key: bytes) -> PublicKey:
    """Parse a key of the book."""
    return PublicKey(public_key)
