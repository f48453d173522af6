"""The newest moment that a kit knows for sure: what tells it that its clock is wrong, also before any NTP.

It is the latest of: the day from which this software is, the beginning of the kit's certificate, and the moment kept
from its last contact with the clinic. A contact counts when the clinic acknowledged a record, over a TLS connection
that was begun at that moment and whose certificate held at it: whatever the clock does afterwards, the moment kept is
never beyond what the broker's certificate covers, so that a clock that leaps ahead cannot shut the kit out for good.
"""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gonio.durable import replace_file
from gonio.gateway.identity_folder import IdentityFolder
from gonio.identity.certificates import CertificateError

log = logging.getLogger(__name__)

#: No software of this version ran before; to be raised with each release.
SOFTWARE_FROM: Final = datetime(2026, 11, 1, tzinfo=UTC)
NAME: Final = "newest-moment"
#: A moment this much later than the one on the disk is worth a write.
WORTH_KEEPING: Final = timedelta(hours=1)


class KnownMoment:
    """The newest known moment of a kit, kept in its identity folder."""

    def __init__(self, data_dir: Path) -> None:
        """Read it; one that cannot be read counts as none."""
        self._folder = IdentityFolder(data_dir)
        self._file: Path = self._folder.path / NAME
        self._kept = self._read()

    @property
    def newest(self) -> datetime:
        """The moment, aware: it is later than this, whatever the clock says."""
        try:
            certificate = self._folder.certificate()
        except CertificateError:
            certificate = None
        known = [SOFTWARE_FROM, self._kept, certificate.not_before if certificate else None]
        return max(moment for moment in known if moment is not None)

    def behind(self, now: datetime) -> datetime | None:
        """Give the newest known moment where the clock is behind it, and None where the clock is to be believed."""
        newest = self.newest
        return newest if now < newest else None

    def at_least(self, now: datetime) -> datetime:
        """Give the clock's moment, or the newest known one where the clock is behind it."""
        return max(now, self.newest)

    def learn(self, moment: datetime) -> None:
        """Keep a moment that is known for sure; a disk that refuses costs this and nothing else."""
        if self._kept is not None and moment < self._kept + WORTH_KEEPING:
            return
        self._kept = moment.astimezone(UTC)
        try:
            self._folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._file, self._kept.isoformat(timespec="seconds").encode("ascii"))
        except OSError as error:
            log.warning("%s cannot be written: %s", self._file.name, error.strerror)

    def _read(self) -> datetime | None:
        try:
            kept = datetime.fromisoformat(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return kept if kept.tzinfo is not None else None
