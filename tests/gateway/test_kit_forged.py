"""A kit that a clinic has claimed takes what that clinic has signed, and nothing else."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from aiomqtt import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.gateway.downlink import Downlink
from gonio.gateway.inbox import MAX_FORGED, NOT_SIGNED
from gonio.gateway.store import KitStore
from gonio.identity.keys import KeyPemFile, PublicKey, SigningKey
from gonio.identity.signatures import sign
from gonio.messages import DownEnvelope, DownKind, Identify, Kind, Resend, down_topic, new_record_id, pack_down
from tests.gateway.test_kit_inbox import CAPTURE, DAY, acknowledge_all, commit, message, program, receipts, sent


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return KeyPemFile.make(tmp_path_factory.mktemp("clinic") / "records.key")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return KeyPemFile.make(tmp_path_factory.mktemp("stranger") / "records.key")


@pytest.fixture
def store(tmp_path: Path, clinic: SigningKey) -> Iterator[KitStore]:
    """Give a kit that the clinic has claimed, as its next start finds it."""
    KitStore.open(tmp_path / "kit").close()
    (tmp_path / "kit" / "identity" / "clinic-records.pub").write_bytes(clinic.public)
    with KitStore.open(tmp_path / "kit") as store:
        yield store


def nothing_happened(store: KitStore) -> bool:
    return store.program_on(DAY) is None and not any(store.clinic_records(kind) for kind in DownKind)


def several(store: KitStore) -> list[DownEnvelope]:
    return [
        sent(store, program(1, DAY), 1),
        message(store, 2),
        sent(store, Identify(do="identify"), 3),
        sent(store, Resend(do="resend", outbox_id=store.outbox_id, first=1, last=3), 4),
    ]


def test_what_the_clinic_signed_is_taken(store: KitStore, clinic: SigningKey) -> None:
    commit(store, 3)
    acknowledge_all(store)
    signed = [sign(one, clinic) for one in several(store)]
    assert store.receive(signed, CAPTURE) == signed
    assert store.program_on(DAY) == program(1, DAY)
    assert [receipt.status for receipt in receipts(store)] == ["applied", "received", "received", "applied"]
    assert store.forged() == []


@pytest.mark.parametrize("how", ["unsigned", "another's key", "another's key under the clinic's name", "changed"])
def test_what_it_did_not_sign_is_refused_with_a_receipt_and_kept(
    store: KitStore, clinic: SigningKey, stranger: SigningKey, how: str
) -> None:
    commit(store, 3)
    acknowledge_all(store)
    bare = several(store)
    forged = {
        "unsigned": bare,
        "another's key": [sign(one, stranger) for one in bare],
        "another's key under the clinic's name": [
            sign(one, stranger).model_copy(update={"key_id": clinic.key_id}) for one in bare
        ],
        "changed": [sign(one, clinic).model_copy(update={"sequence": one.sequence + 1}) for one in bare],
    }[how]
    assert store.receive(forged, CAPTURE) == []
    assert nothing_happened(store)
    assert store.inbox_gaps() == []
    assert store.counts().acknowledged == 3  # nothing is sent again
    told = [(receipt.of, receipt.status, receipt.reason) for receipt in receipts(store)]
    assert told == [(one.record_id, "refused", NOT_SIGNED) for one in forged]
    assert [one.envelope for one in store.forged()] == forged
    assert {one.arrived_at for one in store.forged()} == {CAPTURE.captured_at}
    assert store.receive(forged, CAPTURE) == []
    assert len(receipts(store)) == len(forged)


def test_a_forgery_keeps_out_neither_the_record_that_it_copies_nor_its_answer(
    store: KitStore, clinic: SigningKey
) -> None:
    genuine = sign(message(store), clinic)
    forgery = genuine.model_copy(update={"payload": genuine.payload.replace("Well done", "Stop it")})
    assert store.receive([forgery], CAPTURE) == []
    assert store.receive([genuine], CAPTURE) == [genuine]
    store.answer(genuine.record_id, "read", CAPTURE)
    assert [receipt.status for receipt in receipts(store)] == ["refused", "received", "read"]
    assert [one.state for one in store.clinic_records(DownKind.MESSAGE)] == ["read"]


def test_a_forgery_of_what_was_taken_changes_nothing_of_it(store: KitStore, clinic: SigningKey) -> None:
    genuine = sign(sent(store, program(1, DAY)), clinic)
    store.receive([genuine], CAPTURE)
    forgery = genuine.model_copy(update={"payload": program(2, DAY).model_dump_json(exclude_none=True)})
    assert store.receive([forgery], CAPTURE) == []
    assert store.program_on(DAY) == program(1, DAY)
    assert [one.state for one in store.clinic_records(DownKind.PROGRAM)] == ["applied"]
    assert [receipt.status for receipt in receipts(store)] == ["applied"]
    assert [one.envelope for one in store.forged()] == [forgery]


def test_a_replay_has_no_effect(store: KitStore, clinic: SigningKey) -> None:
    """What was taken once is not carried out again, and an older program never takes a newer one's place."""
    commit(store, 3)
    again = sign(sent(store, Resend(do="resend", outbox_id=store.outbox_id, first=1, last=3), 1), clinic)
    first, second = (sign(sent(store, program(n, DAY), n + 1), clinic) for n in (1, 2))
    asked = sign(sent(store, Identify(do="identify"), 4), clinic)
    assert store.receive([again, second, asked], CAPTURE) == [again, second, asked]
    store.answer(asked.record_id, "applied", CAPTURE)
    acknowledge_all(store)
    settled = store.counts().acknowledged
    assert store.receive([again, second, asked], CAPTURE) == []
    sent_again = store.envelopes(store.pending(100))
    assert {envelope.kind for envelope in sent_again} == {Kind.RECEIPT}  # the same answers, and no record
    assert store.counts().acknowledged == settled - 3
    assert [one.state for one in store.clinic_records(DownKind.COMMAND)] == ["applied", "applied"]
    assert store.receive([first], CAPTURE) == [first]  # held back until now
    assert store.program_on(DAY) == program(2, DAY)


def test_another_kits_record_is_passed_over(store: KitStore, clinic: SigningKey) -> None:
    other = sign(message(store).model_copy(update={"kit_id": "kit-0000000000000001"}), clinic)
    assert store.receive([other], CAPTURE) == []
    assert nothing_happened(store)
    assert receipts(store) == []


def test_whoever_sends_many_fills_no_disk(store: KitStore) -> None:
    for _ in range(MAX_FORGED + 50):
        store.receive([message(store)], CAPTURE)
    assert len(store.forged()) == MAX_FORGED
    assert len(receipts(store)) == MAX_FORGED


def test_a_kit_without_a_clinic_takes_what_comes_and_one_that_is_claimed_no_longer(
    tmp_path: Path, clinic: SigningKey
) -> None:
    with KitStore.open(tmp_path) as store:
        assert len(store.receive([message(store, 1)], CAPTURE)) == 1
        store.use_clinic_key(PublicKey(clinic.public))
        assert store.receive([message(store, 2)], CAPTURE) == []
        assert len(store.receive([sign(message(store, 2), clinic)], CAPTURE)) == 1
        store.use_clinic_key(None)
        assert len(store.receive([message(store, 3)], CAPTURE)) == 1


async def test_what_comes_over_the_broker_unsigned_is_told_at_the_kit(store: KitStore, clinic: SigningKey) -> None:
    troubles: list[str] = []
    taken: list[DownEnvelope] = []
    downlink = Downlink(store, store.kit_id, capture=lambda: CAPTURE, on_trouble=troubles.append, on_down=taken.append)
    topic = down_topic(store.kit_id, DownKind.MESSAGE)
    genuine, forged = sign(message(store, 1), clinic), message(store, 2, "Take twice as many")
    await downlink.take(Message(topic, pack_down([genuine]), 1, False, 1, None))
    assert (taken, troubles) == ([genuine], [])
    await downlink.take(Message(topic, pack_down([forged]), 1, False, 2, None))
    assert taken == [genuine]
    assert troubles == [f"a message in the clinic's name is refused: {NOT_SIGNED}"]
    assert "twice" not in "".join(troubles)


@given(
    change=st.fixed_dictionaries(
        {},
        optional={
            "record_id": st.builds(new_record_id),
            "kind": st.sampled_from([DownKind.PROGRAM, DownKind.COMMAND]),
            "outbox_id": st.uuids(),
            "sequence": st.integers(2, 2**53 - 1),
            "created_at": st.dates(date(2000, 1, 1)).map(lambda day: f"{day}T09:00:00.000+00:00"),
            "schema_version": st.integers(2, 65_535),
            "payload": st.text(max_size=200),
        },
    ).filter(bool)
)
@settings(max_examples=60, deadline=None)
def test_no_field_of_a_signed_record_can_be_changed(
    change: dict[str, object], clinic: SigningKey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with KitStore.open(tmp_path_factory.mktemp("kit")) as store:
        store.use_clinic_key(PublicKey(clinic.public))
        changed = sign(message(store), clinic).model_copy(update=change)
        assert store.receive([changed], CAPTURE) == []
        assert nothing_happened(store)
        assert [one.envelope for one in store.forged()] == [changed]
        (told,) = receipts(store)
        assert told.of == changed.record_id
