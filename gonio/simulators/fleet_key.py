"""Keys of kits that were never made: drawn from a fleet's seed, so that a fleet that is started again has the same."""

import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from gonio.identity.keys import key_id, public_der, sign_with

#: The order of P-256's group less one (SEC 2, section 2.4.2): a private key is 1 to this.
_MOST: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632550


class SimulatedKey:
    """The key of a simulated kit; whoever knows its seed can sign with it."""

    def __init__(self, seed: str) -> None:
        """Draw it."""
        drawn = int.from_bytes(hashlib.sha512(f"gonio simulated kit {seed}".encode()).digest())
        self._key = ec.derive_private_key(1 + drawn % _MOST, ec.SECP256R1())
        self.public = public_der(self._key.public_key())
        self.key_id = key_id(self.public)

    def sign(self, data: bytes) -> bytes:
        """Sign, ``keys.SIGNATURE_BYTES`` long."""
        return sign_with(self._key, data)
