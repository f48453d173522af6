"""The warden of a mosquitto: it keeps who may connect, and to which topics, as the book says.

It writes two files and tells the broker to read them (SIGHUP). ``acl`` is a list of those who may: a kit that is not in
it may read and write nothing, and the broker holds also open connections against it (measured with 2.0.11: the next
publish of a revoked kit is denied, its subscriptions give nothing more). ``crl.pem`` is the authority's list of
certificates that no longer count, held against each new connection. A book that cannot be read changes nothing: who
was let in stays let in, and the sink, which asks the book itself, refuses what was revoked meanwhile.
"""

import logging
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from gonio.cloud_sink.enrolment.desk import Standing
from gonio.durable import replace_file
from gonio.errors import UsageError
from gonio.identity.authority import CRL_LIFE, Authority, Revoked
from gonio.messages.topics import TOPIC_ROOT

ACL_NAME: Final = "acl"
CRL_NAME: Final = "crl.pem"
#: How the broker's access list knows the sink's workers: the name in their certificate.
SINK_NAME: Final = "gonio-sink"
#: Between two looks at the book, s: with the broker's own part a revocation counts well within a minute.
EVERY_S: Final = 10.0
_FOR_ALL: Final = 0o644  # neither file is a secret, and the broker is another user

_log = logging.getLogger(__name__)


def access_list(kits: tuple[str, ...]) -> bytes:
    """Write mosquitto's access list: the workers, and each kit for its own topics; whoever is not in it may nothing."""
    lines = [
        "# Written by gonio clinic broker: changes are written over.",
        f"user {SINK_NAME}",
        f"topic read {TOPIC_ROOT}/+/up/+",
        f"topic write {TOPIC_ROOT}/+/down/+",
    ]
    for kit in kits:
        own = f"{TOPIC_ROOT}/{kit}"
        lines += ["", f"user {kit}", f"topic write {own}/up/+", f"topic read {own}/down/+"]
    return ("\n".join(lines) + "\n").encode("ascii")


class Warden:
    """Keeps the broker's files; it holds nothing between two looks but where they are."""

    def __init__(self, folder: Path, authority: Authority | None, pid_file: Path | None) -> None:
        """Prepare.

        Args:
            folder: where ``acl`` and ``crl.pem`` go; made where it is missing.
            authority: signs the revocation list; None where an authority outside writes its own.
            pid_file: the broker's, to tell it; None where somebody else does.
        """
        self._folder = folder
        self._authority = authority
        self._pid_file = pid_file

    def keep(self, standing: Standing, *, now: datetime | None = None) -> bool:
        """Bring the files up to date, and tell the broker if anything changed.

        Returns:
            Whether anything changed.

        Raises:
            UsageError: a file cannot be written; it is what it was.
        """
        moment = now or datetime.now(UTC)
        try:
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            changed = self._put(ACL_NAME, access_list(standing.kits))
            if self._authority is not None and not self._is_current(standing.revoked, moment):
                changed = self._put(CRL_NAME, self._authority.revocation_list(standing.revoked, now=moment)) or changed
        except OSError as error:
            raise UsageError(f"{self._folder} cannot be written ({error.strerror}): make it writable") from error
        if changed:
            self.tell()
        return changed

    def tell(self) -> None:
        """Have the broker read its files again; one that does not run reads them when it starts."""
        if self._pid_file is None:
            return
        try:
            os.kill(int(self._pid_file.read_text("ascii")), signal.SIGHUP)
        except (OSError, ValueError) as error:
            _log.warning("the broker could not be told (%s): does it run, is %s its pid_file?", error, self._pid_file)

    def _put(self, name: str, content: bytes) -> bool:
        file = self._folder / name
        if file.exists() and file.read_bytes() == content:
            return False
        replace_file(file, content)
        file.chmod(_FOR_ALL)
        return True

    def _is_current(self, revoked: tuple[Revoked, ...], now: datetime) -> bool:
        """Tell whether the list that is there says the same and counts for a good while."""
        try:
            there = x509.load_pem_x509_crl((self._folder / CRL_NAME).read_bytes())
        except (OSError, ValueError):
            return False
        if there.next_update_utc is None or there.next_update_utc - now < CRL_LIFE / 2:
            return False
        return {entry.serial_number for entry in there} == {int(one.serial, 16) for one in revoked}
