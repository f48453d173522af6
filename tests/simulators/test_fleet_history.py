"""What a fleet's patients did: plausible, marked as simulated, acceptable to the clinic, and the same every time."""

import itertools
import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from statistics import mean

from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.cloud_sink.judge import Accepted, judge
from gonio.gateway.records import Draft
from gonio.messages import Envelope
from gonio.simulators.fleet_history import Moment, history, patient
from gonio.simulators.fleet_session import simulated_draft

UNTIL = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)
OUTBOX = uuid.UUID(int=11)
KITS = st.tuples(st.integers(-(2**40), 2**40), st.integers(1, 10**6))


def draft(seed: int, kit: int, sequence: int, moment: Moment, outbox_id: uuid.UUID = OUTBOX) -> Draft:
    return simulated_draft(seed, kit, sequence, patient(seed, kit), moment, outbox_id)


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
    moments = history(*kit, records, UNTIL)
    assert len(moments) == records
    times = [moment.true_utc for moment in moments]
    assert all(one < two for one, two in itertools.pairwise(times))
    assert UNTIL - timedelta(days=7) < times[-1] < UNTIL
    captures = {(moment.boot, moment.monotonic_ns) for moment in moments}
    assert len(captures) == records
    assert history(*kit, records, UNTIL) == moments


@given(KITS, st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_a_wrong_clock_can_be_repaired_with_the_evidence_sent(kit: tuple[int, int], records: int) -> None:
    """The clock that never jumps ties what was captured before the time server was reached to what came after."""
    boots: dict[int, set[datetime]] = defaultdict(set)
    for moment in history(*kit, records, UNTIL):
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
    for sequence, moment in enumerate(history(*kit, records, UNTIL), 1):
        accepted = judge("kit-001", envelope(draft(*kit, sequence, moment), sequence), UNTIL)
        assert isinstance(accepted, Accepted), accepted
        assert accepted.summary is not None
        assert accepted.summary.simulated
        assert {sensor.family for sensor in accepted.summary.sensors} == {"simulated"}
        assert accepted.summary.software.endswith("(simulated fleet)")


@given(KITS, st.integers(1, 60), st.data())
@settings(max_examples=25, deadline=None)
def test_a_record_follows_from_its_number_alone(kit: tuple[int, int], records: int, data: st.DataObject) -> None:
    moments = history(*kit, records, UNTIL)
    straight = [draft(*kit, sequence, moment) for sequence, moment in enumerate(moments, 1)]
    order = data.draw(st.permutations(range(records)))
    assert {n: draft(*kit, n + 1, history(*kit, records, UNTIL)[n]) for n in order[:5]} == {
        n: straight[n] for n in order[:5]
    }
    assert len({record.record_id for record in straight}) == records
    assert all(record.record_id.version == 7 for record in straight)


def test_another_outbox_has_other_records_even_with_the_same_seed() -> None:
    """Two fleets may be begun alike, and both send to one clinic."""
    (moment,) = history(1, 1, 1, UNTIL)
    one, other = draft(1, 1, 1, moment), draft(1, 1, 1, moment, uuid.UUID(int=12))
    assert one.record_id != other.record_id
    assert one.capture.boot_id != other.capture.boot_id


def test_a_fleet_looks_like_patients() -> None:
    """The knee gains range, days are missed, few clocks are wrong, and some travel."""
    gains, adherences, wrong, zones = [], [], 0, set()
    for kit in range(1, 61):
        moments = history(5, kit, 60, UNTIL)
        ranges = []
        for sequence, moment in enumerate(moments, 1):
            judged = judge("kit-001", envelope(draft(5, kit, sequence, moment), sequence), UNTIL)
            assert isinstance(judged, Accepted)
            assert judged.summary is not None
            if judged.summary.exercise == "heel-slide" and judged.summary.reps:
                ranges.append(max(rep.rom_deg for rep in judged.summary.reps))
            wrong += moment.clock == "unsynchronised"
        if len(ranges) >= 6:
            gains.append(mean(ranges[-3:]) - mean(ranges[:3]))
        adherences.append(len({moment.day for moment in moments}) / (moments[-1].day + 1))
        zones.add(len({moment.shown.tzinfo for moment in moments}))
    assert mean(gains) > 15
    assert 0.5 < mean(adherences) < 0.9
    assert min(adherences) < 0.5
    assert 0.01 < wrong / 3_600 < 0.15
    assert zones == {1, 2}


def test_more_records_than_a_life_has_days_stay_within_some_years() -> None:
    moments = history(1, 1, 20_000, UNTIL)
    assert UNTIL - moments[0].true_utc < timedelta(days=5 * 365)
    assert all(one.true_utc < two.true_utc for one, two in itertools.pairwise(moments))
    accepted = judge("kit-001", envelope(draft(1, 1, 20_000, moments[-1]), 20_000), UNTIL)
    assert isinstance(accepted, Accepted)
