"""Which time zone this computer lives in: the days and hours that a person at the kit reads."""

import os
from contextlib import suppress
from zoneinfo import ZoneInfo


def local_time_zone() -> str:
    """Name this machine's time zone, or UTC where it cannot be told."""
    link = os.path.realpath("/etc/localtime")
    for name in (os.environ.get("TZ", ""), link.partition("zoneinfo/")[2]):
        with suppress(KeyError, ValueError, OSError):
            if name:
                return ZoneInfo(name).key
    return "UTC"
