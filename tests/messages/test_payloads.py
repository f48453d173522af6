"""What people say, what kits answer and what clinics send: each kind by its schema, and nothing else."""

import json
import uuid
import zlib
from contextlib import suppress
from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from gonio import messages
from gonio.messages import (
    AllowSensors,
    Capture,
    CheckIn,
    ClinicMessage,
    DownEnvelope,
    DownKind,
    EndedOutbox,
    Envelope,
    GoalReport,
    HandExercise,
    HealthReport,
    Identify,
    Kind,
    MessageError,
    PatientMessage,
    Pause,
    Preference,
    Prescribed,
    Program,
    Receipt,
    Reminder,
    Resend,
    RotateCredentials,
    VoidReport,
    Wipe,
)

ID = uuid.UUID("01900000-0000-7000-8000-000000000001")

UP: dict[Kind, BaseModel] = {
    Kind.CHECK_IN: CheckIn(
        follows=ID,
        pain_during=4,
        effort=6,
        symptoms=("swelling",),
        stop_reason="tired",
        by_hand=(HandExercise(exercise="heel-slide", side="left", sets=2, reps=10),),
        about=date(2026, 7, 1),
        note="Stiff in the morning, ü",
    ),
    Kind.VOID: VoidReport(record_id=ID, reason="not-me", author="caregiver"),
    Kind.MESSAGE: PatientMessage(text="Is this swelling normal?", about=ID, ask=True),
    Kind.PREFERENCE: Preference(
        reminders=(Reminder(at=time(8, 30), weekdays=(1, 3, 5)),),
        quiet_from=time(21),
        quiet_to=time(7),
        pause=Pause(since=date(2026, 7, 1), until=date(2026, 7, 9), reason="travel"),
    ),
    Kind.RECEIPT: Receipt(of=ID, of_kind=DownKind.PROGRAM, status="refused", reason="exercise not known"),
}

DOWN: tuple[tuple[DownKind, BaseModel], ...] = (
    (
        DownKind.PROGRAM,
        Program(
            program_id=ID,
            version=3,
            valid_from=date(2026, 7, 1),
            exercises=(
                Prescribed(exercise="heel-slide", side="left", sets=3, reps=10, goal=GoalReport(flexion_deg=95.0)),
                Prescribed(exercise="quad-set", side="left", duration_s=60.0, weekdays=(6, 7), ceiling_deg=90.0),
            ),
        ),
    ),
    (DownKind.MESSAGE, ClinicMessage(text="Well done", sender="Your physiotherapist", answers=ID)),
    (DownKind.COMMAND, Identify(do="identify")),
    (DownKind.COMMAND, Capture(do="capture", duration_s=60.0)),
    (DownKind.COMMAND, RotateCredentials(do="rotate-credentials")),
    (DownKind.COMMAND, Wipe(do="wipe", at_once=True)),
    (DownKind.COMMAND, Wipe(do="wipe", decommission=True)),
    (DownKind.COMMAND, AllowSensors(do="sensors", thigh="D4:22:CD:00:00:01", shank="D4:22:CD:00:00:02")),
    (DownKind.COMMAND, Resend(do="resend", outbox_id=ID, first=3, last=9)),
)


def up(kind: Kind, payload: str, version: int = 1) -> Envelope:
    numbered = kind is not Kind.HEALTH
    return Envelope(
        record_id=ID,
        kind=kind,
        kit_id="kit-0001",
        outbox_id=ID if numbered else None,
        sequence=1 if numbered else None,
        boot_id=ID,
        monotonic_ns=1,
        captured_at=messages.wire_time(datetime(2026, 7, 1, tzinfo=UTC)),
        clock="synchronised",
        schema_version=version,
        payload=payload,
    )


def down(envelope_kind: DownKind, text: str, **changes: object) -> DownEnvelope:
    fields: dict[str, object] = {
        "record_id": ID,
        "kind": envelope_kind,
        "kit_id": "kit-0001",
        "outbox_id": ID,
        "sequence": 1,
        "created_at": "2026-07-01T09:40:00.000+02:00",
        "schema_version": 1,
        "payload": text,
    }
    return DownEnvelope.model_validate(fields | changes)


@pytest.mark.parametrize("kind", UP)
def test_what_is_said_reads_back_as_it_was(kind: Kind) -> None:
    assert messages.read_payload(up(kind, messages.payload_text(UP[kind]))) == UP[kind]


@pytest.mark.parametrize(("kind", "payload"), DOWN)
def test_what_a_clinic_sends_reads_back_as_it_was(kind: DownKind, payload: BaseModel) -> None:
    sent = down(kind, messages.payload_text(payload))
    assert messages.unpack_down(messages.pack_down([sent])) == [sent]
    assert messages.read_down(sent) == payload


@pytest.mark.parametrize("kind", [*UP, Kind.HEALTH, Kind.SESSION])
def test_a_version_of_tomorrow_is_refused_and_not_guessed(kind: Kind) -> None:
    with pytest.raises(MessageError, match="not known"):
        messages.read_payload(up(kind, "{}", version=99))


def test_health_of_version_1_is_read_beside_that_of_version_2() -> None:
    old = messages.read_health(up(Kind.HEALTH, '{"software":"0.1","pending":3}'))
    assert (old.pending, old.outbox_id, old.last_sequence, old.ended) == (3, None, None, ())
    new = HealthReport(
        software="0.2",
        pending=3,
        outbox_id=ID,
        last_sequence=40,
        oldest_pending=38,
        ended=(EndedOutbox(outbox_id=ID, last_sequence=9, saved=7, lost=((3, 4),)),),
    )
    assert messages.read_health(up(Kind.HEALTH, messages.payload_text(new), version=2)) == new
    with pytest.raises(MessageError, match="no health"):
        messages.read_health(up(Kind.VOID, "{}"))


@given(st.sampled_from(list(Kind)), st.integers(1, 3), st.text(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
).map(json.dumps))  # fmt: skip
def test_any_payload_is_read_or_refused_with_our_error(kind: Kind, version: int, text: str) -> None:
    sent = up(kind, text.encode("utf-8", "replace").decode(), version)
    with suppress(MessageError):  # any other error is the test's failure
        assert messages.read_payload(sent).model_dump() is not None


@given(st.binary(max_size=300))
def test_any_bytes_from_a_clinic_are_read_or_refused_with_our_error(data: bytes) -> None:
    for attempt in (data, zlib.compress(data)):
        with pytest.raises(MessageError):  # no random bytes make an envelope
            messages.unpack_down(attempt)


@pytest.mark.parametrize(
    ("pain", "red_flags", "urgent"), [(6, (), False), (7, (), True), (None, ("fever",), True), (0, (), False)]
)
def test_severe_pain_and_red_flags_are_urgent(pain: int | None, red_flags: tuple[str, ...], *, urgent: bool) -> None:
    check_in = CheckIn(pain_after=pain, red_flags=red_flags)
    assert (check_in.urgent, check_in.worst_pain) == (urgent, pain)


def test_a_check_in_says_something() -> None:
    with pytest.raises(ValidationError, match="at least one thing"):
        CheckIn(note="  ")
    assert CheckIn(pain_before=0).worst_pain == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"pain_during": 11},
        {"pain_during": -1},
        {"pain_during": 3.5},
        {"note": "x" * 4001},
        {"symptoms": ["Knee of Mrs Smith"]},
        {"stop_reason": "bored"},
        {"pain_after": 1, "said_by": "robot"},
        {"by_hand": [{"exercise": "heel-slide", "side": "both"}]},
    ],
)
def test_a_check_in_against_its_schema_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(MessageError):
        messages.read_payload(up(Kind.CHECK_IN, json.dumps(fields)))


def test_one_sensor_cannot_be_on_thigh_and_shank() -> None:
    with pytest.raises(ValueError, match="not the same one"):
        AllowSensors(do="sensors", thigh="d4:22:cd:00:00:01", shank="D4:22:CD:00:00:01")


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match="ends on the day"):
        Pause(since=date(2026, 7, 2), until=date(2026, 7, 1), reason="travel")
    with pytest.raises(ValidationError, match="by repetitions or by time"):
        Prescribed(exercise="heel-slide", side="left")
    with pytest.raises(ValidationError, match="first is at most last"):
        Resend(do="resend", outbox_id=ID, first=2, last=1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "ack"}, "acknowledgement is no record"),
        ({"created_at": "2026-02-30T00:00:00.000+00:00"}, "ISO 8601"),
        ({"sequence": 0}, "greater than or equal to 1"),
        ({"payload": "x" * (messages.MAX_PAYLOAD_BYTES + 1)}, "the payload is over"),
    ],
)
def test_an_envelope_of_the_clinic_against_its_schema_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        down(DownKind.MESSAGE, "{}", **changes)


@pytest.mark.parametrize(
    ("kind", "payload", "version", "reason"),
    [
        (DownKind.COMMAND, '{"do":"explode"}', 1, "^record: no such choice$"),
        (DownKind.COMMAND, "{}", 1, "no such choice"),
        (DownKind.PROGRAM, '{"version":1}', 1, "required"),
        (DownKind.MESSAGE, "no json", 1, "JSON"),
        (DownKind.MESSAGE, "{}", 2, "not known here"),
    ],
)
def test_a_clinics_record_that_cannot_be_read_says_why(kind: DownKind, payload: str, version: int, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        messages.read_down(down(kind, payload, schema_version=version))


@pytest.mark.parametrize("field", ["record_id", "kit_id", "sequence", "created_at", "payload", "outbox_id", "kind"])
def test_the_clinics_signature_covers_the_header_too(field: str) -> None:
    other = {
        "record_id": uuid.UUID(int=7),
        "kit_id": "kit-0002",
        "sequence": 2,
        "created_at": "2026-07-02T09:40:00.000+02:00",
        "payload": "[]",
        "outbox_id": uuid.UUID(int=8),
        "kind": "program",
    }
    sent = down(DownKind.MESSAGE, "{}")
    assert down(DownKind.MESSAGE, "{}", **{field: other[field]}).signed_bytes() != sent.signed_bytes()


def test_an_empty_or_overfull_publish_of_the_clinic_is_not_written() -> None:
    with pytest.raises(MessageError):
        messages.pack_down([])
    with pytest.raises(MessageError):
        messages.pack_down([down(DownKind.MESSAGE, "{}")] * (messages.MAX_ENVELOPES + 1))
