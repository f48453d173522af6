"""Who runs a command, as the audit log names people."""

import getpass
import os
from typing import Final

_MAX_ACTOR: Final = 128  # the audit log's bound


def operator() -> str:
    """Name the computer's user who runs the command: ``operator:LOGIN``, or the number of one without a name."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not be in its list of users
        login = str(os.getuid())
    return f"operator:{login}"[:_MAX_ACTOR]
