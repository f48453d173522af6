"""The patient's time zone: in it days are counted and times are written."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class PatientZone:
    """A time zone by its IANA name; UTC, and saying so, where this computer does not know the name."""

    def __init__(self, name: str) -> None:
        self.known = True
        try:
            self._zone: tzinfo = ZoneInfo(name)
            self.name = name
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.known = False
            self._zone = UTC
            self.name = "UTC"

    def local(self, moment: datetime) -> datetime:
        """Give an aware moment in this zone."""
        return moment.astimezone(self._zone)

    @property
    def label(self) -> str:
        """Name the zone under the times of a page."""
        if self.known:
            return f"times in {self.name.replace('_', ' ')}"
        return "times in UTC: the patient's time zone is not known to this computer"
