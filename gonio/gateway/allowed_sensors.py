"""The sensors that a clinic gave a kit: with such a list the kit connects to and pairs no others.

Two kits in one household hear each other's sensors, and nobody may be measured by another's. The list comes by the
clinic's command ``sensors``; a sensor that is swapped is a new list. A kit without one takes what a person pairs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from gonio.durable import replace_file
from gonio.errors import UsageError
from gonio.gateway.kit_key import FOLDER_NAME
from gonio.gateway.records import PairedSensor
from gonio.messages import AllowSensors
from gonio.signal.consts import Segment

SENSORS_NAME: Final = "sensors.json"


class OtherSensorError(UsageError):
    """A sensor that the clinic did not give to this kit."""


@dataclass(frozen=True, slots=True)
class AllowedSensors:
    """Addresses, in capitals."""

    thigh: str
    shank: str

    def __str__(self) -> str:
        return f"thigh {self.thigh}, shank {self.shank}"

    @property
    def by_segment(self) -> dict[Segment, str]:
        """The address of each segment's sensor."""
        return {"thigh": self.thigh, "shank": self.shank}

    def fit(self, pairing: Mapping[Segment, PairedSensor]) -> bool:
        """Tell whether a pairing is of these sensors, each in its place."""
        return {segment: one.address.upper() for segment, one in pairing.items()} == self.by_segment

    def require(self, wanted: Mapping[Segment, str]) -> None:
        """Refuse others.

        Raises:
            OtherSensorError: an address is not the one of its segment.
        """
        for segment, address in wanted.items():
            if address != self.by_segment[segment]:
                raise OtherSensorError(
                    f"{address} is not the {segment} sensor that the clinic gave to this kit ({self}): use that one, "
                    f"or let the clinic enter the swap (gonio clinic command sensors)"
                )


def read_allowed(data_dir: Path) -> AllowedSensors | None:
    """Give the list; None where the clinic gave none.

    Raises:
        UsageError: it is there and cannot be read: no sensor may then be taken.
    """
    path = data_dir / FOLDER_NAME / SENSORS_NAME
    try:
        told = AllowSensors.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise UsageError(f"{path} cannot be read: let the clinic name this kit's sensors again") from error
    return AllowedSensors(told.thigh.upper(), told.shank.upper())


def keep_allowed(data_dir: Path, told: AllowSensors) -> None:
    """Keep what the clinic says.

    Raises:
        OSError: the disk did not take it.
    """
    folder = data_dir / FOLDER_NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(folder / SENSORS_NAME, told.model_dump_json().encode())
