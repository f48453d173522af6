"""The kit's name beside its database, so that a kit whose database is destroyed is still the same kit."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from gonio.durable import replace_file

PLATE_NAME: Final = "kit.id"
_KIT_ID: Final = re.compile(r"kit-[0-9a-f]{16}")
_CHECK: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Nameplate:
    """What must outlive the database.

    Attributes:
        kit_id: the kit's name.
        key_check: tells the database's key from another, see ``keyfile.key_check``.
    """

    kit_id: str
    key_check: str


def is_kit_id(text: str) -> bool:
    """Tell whether a text can be a kit's name."""
    return _KIT_ID.fullmatch(text) is not None


def read_plate(directory: Path) -> Nameplate | None:
    """Give what the plate says; None where there is none or it cannot be read."""
    try:
        text = (directory / PLATE_NAME).read_bytes()[:1024].decode("utf-8")
        data = json.loads(text)
    except (OSError, ValueError):
        return None
    match data:
        case {"kit_id": str(kit_id), "key_check": str(check)} if is_kit_id(kit_id) and _CHECK.fullmatch(check):
            return Nameplate(kit_id, check)
    return None


def keep_plate(directory: Path, plate: Nameplate) -> None:
    """Write the plate, unless it says so already.

    Raises:
        OSError: the disk did not take it.
    """
    if read_plate(directory) != plate:
        replace_file(directory / PLATE_NAME, f"{json.dumps(asdict(plate))}\n".encode())
