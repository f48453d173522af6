"""The objects that BlueZ has on the bus: where they live and what they say (BlueZ's doc/org.bluez.*.rst)."""

from typing import Final, TypeAlias

from bleak.backends.bluezdbus import defs
from dbus_fast import Variant

from gonio.firmware_profiles.parts import Characteristic
from tests.bluez.fake_sensor import FakeSensor

SERVICE: Final = defs.BLUEZ_SERVICE
ADAPTER: Final = defs.ADAPTER_INTERFACE
DEVICE: Final = defs.DEVICE_INTERFACE
GATT_SERVICE: Final = defs.GATT_SERVICE_INTERFACE
CHARACTERISTIC: Final = defs.GATT_CHARACTERISTIC_INTERFACE
PROPERTIES: Final = defs.PROPERTIES_INTERFACE
OBJECTS: Final = defs.OBJECT_MANAGER_INTERFACE
DAEMON: Final = "org.freedesktop.DBus"
NOT_READY: Final = (f"{SERVICE}.Error.NotReady", "Resource Not Ready")

#: Properties of one interface.
Values: TypeAlias = dict[str, Variant]


def adapter_path(adapter: str) -> str:
    """Where an adapter (``hci0``) lives on the bus."""
    return f"/org/bluez/{adapter}"


def device_path(sensor: FakeSensor, adapter: str = "hci0") -> str:
    """Where a sensor lives on the bus."""
    return f"{adapter_path(adapter)}/dev_{sensor.address.replace(':', '_')}"


def adapter_values(number: int) -> Values:
    """What an adapter says of itself."""
    return {
        "Address": Variant("s", f"00:AA:01:00:00:{number:02X}"),
        "Powered": Variant("b", True),
        "Discovering": Variant("b", False),
        "Roles": Variant("as", ["central", "peripheral"]),
    }


def device_values(sensor: FakeSensor, adapter: str, rssi: Variant) -> Values:
    """What is known of a sensor that was heard."""
    no = Variant("b", False)
    company = sensor.profile.match.company_id
    return {
        "Address": Variant("s", sensor.address),
        "AddressType": Variant("s", "random"),
        "Name": Variant("s", sensor.name),
        "Alias": Variant("s", sensor.name),
        "Adapter": Variant("o", adapter_path(adapter)),
        "RSSI": rssi,
        "UUIDs": Variant("as", list(sensor.profile.match.services)),
        "ManufacturerData": Variant("a{qv}", {} if company is None else {company: Variant("ay", b"SIM")}),
        **dict.fromkeys(("Connected", "ServicesResolved", "Paired", "Bonded"), no),
    }


def service_values(uuid: str, device: str) -> Values:
    """What a service of the device at a path says."""
    return {"UUID": Variant("s", uuid), "Device": Variant("o", device), "Primary": Variant("b", True)}


def characteristic_values(described: Characteristic, service: str, mtu: int) -> Values:
    """What a characteristic of the service at a path says, over a link of an ATT MTU."""
    return {
        "UUID": Variant("s", described.uuid),
        "Service": Variant("o", service),
        "Flags": Variant("as", list(described.properties)),
        "MTU": Variant("q", mtu),
        "NotifyAcquired": Variant("b", False),
    }
