"""What can go wrong between a gateway and a sensor; the type tells whether trying again can help."""

from gonio.errors import PeerError, RetryableError


class BluetoothUnavailableError(RetryableError):
    """The computer has no Bluetooth adapter that can be used now; the text says what to look at."""


class SensorNotFoundError(RetryableError):
    """No such sensor is heard."""


class SensorUnreachableError(RetryableError):
    """A sensor is heard, but no connection to it can be made."""


class SensorLostError(RetryableError):
    """A connected sensor is gone, silent, or does not answer."""


class SensorRefusedError(PeerError):
    """A sensor refused what its profile says it can do; it may be in another state or have another firmware."""


class SensorUnsuitableError(PeerError):
    """A sensor or its link lacks what the profile needs: a characteristic, a property, an MTU."""
