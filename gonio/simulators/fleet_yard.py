"""Where a fleet's kits are kept: one directory a kit, and what the fleet was begun with.

``fleet.json`` is written before the first kit is made, and holds what every record follows from. A fleet that is
started again goes on only with the same; the rate, the broker and the truth file may change.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from gonio.errors import UsageError

_FORMAT: Final = 3  # 1 knew sessions only, 2 did not sign


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What every record of a fleet follows from.

    Attributes:
        kits: how many.
        records: of each.
        seed: of all that varies.
        until: when the fleet was begun, UTC: all that it tells of lies before.
    """

    kits: int
    records: int
    seed: int
    until: datetime


class Yard:
    """A fleet's directory, locked against a second fleet from construction until :meth:`close`."""

    def __init__(self, directory: Path, *, kits: int, records: int, seed: int) -> None:
        """Begin a fleet in a directory, or go on with the one that is there.

        Raises:
            UsageError: the directory cannot be written, is in use, or holds another fleet.
        """
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(directory / "fleet.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(f"the fleet's directory {directory} cannot be written ({error.strerror})") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.plan = self._plan(kits, records, seed)
        except BlockingIOError as error:
            os.close(self._lock)
            raise UsageError(f"another fleet already runs on {directory}: stop it, or name another") from error
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Let another process have the directory."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def kit_directory(self, kit: int) -> Path:
        """Name the data directory of a kit, by its number from 1."""
        return self._directory / "kits" / f"{kit:06}"

    def _plan(self, kits: int, records: int, seed: int) -> FleetPlan:
        path = self._directory / "fleet.json"
        if not path.exists():
            if (self._directory / "kits").exists():
                raise UsageError(f"{self._directory} has kits but no fleet.json: name another directory")
            plan = FleetPlan(kits, records, seed, datetime.now(UTC))
            _write(path, plan)
            return plan
        plan = _read(path)
        if (plan.kits, plan.records, plan.seed) != (kits, records, seed):
            raise UsageError(
                f"the fleet in {self._directory} was begun with --kits {plan.kits} --records {plan.records} "
                f"--seed {plan.seed}: go on with the same, or name another directory"
            )
        return plan


def _write(path: Path, plan: FleetPlan) -> None:
    text = json.dumps({"format": _FORMAT, "simulated": True, **asdict(plan), "until": plan.until.isoformat()})
    draft = path.with_suffix(".new")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror})") from error


def _read(path: Path) -> FleetPlan:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != _FORMAT:
            raise UsageError(f"{path} was written by another version of gonio: name another directory")
        return FleetPlan(
            int(told["kits"]), int(told["records"]), int(told["seed"]), datetime.fromisoformat(told["until"])
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be read as a fleet's: name another directory") from error
