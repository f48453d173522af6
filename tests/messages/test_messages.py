"""The wire between kit and clinic: exact, bounded, and never guessing."""

import json
import random
import uuid
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gonio import messages
from gonio.messages import (
    Ack,
    AckBatch,
    AckStatus,
    AngleCurve,
    BadRecord,
    DownKind,
    Envelope,
    GoalReport,
    Kind,
    MessageError,
    RepReport,
    SensorReport,
    SessionSummary,
    SetReport,
)

BERLIN_SUMMER = timezone(timedelta(hours=2))


def rep(number: int) -> RepReport:
    """Make a repetition with every figure, no two alike: what a signal of a real leg compresses to."""
    jitter = random.Random(number).uniform  # noqa: S311 - a test's
    start = round(5.0 * number + jitter(0, 0.5), 2)
    return RepReport(
        start_s=start,
        peak_s=round(start + jitter(1.8, 2.2), 2),
        end_s=round(start + jitter(3.8, 4.2), 2),
        signal="knee",
        peak_flexion_deg=round(jitter(88, 94), 1),
        min_flexion_deg=round(jitter(2, 6), 1),
        rom_deg=round(jitter(84, 90), 1),
        concentric_s=round(jitter(1.2, 1.8), 2),
        hold_s=round(jitter(0.3, 0.9), 2),
        eccentric_s=round(jitter(1.2, 1.8), 2),
        peak_velocity_dps=round(jitter(70, 95), 1),
        smoothness=round(jitter(-2.6, -1.8), 2),
        complete=number % 6 != 5,
        on_target=number % 4 != 3,
    )


def old_rep(start: float) -> RepReport:
    return RepReport(
        start_s=start,
        peak_s=start + 2,
        end_s=start + 4,
        signal="knee",
        peak_flexion_deg=91.3,
        min_flexion_deg=4.2,
        rom_deg=87.1,
    )


SET = SetReport(
    start_s=0.2, end_s=59.0, complete=10, partial=2, on_target=9, rom_mean_deg=87.2, rom_cv=0.031, rep_s=4.02,
    tempo_trend=0.018,
)  # fmt: skip


def summary(reps: int = 12) -> SessionSummary:
    sensor = SensorReport(segment="thigh", family="movella_dot", name="Movella DOT", samples=3600, rate_hz=60.0)
    curve = [round(45 - 45 * abs(1 - (k / 8) % 2)) + k % 3 for k in range(200)]
    return SessionSummary(
        sitting_id=uuid.uuid4(),
        exercise="heel-slide",
        side="left",
        source="simulated",
        duration_s=60.0,
        reps=tuple(rep(k) for k in range(reps)),
        max_flexion_deg=91.3,
        min_flexion_deg=4.2,
        zero="standing",
        calibrated_at_s=11.0,
        ok_fraction=0.9,
        sensors=(sensor, sensor.model_copy(update={"segment": "shank"})),
        curve=AngleCurve(step_s=0.3, flexion_deg=tuple(curve)),
        goal=GoalReport(flexion_deg=90.0, hold_s=0.5),
        sets=(SET,),
        steps=14,
        walking_s=11.2,
        likeness=0.93,
        software="0.1.0",
    )


def old_summary() -> SessionSummary:
    """Make a session of schema version 1: nothing in it that version 2 brought."""
    new = {"reps": tuple(old_rep(5.0 * k) for k in range(12)), "goal": None, "sets": (), "steps": 0, "walking_s": 0.0}
    return summary().model_copy(update={**new, "likeness": None})


def envelope(**changes: object) -> Envelope:
    fields: dict[str, object] = {
        "record_id": messages.new_record_id(),
        "kind": Kind.SESSION,
        "kit_id": "kit-0001",
        "outbox_id": uuid.uuid4(),
        "sequence": 1,
        "boot_id": uuid.uuid4(),
        "monotonic_ns": 123,
        "captured_at": messages.wire_time(datetime(2026, 7, 1, 9, 40, tzinfo=BERLIN_SUMMER)),
        "clock": "synchronised",
        "schema_version": 2,
        "payload": messages.payload_text(summary()),
    }
    return Envelope.model_validate(fields | changes)


def one(data: bytes) -> Envelope | BadRecord:
    (item,) = messages.unpack(data)
    return item


def test_a_record_comes_back_byte_for_byte() -> None:
    sent = envelope(payload='{"odd":   "spacing", "ü": "é", "quote": "\\"", "n": 1.0}')
    assert one(messages.pack([sent])) == sent


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=400))
def test_any_text_survives_as_payload(text: str) -> None:
    sent = envelope(payload=text)
    got = one(messages.pack([sent]))
    assert isinstance(got, Envelope)
    assert got.payload == text
    assert got.signed_bytes() == sent.signed_bytes()


def test_a_session_reads_back_as_it_was() -> None:
    text = messages.payload_text(summary())
    assert messages.payload_text(messages.read_session(envelope(payload=text))) == text


def test_a_session_of_version_1_is_read_beside_one_of_version_2() -> None:
    old, new = messages.payload_text(old_summary()), messages.payload_text(summary())
    assert "concentric" not in old
    read = messages.read_session(envelope(payload=old, schema_version=1))
    assert messages.payload_text(read) == old
    assert (read.sets, read.goal, read.likeness, read.calibration) == ((), None, None, "fresh")
    assert {(rep.concentric_s, rep.on_target, rep.complete) for rep in read.reps} == {(None, None, True)}
    assert messages.payload_text(messages.read_session(envelope(payload=new))) == new


def test_a_session_of_twelve_repetitions_is_compact() -> None:
    assert len(messages.pack([envelope()])) < 1600  # bytes; the design says about 1.5 kB


def test_captured_at_keeps_the_offset_in_force_at_capture() -> None:
    sent = envelope()
    assert sent.captured_at == "2026-07-01T09:40:00.000+02:00"
    assert sent.captured == datetime(2026, 7, 1, 7, 40, tzinfo=UTC)
    with pytest.raises(ValueError, match="offset"):
        messages.wire_time(datetime(2026, 7, 1))  # noqa: DTZ001 - a moment without offset is the point


@pytest.mark.parametrize("field", ["record_id", "kit_id", "sequence", "captured_at", "payload", "outbox_id", "clock"])
def test_the_signature_covers_the_header_too(field: str) -> None:
    changed = {
        "record_id": messages.new_record_id(),
        "kit_id": "kit-0002",
        "sequence": 2,
        "captured_at": "2026-07-02T09:40:00.000+02:00",
        "payload": "{}",
        "outbox_id": uuid.uuid4(),
        "clock": "unsynchronised",
    }
    sent = envelope()
    other = Envelope.model_validate(sent.model_dump() | {field: changed[field]})
    assert other.signed_bytes() != sent.signed_bytes()


def test_record_ids_are_version_7_and_sort_by_creation() -> None:
    ids = [messages.new_record_id() for _ in range(100)]
    assert {i.version for i in ids} == {7}
    assert {i.variant for i in ids} == {uuid.RFC_4122}
    assert len(set(ids)) == 100
    assert [i.int >> 80 for i in ids] == sorted(i.int >> 80 for i in ids)


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": None},
        {"outbox_id": None},
        {"kind": Kind.HEALTH},
        {"sequence": 0},
        {"captured_at": "2026-07-01T09:40:00+02:00"},
        {"captured_at": "2026-13-01T09:40:00.000+02:00"},
        {"kit_id": "Kit of Mrs Smith"},
        {"kit_id": "a/b"},
        {"payload": "x" * (messages.MAX_PAYLOAD_BYTES + 1)},
        {"surprise": 1},
        {"clock": "maybe"},
    ],
)
def test_an_envelope_against_its_schema_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        envelope(**changes)


def test_health_has_neither_sequence_nor_outbox() -> None:
    assert envelope(kind=Kind.HEALTH, sequence=None, outbox_id=None, payload="{}").sequence is None


def test_a_bad_record_does_not_spoil_the_good_one_beside_it() -> None:
    good = envelope()
    bad = json.loads(good.model_dump_json()) | {"sequence": -5}
    got = messages.unpack(zlib.compress(json.dumps([bad, json.loads(good.model_dump_json()), 7]).encode()))
    assert isinstance(got[0], BadRecord)
    assert got[0].record_id == good.record_id
    assert "sequence" in got[0].reason
    assert got[1] == good
    assert isinstance(got[2], BadRecord)


def test_a_number_that_is_none_spoils_only_its_record() -> None:
    fields = json.loads(envelope().model_dump_json()) | {"monotonic_ns": float("nan")}
    assert isinstance(one(zlib.compress(json.dumps([fields]).encode())), BadRecord)


def test_broken_unicode_spoils_only_its_record() -> None:
    fields = json.loads(envelope().model_dump_json()) | {"payload": "\ud800"}
    assert isinstance(one(zlib.compress(json.dumps([fields]).encode())), BadRecord)


def test_a_reason_never_repeats_the_content() -> None:
    fields = json.loads(envelope().model_dump_json()) | {"kit_id": "Mrs Smith, Elm Street 5"}
    got = one(zlib.compress(json.dumps([fields]).encode()))
    assert isinstance(got, BadRecord)
    assert "Smith" not in got.reason
    stray = one(zlib.compress(json.dumps([json.loads(envelope().model_dump_json()) | {"Smith": 1}]).encode()))
    assert isinstance(stray, BadRecord)
    assert "Smith" not in stray.reason
    assert "not permitted" in stray.reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut short"),
        (b"no zlib", "not zlib"),
        (zlib.compress(b"[1,2"), "not JSON"),
        (zlib.compress(b"\xff\xfe"), "not JSON"),
        (zlib.compress(b"[" * 100_000), "not JSON"),
        (zlib.compress(b"[" + b"9" * 10_000 + b"]"), "not JSON"),
        (zlib.compress(b"{}"), "list of"),
        (zlib.compress(b"[]"), "list of"),
        (zlib.compress(b"[" + b"1," * messages.MAX_ENVELOPES + b"1]"), "list of"),
        (zlib.compress(b"[1]")[:-3], "cut short"),
        (zlib.compress(b"[1]") + b"more", "after its end"),
        (zlib.compress(b" " * (messages.MAX_INFLATED_BYTES + 1)), "inflates"),
        (b"\x00" * (messages.MAX_PUBLISH_BYTES + 1), "over"),
    ],
)
def test_a_publish_that_cannot_be_read_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        messages.unpack(data)


def outcome(read: Callable[[bytes], object], data: bytes) -> object:
    """Give what was read, or our error; any other exception is the test's failure."""
    try:
        return read(data)
    except MessageError as error:
        return error


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_our_error(data: bytes) -> None:
    for attempt in (data, zlib.compress(data)):
        assert isinstance(outcome(messages.unpack, attempt), list | MessageError)
        assert isinstance(outcome(messages.unpack_acks, attempt), messages.AckBatch | MessageError)


def test_an_empty_or_overfull_publish_is_not_written() -> None:
    with pytest.raises(MessageError):
        messages.pack([])
    with pytest.raises(MessageError):
        messages.pack([envelope()] * (messages.MAX_ENVELOPES + 1))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema_version": 4}, "not known"),
        ({"kind": Kind.CHECK_IN}, "no session"),
        ({"payload": "[]"}, "object"),
        ({"payload": '{"exercise": "heel-slide"}'}, "missing|required"),
        ({"payload": "no json"}, "JSON"),
    ],
)
def test_a_session_that_cannot_be_read_says_why(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        messages.read_session(envelope(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"concentric_s": -0.1},
        {"hold_s": float("inf")},
        {"peak_velocity_dps": -1.0},
        {"smoothness": 0.1},
        {"smoothness": float("nan")},
        {"extensor_lag_deg": 400.0},
        {"surprise": 1},
    ],
)
def test_a_repetition_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    fields = rep(1).model_dump() | changes
    with pytest.raises(ValidationError):
        RepReport.model_validate(fields)


def test_a_repetition_out_of_order_is_refused() -> None:
    with pytest.raises(ValidationError, match="starts before its peak"):
        RepReport(start_s=3, peak_s=2, end_s=4, signal="knee", peak_flexion_deg=None, min_flexion_deg=None, rom_deg=10)


def test_only_a_patients_sensor_is_not_simulated() -> None:
    assert summary().simulated
    assert not summary().model_copy(update={"source": "sensor"}).simulated


def test_acknowledgements_round_trip() -> None:
    batch = AckBatch(acks=(Ack(record_id=uuid.uuid4(), status=AckStatus.REJECTED, reason="no"),))
    assert messages.unpack_acks(messages.pack_acks(batch)) == batch


def test_topics_name_only_the_kit() -> None:
    assert messages.up_topic("kit-0001", Kind.SESSION) == "gonio/v1/kit-0001/up/session"
    assert messages.down_topic("kit-0001", DownKind.ACK) == "gonio/v1/kit-0001/down/ack"
    assert messages.kit_of_topic("gonio/v1/kit-0001/up/session") == "kit-0001"
    assert messages.kit_of_topic("gonio/v2/kit-0001/up/session") is None
    assert messages.kit_of_topic("gonio/v1/kit-0001/down/ack") is None
    assert messages.kit_of_topic("gonio/v1/k/x/up/session") is None
