"""Signed records: what a kit signs when it stores a record, and how the clinic checks it, then and years later.

The signature covers ``Envelope.signed_bytes()``: the header's fields and the payload's very text, and among them the
name of the key, so that none can be put in another's place. What the clinic sends down is signed likewise.
"""

import base64
import binascii
from typing import TypeVar

from gonio.identity.keys import PublicKey, RecordKey
from gonio.messages import DownEnvelope, Envelope

_Signed = TypeVar("_Signed", Envelope, DownEnvelope)


def sign(envelope: _Signed, key: RecordKey) -> _Signed:
    """Give the same record, signed."""
    named = envelope.model_copy(update={"key_id": key.key_id, "signature": None})
    return named.model_copy(update={"signature": base64.b64encode(key.sign(named.signed_bytes())).decode("ascii")})


def signed_by(envelope: Envelope | DownEnvelope, key: PublicKey) -> bool:
    """Tell whether a record bears this key's name and signature."""
    if envelope.key_id != key.key_id or envelope.signature is None:
        return False
    try:
        signature = base64.b64decode(envelope.signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    if base64.b64encode(signature).decode("ascii") != envelope.signature:  # one text only stands for one signature
        return False
    return key.verifies(signature, envelope.signed_bytes())
