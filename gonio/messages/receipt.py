"""A kit's word on what the clinic sent it."""

import uuid
from typing import ClassVar, Literal

from pydantic import Field

from gonio.messages.wire import DownKind, Wire


class Receipt(Wire):
    """What became of a record of the clinic's at the kit. Payload of kind ``receipt``, schema version 1.

    ``received``: it is on the kit's disk; ``applied``: it is in force, or the command was carried out; ``read``: a
    person has seen it; ``refused``: it cannot be applied, with the reason.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    of: uuid.UUID = Field(description="record_id of the clinic's record")
    of_kind: DownKind
    status: Literal["received", "applied", "read", "refused"]
    reason: str | None = Field(default=None, max_length=500)
