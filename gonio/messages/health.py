"""How a kit is doing."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gonio.messages.wire import ShortText, Wire


class HealthReport(Wire):
    """How a kit is doing. Payload of kind ``health``, schema version 1; the newest replaces the older."""

    SCHEMA_VERSION: ClassVar[int] = 1

    software: ShortText = Field(description="gonio's version on the kit")
    platform: str = Field(default="", max_length=64, description="operating system and machine type")
    pending: int = Field(ge=0, description="records that wait for the clinic's acknowledgement")
    rejected: int = Field(default=0, ge=0, description="records that the clinic refused and the kit still holds")
    batteries_percent: dict[Literal["thigh", "shank"], Annotated[int, Field(ge=0, le=100)]] = Field(
        default_factory=dict, description="last known charge of each sensor"
    )
    troubles: tuple[Annotated[str, Field(max_length=200)], ...] = Field(default=(), max_length=8)
