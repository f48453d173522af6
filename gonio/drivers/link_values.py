"""What a link to a sensor is told, and what it tells."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, real s.

    Attributes:
        connect_s: for one connection attempt, discovery of services included.
        attempts: connection attempts before giving up.
        backoff_s: pause before the second attempt; it doubles with each, and varies by half.
        operation_s: for the answer to a read, write or subscription.
        mtu_s: for the MTU to become known after connecting.
        first_data_s: from the start of a stream to its first notification.
        silence_s: without a notification in a running stream, after which the sensor is lost.
        disconnect_s: for an orderly goodbye.
    """

    connect_s: float = 10.0
    attempts: int = 4
    backoff_s: float = 0.5
    operation_s: float = 5.0
    mtu_s: float = 5.0
    first_data_s: float = 10.0
    silence_s: float = 3.0
    disconnect_s: float = 5.0

    def __post_init__(self) -> None:
        waits = (self.connect_s, self.operation_s, self.first_data_s, self.silence_s, self.disconnect_s)
        if min(waits) <= 0 or min(self.backoff_s, self.mtu_s) < 0 or self.attempts < 1:
            raise ValueError("every wait is above 0, backoff_s and mtu_s are not negative, attempts is at least 1")


@dataclass(frozen=True, slots=True)
class SensorInfo:
    """What a connected sensor is.

    Attributes:
        address: its Bluetooth address.
        name: as advertised.
        family: its profile.
        firmware: version as the family writes it, "" when it does not tell.
        battery_percent: charge, None when it does not tell.
        rate_hz: nominal sample rate of the stream, Hz.
        mtu: negotiated ATT MTU, bytes.
    """

    address: str
    name: str
    family: str
    firmware: str
    battery_percent: int | None
    rate_hz: float
    mtu: int


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """What has come over a link so far.

    Attributes:
        notifications: of the stream.
        bytes: in them.
        malformed: packets that could not be decoded.
        repeated: notifications that were delivered again, byte for byte, and left out.
        dropped: notifications lost because nobody took them in time.
        restarts: times the sensor's clock began anew.
    """

    notifications: int = 0
    bytes: int = 0
    repeated: int = 0
    malformed: int = 0
    dropped: int = 0
    restarts: int = 0
