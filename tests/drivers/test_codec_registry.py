"""Which family an advertisement is of."""

import pytest

from gonio.drivers.registry import match_advertisement
from gonio.firmware_profiles import builtin_profiles

WIT_SERVICE = "0000FFE5-0000-1000-8000-00805F9A34FB"


@pytest.mark.parametrize(
    ("name", "services", "companies", "family"),
    [
        ("Xsens DOT", [], {}, "movella_dot"),
        ("Movella DOT", [], {}, "movella_dot"),
        (None, [], {0x0886: b"\x01"}, "movella_dot"),
        ("WT901BLE67", [], {}, "witmotion_ble5"),
        ("my WT sensor", [], {}, "witmotion_ble5"),
        ("my WT sensor", [], {0x0886: b"\x01"}, "movella_dot"),
        ("HC-08", [WIT_SERVICE], {}, "witmotion_ble5"),
        ("WTVB01-BT50", [WIT_SERVICE], {}, "witmotion_wtvb01_bt50"),
        ("WTVB02-BT50", [WIT_SERVICE], {}, None),
        ("headphones", ["0000180f-0000-1000-8000-00805f9b34fb"], {0x004C: b""}, None),
        (None, [], {}, None),
    ],
)
def test_an_advertisement_finds_its_family(
    name: str | None, services: list[str], companies: dict[int, bytes], family: str | None
) -> None:
    found = match_advertisement(builtin_profiles(), name, services, companies)
    assert (found.family if found else None) == family


def test_without_profiles_nothing_is_found() -> None:
    assert match_advertisement([], "Movella DOT") is None
