"""Keys, signatures, requests and certificates: a changed bit is seen, and no bytes break the reading."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.identity.authority import Authority
from gonio.identity.certificates import Certificate, CertificateError, make_request, read_request
from gonio.identity.keys import SIGNATURE_BYTES, KeyFaultError, KeyPemFile, PublicKey, pem_of
from gonio.identity.signatures import sign, signed_by
from gonio.messages import Envelope, Kind, new_record_id

KIT = "kit-0123456789abcdef"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyPemFile:
    return KeyPemFile.make(tmp_path_factory.mktemp("key") / "key.pem")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


def record(payload: str = "{}") -> Envelope:
    return Envelope(
        record_id=new_record_id(),
        kind="session",
        kit_id=KIT,
        outbox_id=uuid.UUID(int=1),
        sequence=1,
        boot_id=uuid.UUID(int=2),
        monotonic_ns=1,
        captured_at="2026-03-05T12:00:00.000+00:00",
        clock="synchronised",
        schema_version=1,
        payload=payload,
    )


@given(st.binary(max_size=300), st.integers(0, SIGNATURE_BYTES * 8 - 1))
@settings(max_examples=50)
def test_a_signature_with_another_bit_is_none(key: KeyPemFile, data: bytes, bit: int) -> None:
    public, signature = PublicKey(key.public), key.sign(data)
    assert public.verifies(signature, data)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert not public.verifies(bytes(changed), data)
    assert not public.verifies(signature, data + b"\0")
    assert not public.verifies(signature[:-1], data)


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_signature_or_a_key(key: KeyPemFile, data: bytes) -> None:
    assert not PublicKey(key.public).verifies(data, b"what was never signed")
    with pytest.raises(KeyFaultError):
        PublicKey(data)


@given(st.data())
@settings(max_examples=50)
def test_a_damaged_key_is_no_key_or_another(key: KeyPemFile, data: st.DataObject) -> None:
    der = bytearray(key.public)
    der[data.draw(st.integers(0, len(der) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = PublicKey(bytes(der))
    except KeyFaultError:
        return
    assert other.key_id != key.key_id
    assert not other.verifies(key.sign(b"data"), b"data")


@pytest.mark.parametrize(
    "change",
    [
        {"payload": "{ }"},
        {"sequence": 2},
        {"kit_id": "kit-fedcba9876543210"},
        {"captured_at": "2026-03-05T12:00:00.001+00:00"},
        {"clock": "unsynchronised"},
        {"kind": Kind.CHECK_IN},
        {"outbox_id": uuid.UUID(int=9)},
        {"record_id": uuid.UUID(int=9)},
        {"key_id": "0" * 32},
        {"signature": None},
        {"signature": "not base64!"},
        {"signature": ""},
    ],
    ids="-".join,
)
def test_a_signed_record_is_whole(key: KeyPemFile, change: dict[str, object]) -> None:
    signed, public = sign(record(), key), PublicKey(key.public)
    assert signed_by(signed, public)
    assert not signed_by(signed.model_copy(update=change), public)


def test_a_signature_has_one_text_only(key: KeyPemFile) -> None:
    """The last character of its base64 has bits that mean nothing: another text is another record."""
    signed = sign(record(), key)
    assert signed.signature is not None
    body = signed.signature.rstrip("=")
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = body[:-1] + digits[digits.index(body[-1]) ^ 1] + "=="
    assert not signed_by(signed.model_copy(update={"signature": twin}), PublicKey(key.public))


def test_a_key_file_is_its_owners_alone_and_never_written_over(tmp_path: Path) -> None:
    made = KeyPemFile.make(tmp_path / "kit" / "key.pem")
    assert made.pem_file.stat().st_mode & 0o777 == 0o600
    assert KeyPemFile(made.pem_file).key_id == made.key_id
    with pytest.raises(FileExistsError):
        KeyPemFile.make(made.pem_file)
    other = tmp_path / "other.pem"
    for content in (b"", b"no key", pem_of(ec.generate_private_key(ec.SECP384R1())), made.pem_file.read_bytes()[:-40]):
        other.write_bytes(content)
        with pytest.raises(KeyFaultError, match=r"other\.pem"):
            KeyPemFile(other)
    with pytest.raises(KeyFaultError, match="cannot be read"):
        KeyPemFile(tmp_path / "none.pem")


@given(st.binary(max_size=400))
def test_no_bytes_are_a_request_or_a_certificate(data: bytes) -> None:
    for text in (data, b"-----BEGIN CERTIFICATE-----\n" + data + b"\n-----END CERTIFICATE-----\n"):
        with pytest.raises(CertificateError):
            Certificate.read(text)
        with pytest.raises(CertificateError):
            read_request(text, KIT)


def test_a_request_is_for_one_name_and_its_own_key(key: KeyPemFile) -> None:
    request = make_request(key, KIT)
    assert read_request(request, KIT).is_signature_valid
    with pytest.raises(CertificateError):
        read_request(request, "kit-fedcba9876543210")
    with pytest.raises(CertificateError):
        read_request(request[:-60] + request[-58:], KIT)


def test_a_certificate_is_of_its_authority_and_time(key: KeyPemFile, authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue_kit(make_request(key, KIT), KIT)
    read = Certificate.read(issued.pem)
    assert (read, read.name, read.key_id) == (issued, KIT, key.key_id)
    now = datetime.now(UTC)
    assert read.holds(now)
    assert not read.holds(read.not_before - timedelta(seconds=1))
    assert not read.holds(read.not_after + timedelta(seconds=1))
    assert read.issued_by(authority.certificate)
    stranger = Authority.make(tmp_path / "stranger")
    assert not read.issued_by(stranger.certificate)
