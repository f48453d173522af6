"""Stored records are proven by their signatures, in the book and as a file of evidence without it."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gonio.cli.main import app
from gonio.cloud_sink.enrolment.keys import register, revoke
from gonio.cloud_sink.evidence import verify_evidence
from gonio.cloud_sink.store import Store, open_store
from gonio.cloud_sink.verify import Standing, Verification, Wanted
from gonio.errors import UsageError
from gonio.identity.authority import Authority
from gonio.identity.certificates import Certificate, make_request
from gonio.identity.keys import KeyPemFile
from gonio.identity.signatures import sign
from gonio.messages import Envelope

Make = Callable[..., Envelope]
KIT, OTHER, NOBODY = "kit-001", "kit-002", "kit-003"
OUTBOXES = {KIT: UUID(int=1), OTHER: UUID(int=2)}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


def enrol(store: Store, authority: Authority, folder: Path, kit_id: str) -> KeyPemFile:
    key = KeyPemFile.make(folder / f"{kit_id}.pem")
    certificate = authority.issue_kit(make_request(key, kit_id), kit_id)
    with store._writer.begin() as connection:
        register(connection, kit_id, key.public, at=datetime.now(UTC), certificate=certificate)
    return key


@pytest.fixture
def key(store: Store, authority: Authority, tmp_path: Path, envelope: Make, now: datetime) -> KeyPemFile:
    """Fill the book with five records of each of two kits, and give the first one's key."""
    keys = {kit_id: enrol(store, authority, tmp_path, kit_id) for kit_id in (KIT, OTHER)}
    for kit_id, one in keys.items():
        store.ingest(
            kit_id,
            [sign(envelope(n, kit_id=kit_id, outbox_id=OUTBOXES[kit_id]), one) for n in range(1, 6)],
            now,
            signed_only=True,
        )
    return keys[KIT]


def counted(found: Verification) -> dict[str, int]:
    return {standing.value: many for standing, many in found.counts.items() if many}


@pytest.mark.usefixtures("key")
def test_what_kits_signed_is_proven_also_when_their_keys_count_no_more(store: Store, now: datetime) -> None:
    assert counted(store.proof.verify()) == {"proven": 10}
    with store._writer.begin() as connection:
        revoke(connection, KIT, reason="lost", at=now)
    found = store.proof.verify()
    assert (found.proven, found.records, found.doubts) == (True, 10, ())
    assert store.proof.verify(Wanted(kit_id=KIT)).records == 5


def test_what_nobody_signed_or_enrolled_is_named(store: Store, tmp_path: Path, envelope: Make, now: datetime) -> None:
    unsigned = envelope(1, kit_id=NOBODY)
    unknown = sign(envelope(2, kit_id=NOBODY), KeyPemFile.make(tmp_path / "n.pem"))
    store.ingest(NOBODY, [unsigned, unknown], now)
    found = store.proof.verify()
    assert not found.proven
    assert [(one.record_id, one.standing) for one in found.doubts] == [
        (unsigned.record_id, Standing.UNSIGNED),
        (unknown.record_id, Standing.NO_KEY),
    ]


@pytest.mark.parametrize(
    "change",
    [
        "payload = replace(payload, '91', '99')",
        "captured_at = replace(captured_at, '2026', '2025')",
        "monotonic_ns = monotonic_ns + 1",
        "sequence = sequence + 100",
        "kit_id = 'kit-002', outbox_id = '00000000-0000-4000-8000-00000000000a'",
        "signature = replace(signature, '=', 'A')",
        "content_hash = (SELECT content_hash FROM records AS r WHERE r.kit_id = 'kit-002' LIMIT 1)",
        "clock = 'unsynchronised'",
        "clock = 'nonsense'",
        "schema_version = 2",
    ],
)
def test_every_change_behind_the_books_back_is_found(
    tmp_path: Path, authority: Authority, envelope: Make, now: datetime, change: str
) -> None:
    with open_store(f"sqlite:///{tmp_path}/book.db") as book:
        keys = {kit_id: enrol(book, authority, tmp_path, kit_id) for kit_id in (KIT, OTHER)}
        records = [sign(envelope(n, kit_id=KIT), keys[KIT]) for n in range(1, 6)]
        book.ingest(KIT, records, now, signed_only=True)
        book.ingest(
            OTHER, [sign(envelope(1, kit_id=OTHER, outbox_id=OUTBOXES[OTHER]), keys[OTHER])], now, signed_only=True
        )
        with book._engine.connect() as connection:
            connection.exec_driver_sql(f"UPDATE records SET {change} WHERE kit_id = 'kit-001' AND sequence = 3")  # noqa: S608 - a test's
            connection.commit()
        found = book.proof.verify()
        assert (found.records, found.counts[Standing.PROVEN], len(found.doubts)) == (6, 5, 1)
        assert found.doubts[0].record_id == records[2].record_id
        assert book.proof.verify(Wanted(record_id=records[1].record_id)).proven
        assert not book.proof.verify(Wanted(record_id=records[2].record_id)).proven


def test_a_months_records_are_those_captured_in_it(
    store: Store, authority: Authority, tmp_path: Path, envelope: Make, now: datetime
) -> None:
    key = enrol(store, authority, tmp_path, KIT)
    at = ["2026-02-28T23:59:59.000-05:00", "2026-03-01T00:00:00.000-05:00", "2026-03-04T08:00:00.000-05:00"]
    records = [sign(envelope(n, captured_at=text, monotonic_ns=n), key) for n, text in enumerate(at, 1)]
    store.ingest(KIT, records, now, signed_only=True)
    assert store.proof.verify(Wanted(month=date(2026, 3, 1))).records == 2
    assert store.proof.verify(Wanted(month=date(2026, 2, 1))).records == 1
    assert store.proof.verify(Wanted(month=date(2026, 4, 1))).records == 0


@pytest.mark.usefixtures("key")
def test_evidence_proves_itself_against_the_clinics_authority(
    store: Store, authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "evidence.jsonl"
    assert store.proof.write_evidence(path, Wanted()) == 10
    assert path.stat().st_mode & 0o777 == 0o600
    assert counted(verify_evidence(path, authority.certificate)) == {"proven": 10}
    stranger = Authority.make(tmp_path / "stranger")
    assert counted(verify_evidence(path, stranger.certificate)) == {"no key": 10}
    with pytest.raises(UsageError, match="cannot be written"):
        store.proof.write_evidence(path, Wanted())


@pytest.fixture(scope="module")
def evidence(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, envelope: Make, now: datetime
) -> tuple[bytes, Certificate]:
    folder = tmp_path_factory.mktemp("evidence")
    with open_store(f"sqlite:///{folder}/book.db") as book:
        key = enrol(book, authority, folder, KIT)
        book.ingest(KIT, [sign(envelope(n, kit_id=KIT), key) for n in range(1, 4)], now, signed_only=True)
        book.proof.write_evidence(folder / "file", Wanted())
    return (folder / "file").read_bytes(), authority.certificate


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_file_proves_nothing_more(
    evidence: tuple[bytes, Certificate], tmp_path: Path, data: st.DataObject
) -> None:
    """Cut anywhere, a byte changed anywhere: it says so, or what it proves is what was signed."""
    content, trusted = evidence
    lines = content.splitlines(keepends=True)
    signed = {json.dumps(json.loads(line)["record"], sort_keys=True) for line in lines if b'{"record":' in line[:12]}
    changed = bytearray(content)
    at = data.draw(st.integers(0, len(changed) - 2))
    if data.draw(st.booleans()):
        changed[at] ^= data.draw(st.integers(1, 255))
    else:
        del changed[at:]
    path = tmp_path / "changed"
    path.write_bytes(changed)
    try:
        found = verify_evidence(path, trusted)
    except UsageError:
        return
    if found.proven:
        kept = [json.loads(line) for line in bytes(changed).split(b"\n") if line]
        assert {json.dumps(line["record"], sort_keys=True) for line in kept if "record" in line} == signed


def test_the_commands_say_it_and_end_so(tmp_path: Path, authority: Authority, envelope: Make, now: datetime) -> None:
    url, run = f"sqlite:///{tmp_path}/book.db", CliRunner().invoke
    file, trusted = str(tmp_path / "evidence"), str(authority.certificate_file)
    with open_store(url) as book:
        key = enrol(book, authority, tmp_path, KIT)
        record = sign(envelope(1, kit_id=KIT), key)
        book.ingest(KIT, [record], now, signed_only=True)
    good = run(app, ["sink", "verify", "--store", url, "--record", str(record.record_id)])
    assert (good.exit_code, good.output) == (0, "1 of 1 records are proven: what their kits have signed\n")
    wrote = run(app, ["sink", "evidence", "--store", url, "--month", record.captured_at[:7], "--out", file])
    assert (wrote.exit_code, "1 records" in wrote.output) == (0, True)
    offline = run(app, ["sink", "verify", "--evidence", file, "--authority", trusted, "--json"])
    assert (offline.exit_code, json.loads(offline.output)["proven"]) == (0, 1)
    with open_store(url) as book, book._engine.connect() as connection:
        connection.exec_driver_sql("UPDATE records SET monotonic_ns = 7")
        connection.commit()
    bad = run(app, ["sink", "verify", "--store", url])
    assert bad.exit_code == 1
    assert f"wrong: {record.record_id} of {KIT}" in bad.output
    for wrong in ([], ["--store", url, "--evidence", file], ["--store", url, "--month", "March"]):
        assert run(app, ["sink", "verify", *wrong]).exit_code != 0
