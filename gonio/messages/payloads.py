"""From a record's kind to its payload: the one place that knows which schema belongs to which kind."""

from typing import Final, TypeAlias

from pydantic import BaseModel, ValidationError

from gonio.messages.check_in import CheckIn, VoidReport
from gonio.messages.envelope import Envelope
from gonio.messages.health import HealthReport, read_health
from gonio.messages.patient import PatientMessage, Preference
from gonio.messages.receipt import Receipt
from gonio.messages.session import SessionSummary, read_session
from gonio.messages.wire import Kind, MessageError, reason_of

Payload: TypeAlias = SessionSummary | CheckIn | VoidReport | PatientMessage | Preference | Receipt | HealthReport

#: Kinds with one schema version so far.
_BY_KIND: Final[dict[Kind, type[BaseModel]]] = {
    Kind.CHECK_IN: CheckIn,
    Kind.VOID: VoidReport,
    Kind.MESSAGE: PatientMessage,
    Kind.PREFERENCE: Preference,
    Kind.RECEIPT: Receipt,
}


def read_payload(envelope: Envelope) -> Payload:
    """Parse a record's payload by its kind and schema version.

    Raises:
        MessageError: a schema version this software does not know, or a payload against its schema.
    """
    if envelope.kind is Kind.SESSION:
        return read_session(envelope)
    if envelope.kind is Kind.HEALTH:
        return read_health(envelope)
    if envelope.schema_version != 1:
        raise MessageError(f"schema version {envelope.schema_version} of {envelope.kind.value} is not known here")
    try:
        return _BY_KIND[envelope.kind].model_validate_json(envelope.payload)  # type: ignore[return-value]
    except ValidationError as error:
        raise MessageError(reason_of(error)) from error
