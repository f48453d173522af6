"""The families that virtual sensors exist of: a line for each."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from gonio.errors import UsageError
from gonio.simulators.peripheral_dot import DotFirmware
from gonio.simulators.peripheral_firmware import Firmware
from gonio.simulators.peripheral_flat import (
    BlueStFirmware,
    InfiniTimeFirmware,
    MicrobitFirmware,
    SensorTagFirmware,
    ThingyFirmware,
)
from gonio.simulators.peripheral_gonio_ref import GonioRefFirmware
from gonio.simulators.peripheral_metamotion import MetaMotionFirmware
from gonio.simulators.peripheral_movesense import MovesenseFirmware
from gonio.simulators.peripheral_polar import PolarFirmware
from gonio.simulators.peripheral_wit import WitFirmware


class VirtualFamily(NamedTuple):
    """How a family is simulated.

    Attributes:
        firmware: what answers and measures.
        name: beginning of the advertised name, 17 characters at most; it fits the profile and says SIM.
        address: the first five bytes of the static random address.
    """

    firmware: type[Firmware]
    name: str
    address: str


FAMILIES: Final[Mapping[str, VirtualFamily]] = {
    "movella_dot": VirtualFamily(DotFirmware, "Movella DOT SIM", "D4:22:CD:51:4D"),
    "witmotion_ble5": VirtualFamily(WitFirmware, "WT901BLE67 SIM", "E5:57:49:54:4D"),
    "gonio_ref": VirtualFamily(GonioRefFirmware, "gonio-ref SIM", "EE:67:72:65:66"),
    "nordic_thingy52": VirtualFamily(ThingyFirmware, "Thingy SIM", "E8:54:48:35:32"),
    "ti_cc2650": VirtualFamily(SensorTagFirmware, "SensorTag 2.0 SIM", "F0:54:49:26:50"),
    "bbc_microbit": VirtualFamily(MicrobitFirmware, "BBC micro:bit SIM", "D3:42:42:43:4D"),
    "infinitime": VirtualFamily(InfiniTimeFirmware, "InfiniTime SIM", "D0:50:54:49:4E"),
    "st_bluest": VirtualFamily(BlueStFirmware, "STile SIM", "C0:53:54:42:4C"),
    "mbientlab_metamotion": VirtualFamily(MetaMotionFirmware, "MetaWear SIM", "F1:4D:45:54:41"),
    "polar_pmd": VirtualFamily(PolarFirmware, "Polar Sense SIM", "E0:9E:1A:56:53"),
    "polar_oh1": VirtualFamily(PolarFirmware, "Polar OH1 SIM", "E0:9E:1A:4F:48"),
    "polar_h10": VirtualFamily(PolarFirmware, "Polar H10 SIM", "E0:9E:1A:48:31"),
    "movesense_gsp": VirtualFamily(MovesenseFirmware, "Movesense SIM", "CC:8C:DC:4D:53"),
}


def simulated_families() -> tuple[str, ...]:
    """The families that virtual sensors exist of."""
    return tuple(FAMILIES)


def virtual_family(family: str) -> VirtualFamily:
    """Give how a family is simulated.

    Raises:
        UsageError: it is not.
    """
    if family not in FAMILIES:
        known = ", ".join(simulated_families())
        raise UsageError(f"there is no virtual sensor of the family {family}; there are {known}")
    return FAMILIES[family]


def sensor_name(family: str, number: int) -> str:
    """Name of the n-th virtual sensor of a family; it fits the profile and says that it is simulated."""
    return f"{virtual_family(family).name} {number}"


def sensor_address(family: str, number: int) -> str:
    """Static random address of the n-th virtual sensor of a family (0 to 255)."""
    return f"{virtual_family(family).address}:{number:02X}"
