"""Wiping a kit: everything of its patient goes, and a kill at any moment only means that the next start goes on.

``wipe.json`` says how far it has come, and is there until it is over:

1. ``erase``: the database's key is overwritten first, so that whatever a flash disk still holds of the database cannot
   be read; then all goes that is in the data directory but who the kit is, and the recordings that it made elsewhere.
2. ``answer``: the kit begins anew under its name, and its first record, in a new outbox, tells the clinic that it was
   done; the command itself is kept, so that a clinic that sends it once more is answered and the kit not wiped twice.
3. ``leave``, where the kit is decommissioned: its key and certificate stay until the clinic has acknowledged that
   receipt; then ``gone``: they are overwritten too.
"""

import json
import logging
import shutil
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from gonio.durable import erase_file, replace_file, sync
from gonio.errors import GonioError
from gonio.gateway.allowed_sensors import SENSORS_NAME
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.keyfile import KeySource
from gonio.gateway.kit_key import FOLDER_NAME
from gonio.gateway.nameplate import PLATE_NAME
from gonio.messages import DownEnvelope

log = logging.getLogger(__name__)

MARK_NAME: Final = "wipe.json"
RECORDINGS_NAME: Final = "recordings.list"
#: What a recording's folder holds, and all that is deleted there: people may have put other things beside it.
_OF_A_RECORDING: Final = ("recording.toml", "*.csv", "*.csv.gz")

Stage: TypeAlias = Literal["erase", "answer", "leave", "gone"]


class DecommissionedError(GonioError):
    """The kit has forgotten who it was, as its clinic asked; started again it is a new one."""


class WipeMark(BaseModel):
    """How far a wipe has come.

    Attributes:
        stage: what is to be done next.
        decommission: whether the kit forgets who it is as well.
        command: the clinic's record that asks for it; None where a person at the kit does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Stage
    decommission: bool = False
    command: DownEnvelope | None = None

    def keep(self, data_dir: Path) -> None:
        """Write it down.

        Raises:
            OSError: the disk did not take it.
        """
        replace_file(data_dir / MARK_NAME, self.model_dump_json(exclude_none=True).encode())

    def at(self, stage: Stage) -> "WipeMark":
        """Give the same, come as far as this."""
        return self.model_copy(update={"stage": stage})


def read_mark(data_dir: Path) -> WipeMark | None:
    """Give how far a wipe has come; None where none is under way. A mark that says nothing one can read erases.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return WipeMark.model_validate_json((data_dir / MARK_NAME).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        return WipeMark(stage="erase")


def finish_erasing(data_dir: Path, keys: KeySource) -> None:
    """Do what a wipe that is under way has still to erase; without one it does nothing.

    The caller holds the directory's lock, and no database is open.

    Raises:
        OSError: the disk refuses; the next call goes on.
    """
    mark = read_mark(data_dir)
    if mark is None or mark.stage in {"answer", "leave"}:
        return
    keys.forget()
    _erase_recordings(data_dir)
    kept = {MARK_NAME, "kit.lock", RECORDINGS_NAME} | ({FOLDER_NAME, PLATE_NAME} if mark.stage == "erase" else set())
    for entry in sorted(data_dir.iterdir()):
        if entry.name not in kept:
            _remove(entry)
    (data_dir / RECORDINGS_NAME).unlink(missing_ok=True)
    if mark.stage == "erase":
        erase_file(IdentityFolder(data_dir).path / SENSORS_NAME)
    sync(data_dir)
    if mark.stage == "erase" and mark.command is not None:
        mark.at("answer").keep(data_dir)
    else:
        end(data_dir)


def end(data_dir: Path) -> None:
    """The wipe is over.

    Raises:
        OSError: the disk refuses.
    """
    (data_dir / MARK_NAME).unlink(missing_ok=True)
    sync(data_dir)


def remember_recording(data_dir: Path, directory: Path) -> None:
    """Note where a recording goes, so that a wipe finds it.

    Raises:
        OSError: the disk did not take it.
    """
    noted = [*recordings(data_dir), str(directory.resolve())]
    text = "".join(f"{json.dumps(one)}\n" for one in dict.fromkeys(noted))
    replace_file(data_dir / RECORDINGS_NAME, text.encode())


def recordings(data_dir: Path) -> list[str]:
    """Name the folders that recordings went to."""
    try:
        lines = (data_dir / RECORDINGS_NAME).read_text(encoding="utf-8").splitlines()
        return [one for one in map(json.loads, lines) if isinstance(one, str)]
    except (OSError, ValueError):
        return []


def _erase_recordings(data_dir: Path) -> None:
    for name in recordings(data_dir):
        folder = Path(name)
        if not (folder / "recording.toml").exists():
            continue  # gone already, or no recording (any more)
        for pattern in _OF_A_RECORDING[::-1]:  # what tells that it is one goes last
            for file in folder.glob(pattern):
                file.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
        else:
            log.warning("the recording in a folder was erased; the folder holds other files and stays")


def _remove(entry: Path) -> None:
    if entry.name == FOLDER_NAME:
        IdentityFolder(entry.parent).forget()
    elif entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
