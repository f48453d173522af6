"""Everything that crosses the wire between kit and clinic.

A *publish* is zlib of a JSON list of 1 to ``MAX_ENVELOPES`` envelopes. An *envelope* carries one record: what it is,
where it stands in its kit's gapless sequence, when it was captured, and the payload as the very text that the kit
stored (and signs). Nobody re-makes that text: the clinic stores, verifies and parses the same bytes.

Versioning
    The topic carries the envelope's version (``gonio/v1/...``); ``schema_version`` is the version of the payload of
    that kind. A reader refuses a version it does not know, with its reason: it never guesses. Unknown *fields* are
    refused too, so that a newer kit is told and keeps its copy, in place of a clinic that silently drops a finding.

Limits
    What a peer can make us allocate is bounded before it is allocated: see the constants.
"""

from gonio.messages.acks import (
    Ack,
    AckBatch,
    AckStatus,
    pack_acks,
    unpack_acks,
)
from gonio.messages.check_in import (
    SEVERE_PAIN,
    CheckIn,
    HandExercise,
    VoidReport,
)
from gonio.messages.down import (
    COMMAND_VERSION,
    AllowSensors,
    Capture,
    ClinicMessage,
    DownEnvelope,
    DownPayload,
    Identify,
    Prescribed,
    Program,
    Resend,
    RotateCredentials,
    Wipe,
    pack_down,
    read_down,
    unpack_down,
)
from gonio.messages.envelope import (
    BadRecord,
    Envelope,
    new_record_id,
    pack,
    unpack,
    wire_time,
)
from gonio.messages.health import (
    EndedOutbox,
    HealthReport,
    read_health,
)
from gonio.messages.patient import (
    PatientMessage,
    Pause,
    Preference,
    Reminder,
)
from gonio.messages.payloads import (
    Payload,
    read_payload,
)
from gonio.messages.receipt import (
    Receipt,
)
from gonio.messages.session import (
    AngleCurve,
    GoalReport,
    RepReport,
    SensorReport,
    SessionSummary,
    SetReport,
    read_session,
)
from gonio.messages.topics import (
    UP_FILTER,
    down_topic,
    kit_of_topic,
    up_topic,
)
from gonio.messages.wire import (
    ENVELOPE_VERSION,
    MAX_ENVELOPES,
    MAX_INFLATED_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_PUBLISH_BYTES,
    DownKind,
    Kind,
    KitId,
    MessageError,
    degrees,
    payload_text,
    reason_of,
)

__all__ = [
    "COMMAND_VERSION",
    "ENVELOPE_VERSION",
    "MAX_ENVELOPES",
    "MAX_INFLATED_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_PUBLISH_BYTES",
    "SEVERE_PAIN",
    "UP_FILTER",
    "Ack",
    "AckBatch",
    "AckStatus",
    "AllowSensors",
    "AngleCurve",
    "BadRecord",
    "Capture",
    "CheckIn",
    "ClinicMessage",
    "DownEnvelope",
    "DownKind",
    "DownPayload",
    "EndedOutbox",
    "Envelope",
    "GoalReport",
    "HandExercise",
    "HealthReport",
    "Identify",
    "Kind",
    "KitId",
    "MessageError",
    "PatientMessage",
    "Pause",
    "Payload",
    "Preference",
    "Prescribed",
    "Program",
    "Receipt",
    "Reminder",
    "RepReport",
    "Resend",
    "RotateCredentials",
    "SensorReport",
    "SessionSummary",
    "SetReport",
    "VoidReport",
    "Wipe",
    "degrees",
    "down_topic",
    "kit_of_topic",
    "new_record_id",
    "pack",
    "pack_acks",
    "pack_down",
    "payload_text",
    "read_down",
    "read_health",
    "read_payload",
    "read_session",
    "reason_of",
    "unpack",
    "unpack_acks",
    "unpack_down",
    "up_topic",
    "wire_time",
]
