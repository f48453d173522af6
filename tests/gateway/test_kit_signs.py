"""Every record of a kit is signed over the very bytes that are stored, and stays so."""

import base64
import json
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.gateway.cipher import PAGE
from gonio.gateway.database import DATABASE_NAME
from gonio.gateway.health import health_envelope
from gonio.gateway.records import Draft
from gonio.gateway.store import KitStore
from gonio.gateway.tables import APPLICATION_ID, MIGRATIONS
from gonio.identity.keys import KeyPemFile, PublicKey
from gonio.identity.signatures import sign, signed_by
from gonio.messages import BadRecord, Envelope, Kind, new_record_id, pack, payload_text, unpack
from tests.gateway.test_kit_uplink import CAPTURE
from tests.messages.test_messages import summary

RECORDS = [
    (Kind.SESSION, 3, payload_text(summary())),
    (Kind.CHECK_IN, 1, '{"pain_during":3,"note":"bends well, née Müller \\ud83d\\ude42"}'),
    (Kind.VOID, 1, json.dumps({"target": str(uuid.uuid4()), "reason": "not me"})),
    (Kind.MESSAGE, 1, '{"text":"It went well."}'),
    (Kind.PREFERENCE, 1, '{"reminders":true}'),
    (Kind.RECEIPT, 1, json.dumps({"of": str(uuid.uuid4()), "of_kind": "message", "status": "read", "reason": None})),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


def commit(store: KitStore, kind: Kind = Kind.CHECK_IN, version: int = 1, text: str = "{}") -> Envelope:
    return store.commit(Draft(new_record_id(), kind, CAPTURE, version, text))


def key_of(store: KitStore) -> PublicKey:
    return PublicKey(store.signing_key.public)


@pytest.mark.parametrize(("kind", "version", "text"), RECORDS, ids=[kind.value for kind, _, _ in RECORDS])
def test_every_kind_is_signed_as_it_is_stored_and_sent(store: KitStore, kind: Kind, version: int, text: str) -> None:
    made = commit(store, kind, version, text)
    stored = store.record(made.record_id)
    assert made == stored
    assert stored is not None
    assert stored.payload == text
    (sent,) = unpack(pack([stored]))
    assert not isinstance(sent, BadRecord)
    assert signed_by(sent, key_of(store))


async def test_health_is_signed(store: KitStore) -> None:
    health = await health_envelope(store, CAPTURE, held=0, disk=None, batteries={}, troubles=[])
    assert signed_by(health, key_of(store))


def test_a_commit_that_is_repeated_gives_the_same_signature(store: KitStore) -> None:
    draft = Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, "{}")
    assert store.commit(draft) == store.commit(draft)


def test_a_chip_that_signs_takes_the_place_of_the_file(tmp_path: Path) -> None:
    chip = KeyPemFile.make(tmp_path / "chip.pem")
    with KitStore.open(tmp_path / "kit", signing=chip) as store:
        assert signed_by(commit(store), PublicKey(chip.public))
    assert not (tmp_path / "kit" / "identity").exists()


def test_a_new_key_signs_what_comes_after_it(store: KitStore, tmp_path: Path) -> None:
    before, old = commit(store), key_of(store)
    store.use_key(KeyPemFile.make(tmp_path / "new.pem"))
    after = commit(store)
    assert signed_by(after, key_of(store))
    assert not signed_by(after, old)
    kept = store.record(before.record_id)
    assert kept is not None
    assert signed_by(kept, old)


def test_reading_needs_no_key(store: KitStore) -> None:
    made = commit(store)
    with KitStore.peek(store.path.parent) as reader:
        assert reader.record(made.record_id) == made


_KEY_FOLDER = "key"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Envelope, PublicKey]:
    key = KeyPemFile.make(tmp_path_factory.mktemp(_KEY_FOLDER) / "kit.pem")
    bare = Envelope(
        record_id=uuid.UUID(int=7),
        kind=Kind.CHECK_IN,
        kit_id="kit-0123456789abcdef",
        outbox_id=uuid.UUID(int=9),
        sequence=41,
        boot_id=CAPTURE.boot_id,
        monotonic_ns=CAPTURE.monotonic_ns,
        captured_at=CAPTURE.captured_at,
        clock=CAPTURE.clock,
        schema_version=1,
        payload='{"pain_during":3,"note":"née"}',
    )
    return sign(bare, key), PublicKey(key.public)


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_a_changed_byte_breaks_the_signature(signed: tuple[Envelope, PublicKey], data: st.DataObject) -> None:
    """Whichever byte of the record's JSON is changed: it is no record any more, or not this kit's, or the same one."""
    envelope, key = signed
    text = bytearray(envelope.model_dump_json().encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    try:
        changed = Envelope.model_validate_json(bytes(text))
    except ValueError:
        return
    assert changed == envelope or not signed_by(changed, key)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_changed_field_breaks_the_signature(signed: tuple[Envelope, PublicKey], data: st.DataObject) -> None:
    envelope, key = signed
    others: dict[str, st.SearchStrategy[object]] = {
        "record_id": st.uuids(),
        "kind": st.sampled_from([kind for kind in Kind if kind is not Kind.HEALTH]),
        "kit_id": st.from_regex(r"kit-[0-9a-f]{16}", fullmatch=True),
        "outbox_id": st.uuids(),
        "sequence": st.integers(1, 2**53 - 1),
        "boot_id": st.uuids(),
        "monotonic_ns": st.integers(0, 2**63 - 1),
        "captured_at": st.datetimes().map(lambda one: one.isoformat(timespec="milliseconds") + "+00:00"),
        "clock": st.sampled_from(["synchronised", "unsynchronised"]),
        "schema_version": st.integers(1, 65_535),
        "key_id": st.text(max_size=64),
        "signature": st.binary(min_size=64, max_size=64).map(lambda one: base64.b64encode(one).decode()),
        "payload": st.text(max_size=300),
    }
    name = data.draw(st.sampled_from(sorted(others)))
    changed = envelope.model_copy(update={name: data.draw(others[name])})
    assert changed == envelope or not signed_by(changed, key)


def test_a_signature_has_one_text_only(signed: tuple[Envelope, PublicKey]) -> None:
    """Base64 of 64 bytes has four unused bits before its padding."""
    envelope, key = signed
    assert envelope.signature is not None
    body = envelope.signature.removesuffix("==")
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    first = digits.index(body[-1])
    for low in range(1, 16):
        other = f"{body[:-1]}{digits[first + low]}=="
        assert base64.b64decode(other) == base64.b64decode(envelope.signature)
        assert not signed_by(envelope.model_copy(update={"signature": other}), key)


def unsigned(directory: Path, count: int) -> list[str]:
    """Make the database that a gonio without signatures left: schema 4, in the clear; gives the records' ids."""
    directory.mkdir()
    ids = [str(new_record_id()) for _ in range(count)]
    outbox = str(uuid.uuid4())
    db = sqlite3.connect(directory / DATABASE_NAME)
    for script in MIGRATIONS[:4]:
        db.executescript(script)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 4")
    db.execute("INSERT INTO kit VALUES (1, 'kit-0123456789abcdef')")
    db.execute("INSERT INTO outbox_head VALUES (1, ?, ?)", (outbox, count))
    capture = (str(CAPTURE.boot_id), CAPTURE.monotonic_ns, CAPTURE.captured_at, CAPTURE.clock)
    for sequence, record_id in enumerate(ids, 1):
        row = (record_id, "check-in", outbox, sequence, *capture, 1, None, None, '{"pain_during":1}')
        db.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.execute("INSERT INTO outbox (record_id, sequence) VALUES (?, ?)", (record_id, sequence))
    db.commit()
    db.close()
    return ids


def test_records_of_a_gonio_that_did_not_sign_are_signed_before_they_are_sent(tmp_path: Path) -> None:
    ids = unsigned(tmp_path / "kit", 1201)  # more than are signed in one transaction
    with KitStore.open(tmp_path / "kit") as store:
        kept = store.envelopes(store.pending(2000))
        assert [str(envelope.record_id) for envelope in kept] == ids
        assert [envelope.sequence for envelope in kept] == list(range(1, 1202))
        assert {envelope.payload for envelope in kept} == {'{"pain_during":1}'}
        key = key_of(store)
        assert all(signed_by(envelope, key) for envelope in kept)
        assert commit(store).sequence == 1202
    with KitStore.open(tmp_path / "kit") as store:
        assert store.envelopes(store.pending(1201)) == kept


def test_a_damaged_database_keeps_its_signatures(tmp_path: Path) -> None:
    """Also those of a key that signs no more."""
    directory = tmp_path / "kit"
    with KitStore.open(directory) as store:
        first = [commit(store, text=json.dumps({"note": "x" * 900})) for _ in range(20)]
        old = key_of(store)
        new = KeyPemFile.make(tmp_path / "new.pem")
        store.use_key(new)
        second = [commit(store, text=json.dumps({"note": "y" * 900})) for _ in range(20)]
        file = directory / DATABASE_NAME
    content = bytearray(file.read_bytes())
    for page in (1, len(content) // PAGE - 2):
        content[page * PAGE + 5] ^= 0x10
    shutil.copy(new.pem_file, directory / "identity" / "kit-key.pem")
    file.write_bytes(content)
    with KitStore.open(directory) as store:
        assert store.ended()
        kept = {envelope.record_id: envelope for envelope in store.envelopes(store.pending(100))}
    made = {envelope.record_id: envelope for envelope in first + second}
    assert kept.items() <= made.items()
    assert len(kept) >= len(made) - 8
    assert sum(signed_by(envelope, old) for envelope in kept.values()) >= 12
    assert sum(signed_by(envelope, PublicKey(new.public)) for envelope in kept.values()) >= 12
