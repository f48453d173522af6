"""A record enters the book only if a key of the very kit that sent it has signed it, whatever way it came."""

import base64
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.cloud_sink.admission import Admission, KnownKey
from gonio.cloud_sink.alarm import Alarm
from gonio.cloud_sink.enrolment.keys import KeyState, register, revoke
from gonio.cloud_sink.store import Store
from gonio.identity.keys import KeyPemFile, PublicKey
from gonio.identity.signatures import sign
from gonio.messages import AckStatus, Envelope

Make = Callable[..., Envelope]
KIT, OTHER = "kit-001", "kit-002"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], KeyPemFile]:
    folder = tmp_path_factory.mktemp("keys")
    made: dict[str, KeyPemFile] = {}

    def key(name: str) -> KeyPemFile:
        if name not in made:
            made[name] = KeyPemFile.make(folder / f"{name}.pem")
        return made[name]

    return key


def enrol(store: Store, kit_id: str, key: KeyPemFile, at: datetime) -> None:
    with store._writer.begin() as connection:
        register(connection, kit_id, key.public, at=at)


def refused(store: Store) -> list[str]:
    return [row.reason for row in store.quarantine()]


def test_a_signed_record_of_an_enrolled_kit_is_stored_with_its_signature(
    store: Store, envelope: Make, keys: Callable[[str], KeyPemFile], now: datetime
) -> None:
    enrol(store, KIT, keys("a"), now)
    record = sign(envelope(1), keys("a"))
    assert [a.status for a in store.ingest(KIT, [record], now, signed_only=True)] == [AckStatus.STORED]
    assert [a.status for a in store.ingest(KIT, [record], now, signed_only=True)] == [AckStatus.REPEATED]
    assert refused(store) == []


@pytest.mark.parametrize("kind", ["session", "check-in", "void", "message", "preference", "receipt", "health"])
@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (lambda e, own, other: e, "not signed"),  # noqa: ARG005 - one signature for all
        (lambda e, own, other: sign(e, other), "not this kit's"),  # noqa: ARG005
        (lambda e, own, other: sign(e, own).model_copy(update={"signature": None}), "not signed"),  # noqa: ARG005
        (lambda e, own, other: sign(e, other).model_copy(update={"key_id": own.key_id}), "does not fit"),
        (
            lambda e, own, other: sign(e, own).model_copy(update={"monotonic_ns": e.monotonic_ns + 1}),  # noqa: ARG005
            "does not fit",
        ),
        (lambda e, own, other: sign(e, own).model_copy(update={"signature": "?"}), "does not fit"),  # noqa: ARG005
    ],
)
def test_a_forged_record_is_refused_and_alarmed(
    store: Store,
    envelope: Make,
    keys: Callable[[str], KeyPemFile],
    now: datetime,
    forge: Callable[[Envelope, KeyPemFile, KeyPemFile], Envelope],
    reason: str,
    kind: str,
) -> None:
    enrol(store, KIT, keys("a"), now)
    enrol(store, OTHER, keys("b"), now)
    bad = forge(envelope(1, kind=kind), keys("a"), keys("b"))
    good = sign(envelope(2), keys("a"))
    acks = store.ingest(KIT, [bad, good], now)
    # whoever forged it is told nothing, and the kit nothing of what it has not sent
    assert [(a.record_id, a.status) for a in acks] == [(good.record_id, AckStatus.STORED)]
    assert reason in refused(store)[0]
    assert store.audit().records == 1
    with store._reader.connect() as connection:
        alarms = connection.exec_driver_sql("SELECT detail FROM audit_log WHERE action = 'record-refused'").scalars()
        assert [f'"alarm":"{Alarm.FORGED}"' in detail for detail in alarms] == [True]


def test_a_forged_copy_does_not_keep_out_the_record_that_it_copies(
    store: Store, envelope: Make, keys: Callable[[str], KeyPemFile], now: datetime
) -> None:
    enrol(store, KIT, keys("a"), now)
    genuine = sign(envelope(1), keys("a"))
    copy = genuine.model_copy(update={"payload": genuine.payload + " "})
    assert store.ingest(KIT, [copy], now) == []
    assert [a.status for a in store.ingest(KIT, [genuine], now)] == [AckStatus.STORED]
    assert store.ingest(KIT, [copy], now) == []
    assert store.audit().records == 1
    assert len(refused(store)) == 1  # counted twice, kept once


def test_what_was_stored_unsigned_and_comes_again_signed_is_known(
    store: Store, envelope: Make, keys: Callable[[str], KeyPemFile], now: datetime
) -> None:
    """A kit signs what waits in its outbox when it is updated, also what the clinic has without the kit's knowing."""
    unsigned = envelope(1)
    assert [a.status for a in store.ingest(KIT, [unsigned], now)] == [AckStatus.STORED]
    enrol(store, KIT, keys("a"), now)
    assert [a.status for a in store.ingest(KIT, [sign(unsigned, keys("a"))], now)] == [AckStatus.REPEATED]
    changed = sign(unsigned.model_copy(update={"monotonic_ns": unsigned.monotonic_ns + 1}), keys("a"))
    assert [a.status for a in store.ingest(KIT, [changed], now)] == [AckStatus.REJECTED]
    assert store.audit().records == 1


def test_a_rotated_key_counts_on_and_a_revoked_one_no_more(
    store: Store, envelope: Make, keys: Callable[[str], KeyPemFile], now: datetime
) -> None:
    enrol(store, KIT, keys("a"), now)
    enrol(store, KIT, keys("c"), now)
    waited, fresh = sign(envelope(1), keys("a")), sign(envelope(2), keys("c"))
    assert [a.status for a in store.ingest(KIT, [waited, fresh], now)] == [AckStatus.STORED] * 2
    with store._writer.begin() as connection:
        revoke(connection, KIT, reason="lost", at=now)
    late = [sign(envelope(n), keys(name)) for n, name in ((3, "a"), (4, "c"))]
    acks = store.ingest(KIT, late, now + timedelta(seconds=1))
    assert [a.status for a in acks] == [AckStatus.REJECTED] * 2
    assert {a.reason for a in acks} == {"the record is signed with a key that was revoked"}


def test_a_kit_that_is_not_enrolled_comes_in_only_where_that_is_allowed(
    store: Store, envelope: Make, keys: Callable[[str], KeyPemFile], now: datetime
) -> None:
    unsigned, unknown = envelope(1), sign(envelope(2), keys("a"))
    acks = store.ingest(KIT, [unsigned, unknown], now, signed_only=True)
    assert {a.reason for a in acks} == {"this kit is not enrolled with the clinic"}
    assert store.audit().records == 0
    assert [a.status for a in store.ingest(KIT, [unsigned, unknown], now)] == [AckStatus.STORED] * 2


def test_a_record_signed_for_another_kits_topic_is_that_kits(
    store: Store, envelope: Make, keys: Callable[[str], KeyPemFile], now: datetime
) -> None:
    enrol(store, KIT, keys("a"), now)
    (ack,) = store.ingest(OTHER, [sign(envelope(1), keys("a"))], now)
    assert ack.reason == "the record names another kit than the topic it came on"


def test_who_is_revoked_between_two_batches_is_refused_in_the_second(
    store: Store, envelope: Make, keys: Callable[[str], KeyPemFile], now: datetime
) -> None:
    enrol(store, KIT, keys("a"), now)
    statuses = []
    for n in range(1, 4):
        (ack,) = store.ingest(KIT, [sign(envelope(n), keys("a"))], now, signed_only=True)
        statuses.append(ack.status)
        with store._writer.begin() as connection:
            if n == 2:
                revoke(connection, KIT, reason="stolen", at=now)
    assert statuses == [AckStatus.STORED, AckStatus.STORED, AckStatus.REJECTED]


@given(data=st.data())
def test_any_other_byte_breaks_the_signature(
    envelope: Make, keys: Callable[[str], KeyPemFile], data: st.DataObject
) -> None:
    key = keys("a")
    known = KnownKey(key.key_id, KeyState.ACTIVE, key.public)
    admission = Admission({KIT: [known]}, signed_only=True)
    record = sign(envelope(1), key)
    assert admission.refusal(record) is None
    signed = record.signed_bytes()
    place = data.draw(st.integers(0, len(signed) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != signed[place]))
    changed = signed[:place] + bytes([other]) + signed[place + 1 :]
    assert record.signature is not None
    signature = base64.b64decode(record.signature)
    assert PublicKey(key.public).verifies(signature, signed)
    assert not PublicKey(key.public).verifies(signature, changed)
    cut = data.draw(st.integers(0, 63))
    assert not PublicKey(key.public).verifies(signature[:cut], signed)
