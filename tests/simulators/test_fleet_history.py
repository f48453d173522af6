"""What a fleet's patients did: plausible, marked as simulated, acceptable to the clinic, and the same every time."""

import itertools
import uuid
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from statistics import mean

from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.cloud_sink.judge import Accepted, judge
from gonio.gateway.records import Draft
from gonio.messages import CheckIn, Envelope, Kind, SessionSummary, VoidReport, read_payload
from gonio.simulators.fleet_history import Happening, history, patient
from gonio.simulators.fleet_record import about_id, simulated_draft

UNTIL = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)
OUTBOX = uuid.UUID(int=11)
KITS = st.tuples(st.integers(-(2**40), 2**40), st.integers(1, 10**6))


def draft(seed: int, kit: int, sequence: int, told: Happening, outbox_id: uuid.UUID = OUTBOX) -> Draft:
    return simulated_draft(seed, kit, sequence, patient(seed, kit), told, outbox_id)


def envelope(record: Draft, sequence: int, outbox_id: uuid.UUID = OUTBOX) -> Envelope:
    return Envelope(
        record_id=record.record_id,
        kind=record.kind,
        kit_id="kit-001",
        outbox_id=outbox_id,
        sequence=sequence,
        boot_id=record.capture.boot_id,
        monotonic_ns=record.capture.monotonic_ns,
        captured_at=record.capture.captured_at,
        clock=record.capture.clock,
        schema_version=record.schema_version,
        payload=record.payload,
    )


@given(KITS, st.integers(1, 400))
@settings(max_examples=40, deadline=None)
def test_moments_are_in_order_and_past_and_never_the_same(kit: tuple[int, int], records: int) -> None:
    told = history(*kit, records, UNTIL)
    assert len(told) == records
    moments = [one.moment for one in told]
    times = [moment.true_utc for moment in moments]
    assert all(one < two for one, two in itertools.pairwise(times))
    assert UNTIL - timedelta(days=7) < times[-1] < UNTIL
    captures = {(moment.boot, moment.monotonic_ns) for moment in moments}
    assert len(captures) == records
    assert history(*kit, records, UNTIL) == told


@given(KITS, st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_a_wrong_clock_can_be_repaired_with_the_evidence_sent(kit: tuple[int, int], records: int) -> None:
    """The clock that never jumps ties what was captured before the time server was reached to what came after."""
    boots: dict[int, set[datetime]] = defaultdict(set)
    for told in history(*kit, records, UNTIL):
        moment = told.moment
        assert moment.monotonic_ns > 0
        boots[moment.boot].add(moment.true_utc - timedelta(microseconds=moment.monotonic_ns / 1000))
        if moment.clock == "synchronised":
            assert moment.shown == moment.true_utc
        else:
            assert moment.shown < moment.true_utc
    assert all(len(began) == 1 for began in boots.values())


@given(KITS, st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_every_record_is_accepted_by_the_clinic_and_says_that_it_is_simulated(
    kit: tuple[int, int], records: int
) -> None:
    sessions: dict[uuid.UUID, int] = {}
    for sequence, told in enumerate(history(*kit, records, UNTIL), 1):
        sent = envelope(draft(*kit, sequence, told), sequence)
        accepted = judge("kit-001", sent, UNTIL)
        assert isinstance(accepted, Accepted), accepted
        payload = read_payload(sent)
        if isinstance(payload, SessionSummary):
            sessions[sent.record_id] = sequence
            assert payload.simulated
            assert {sensor.family for sensor in payload.sensors} == {"simulated"}
            assert payload.software.endswith("(simulated fleet)")
        else:
            assert getattr(payload, "said_by", None) == "simulated"
        if told.about is not None:
            about = about_id(OUTBOX, told.about)
            assert about is not None
            assert sessions[about] == told.about.sequence
        if isinstance(payload, VoidReport):
            assert payload.record_id == about


@given(KITS, st.integers(1, 60), st.data())
@settings(max_examples=25, deadline=None)
def test_a_record_follows_from_its_number_alone(kit: tuple[int, int], records: int, data: st.DataObject) -> None:
    straight = [draft(*kit, sequence, one) for sequence, one in enumerate(history(*kit, records, UNTIL), 1)]
    order = data.draw(st.permutations(range(records)))
    assert {n: draft(*kit, n + 1, history(*kit, records, UNTIL)[n]) for n in order[:5]} == {
        n: straight[n] for n in order[:5]
    }
    assert len({record.record_id for record in straight}) == records
    assert all(record.record_id.version == 7 for record in straight)


def test_another_outbox_has_other_records_even_with_the_same_seed() -> None:
    """Two fleets may be begun alike, and both send to one clinic."""
    (told,) = history(1, 1, 1, UNTIL)
    one, other = draft(1, 1, 1, told), draft(1, 1, 1, told, uuid.UUID(int=12))
    assert one.record_id != other.record_id
    assert one.capture.boot_id != other.capture.boot_id


def test_a_fleet_looks_like_patients() -> None:
    """The knee gains range and hurts less, days are missed, few clocks are wrong, some travel, all sorts are told."""
    gains, adherences, wrong, zones, kinds = [], [], 0, set(), Counter[Kind]()
    pains: dict[bool, list[int]] = {False: [], True: []}  # by whether it was in the end
    by_hand = urgent = 0
    for kit in range(1, 61):
        history_told = history(5, kit, 100, UNTIL)
        ranges = []
        for sequence, told in enumerate(history_told, 1):
            payload = read_payload(envelope(draft(5, kit, sequence, told), sequence))
            kinds[told.kind] += 1
            wrong += told.moment.clock == "unsynchronised"
            if isinstance(payload, SessionSummary) and payload.exercise == "heel-slide" and payload.reps:
                ranges.append(max(rep.rom_deg for rep in payload.reps))
            if isinstance(payload, CheckIn) and payload.worst_pain is not None:
                by_hand += bool(payload.by_hand)
                urgent += payload.urgent
                if sequence <= 20 or sequence > 80:
                    pains[sequence > 80].append(payload.worst_pain)
        if len(ranges) >= 6:
            gains.append(mean(ranges[-3:]) - mean(ranges[:3]))
        moments = [told.moment for told in history_told]
        adherences.append(len({moment.day for moment in moments}) / (moments[-1].day + 1))
        zones.add(len({moment.shown.tzinfo for moment in moments}))
    assert mean(gains) > 15
    assert mean(pains[False]) > mean(pains[True]) + 1
    assert 0.5 < mean(adherences) < 0.9
    assert min(adherences) < 0.5
    assert 0.01 < wrong / 6_000 < 0.15
    assert zones == {1, 2}
    assert 0.5 < kinds[Kind.SESSION] / 6_000 < 0.9
    assert kinds.keys() == {Kind.SESSION, Kind.CHECK_IN, Kind.VOID, Kind.MESSAGE, Kind.PREFERENCE}
    assert 0 < urgent < kinds[Kind.CHECK_IN] / 4
    assert by_hand


def test_more_records_than_a_life_has_days_stay_within_some_years() -> None:
    told = history(1, 1, 20_000, UNTIL)
    assert UNTIL - told[0].moment.true_utc < timedelta(days=5 * 365)
    assert all(one.moment.true_utc < two.moment.true_utc for one, two in itertools.pairwise(told))
    accepted = judge("kit-001", envelope(draft(1, 1, 20_000, told[-1]), 20_000), UNTIL)
    assert isinstance(accepted, Accepted)
