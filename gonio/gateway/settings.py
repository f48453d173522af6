"""A kit's settings: environment variables ``GONIO_KIT_*``, or what a command is given."""

import math
import os
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from gonio.errors import UsageError
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.keyfile import KEY_NAME, KeyFile, KeySource
from gonio.gateway.links.choice import SLOTS
from gonio.gateway.uplink import MqttVersion
from gonio.identity.broker import BrokerAddress, OwnCertificate
from gonio.messages import reason_of
from gonio.signal.reps.goal import Goal

LOCAL_BROKER: Final = "mqtt://127.0.0.1:1883"


def default_data_dir() -> Path:
    """Give where a kit keeps its data: ``$XDG_STATE_HOME/gonio/kit`` (XDG Base Directory Specification 0.8)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return base / "gonio" / "kit"


class KitSettings(BaseSettings):
    """What can be set on a kit; each from ``GONIO_KIT_`` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="GONIO_KIT_", extra="forbid", frozen=True)

    data_dir: Path = Field(default_factory=default_data_dir, description="where sessions and outbox are kept")
    key_file: Path | None = Field(
        default=None, description="the key that the data is encrypted with; none for kit.key in the data directory"
    )
    broker: str | None = Field(
        default=None,
        description="mqtts://host:port, or mqtt:// to this machine; none for the enrolled clinic's, or this machine's",
    )
    broker_ca: Path | None = Field(default=None, description="PEM file of authorities to trust, not the system's")
    broker_cert: Path | None = Field(default=None, description="PEM file of the kit's own certificate")
    broker_key: Path | None = Field(default=None, description="PEM file of that certificate's key")
    broker_username: str | None = None
    broker_password: SecretStr | None = None
    mqtt_version: MqttVersion = Field(default="3.1.1", description="5 only where the broker speaks it")
    exercise: str | None = Field(default=None, description="the exercise; none to recognise it")
    side: Literal["left", "right"] = Field(default="right", description="the leg that wears the sensors")
    target_flexion_deg: float | None = Field(default=None, gt=0, le=160, description="each to be bent to at least")
    target_extension_deg: float | None = Field(
        default=None, ge=-20, lt=90, description="each to be straightened to at most"
    )
    target_height_deg: float | None = Field(default=None, gt=0, le=120, description="the leg to be raised by at least")
    target_hold_s: float | None = Field(default=None, gt=0, le=120, description="each to be held at least, s")
    keep_calibration: bool = Field(default=True, description="begin with what the last session found, where it fits")
    adapter_slots: int = Field(default=SLOTS, ge=1, le=16, description="sensors that one Bluetooth adapter may carry")
    keep_days: int = Field(default=400, ge=1, le=3650, description="records are kept so long once the clinic has them")
    emergency: str = Field(
        default="911", pattern=r"^[0-9+ ]{2,16}$", description="whom the patient's page says to call"
    )
    signs: Path | None = Field(
        default=None, description="a program that shows lights and makes sounds; none: there are no"
    )
    scan_s: float = Field(default=10.0, gt=0, le=300, description="how long to look for sensors, s")

    @classmethod
    def load(cls, **given: object) -> "KitSettings":
        """Read the environment; what is given and not None goes before it.

        Raises:
            UsageError: a setting cannot be read; the text names it and never shows its value.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            raise UsageError(f"a setting of the kit (GONIO_KIT_*) is wrong: {reason_of(error)}") from error

    def keys(self) -> KeySource:
        """Give where the database's key is kept."""
        return KeyFile(self.key_file or self.data_dir / KEY_NAME)

    def goal(self) -> Goal | None:
        """Give what every repetition is to reach; None when nothing is asked."""
        angles = (self.target_flexion_deg, self.target_extension_deg, self.target_height_deg)
        flexion, extension, height = (None if angle is None else math.radians(angle) for angle in angles)
        goal = Goal(flexion=flexion, extension=extension, height=height, hold_s=self.target_hold_s)
        return None if goal == Goal() else goal

    def broker_address(self) -> BrokerAddress:
        """Give the broker to connect to: the one that is set, else the enrolled clinic's, else one on this machine.

        An enrolled kit shows its certificate and trusts its clinic's authority, wherever nothing else is set.

        Raises:
            UsageError: the address cannot be used.
        """
        folder = IdentityFolder(self.data_dir)
        enrolment = folder.enrolment()
        if self.broker is None and enrolment is not None:
            own = OwnCertificate.of(self.broker_cert, self.broker_key)
            return BrokerAddress.parse(
                enrolment.broker,
                ca_file=self.broker_ca or folder.authority_file,
                own=own or OwnCertificate(folder.certificate_file, folder.key_file),
            )
        return BrokerAddress.parse(
            self.broker or LOCAL_BROKER,
            ca_file=self.broker_ca,
            own=OwnCertificate.of(self.broker_cert, self.broker_key),
            username=self.broker_username,
            password=self.broker_password.get_secret_value() if self.broker_password else None,
        )
