"""TLS of a machine whose clock may be wrong: a kit without a battery-backed clock begins in 1970.

With a clock that is known to be behind, no certificate would be valid yet and the kit could never connect to learn the
time. So while its clock is behind the newest moment that it has known for sure, OpenSSL checks chain and name and not
the dates (X509_V_FLAG_NO_CHECK_TIME, <openssl/x509_vfy.h>), and the certificate that the server shows is held against
that moment instead: one that had expired by then is refused. What this gives up: a certificate that expired after that
moment is taken, until the clock is right. Its key must have been stolen for that to help anybody.
"""

import ssl
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509

NO_CHECK_TIME: Final = 0x200000
_HAS_EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED


class _DatedContext(ssl.SSLContext):
    """A context whose connections hold the server's certificate against a moment."""

    not_before_then: datetime


class _DatedSocket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - ssl's own
        """Shake hands, and refuse a server whose certificate had expired by the newest known moment.

        Raises:
            ssl.SSLCertVerificationError: it had, or it showed none.
        """
        super().do_handshake(block)
        shown: Any = self.getpeercert(binary_form=True)
        context = self.context
        if not isinstance(context, _DatedContext):
            raise TypeError("this socket is of a context with a moment")
        if not shown or x509.load_der_x509_certificate(shown).not_valid_after_utc < context.not_before_then:
            error = ssl.SSLCertVerificationError(1, "certificate verify failed: certificate has expired")
            error.verify_code, error.verify_message = _HAS_EXPIRED, "certificate has expired"
            raise error


def client_context(*, cafile: str | None = None, cadata: str | None = None, known: datetime | None) -> ssl.SSLContext:
    """Make the settings of a client's connections: certificate and host name checked, TLS 1.2 at least.

    Args:
        cafile: PEM file of the authorities to trust in place of the system's.
        cadata: likewise, as text.
        known: the newest moment that is known for sure, aware, where the clock is behind it; None where the clock is
            to be believed.

    Raises:
        OSError: the file cannot be read; ssl.SSLError is one.
    """
    if known is None:
        context = ssl.create_default_context(cafile=cafile, cadata=cadata)
    else:
        context = _DatedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.not_before_then = known.astimezone(UTC)
        context.sslsocket_class = _DatedSocket
        context.verify_flags = ssl.VerifyFlags(int(context.verify_flags) | NO_CHECK_TIME)
        if cafile or cadata:
            context.load_verify_locations(cafile=cafile, cadata=cadata)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
