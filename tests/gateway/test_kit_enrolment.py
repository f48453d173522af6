"""A kit becomes its clinic's by a claim code, tells nobody else, and keeps nothing that is not for it."""

import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gonio.cli.gateway import app
from gonio.errors import PeerError, RetryableError, UsageError
from gonio.gateway.clinic_server import ClaimRefusedError
from gonio.gateway.enrolment import enrol
from gonio.gateway.identity_folder import Enrolment, IdentityFolder
from gonio.gateway.keyfile import KeyFile
from gonio.gateway.kit_key import read_clinic_key
from gonio.gateway.moment import KnownMoment
from gonio.gateway.settings import KitSettings
from gonio.gateway.store import KitStore
from gonio.identity.authority import Authority
from gonio.identity.certificates import make_request
from gonio.identity.claim import ClaimTicket
from gonio.identity.keys import KeyFaultError, KeyPemFile
from tests.gateway.clinic_service import Clinic, serving


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    with serving(Clinic(tmp_path / "clinic")) as clinic:
        yield clinic


def keys(data_dir: Path) -> KeyFile:
    return KeyFile(data_dir / "kit.key")


def run(data_dir: Path, ticket: ClaimTicket, said: list[str] | None = None) -> Enrolment:
    return enrol(data_dir, keys(data_dir), ticket, say=(said if said is not None else []).append, sleep=lambda _: None)


def test_a_kit_becomes_its_clinics(clinic: Clinic, tmp_path: Path) -> None:
    data_dir = tmp_path / "kit"
    enrolment = run(data_dir, clinic.ticket)
    folder = IdentityFolder(data_dir)
    certificate = folder.certificate()
    assert certificate is not None
    assert certificate.name == enrolment.kit_id
    assert certificate.public == KeyPemFile(folder.key_file).public
    assert certificate.issued_by(clinic.authority.certificate)
    clinic_key = read_clinic_key(data_dir)
    assert clinic_key is not None
    assert clinic_key.der == clinic.records.public
    with KitStore.open(data_dir) as store:
        assert store.kit_id == enrolment.kit_id
    address = KitSettings(data_dir=data_dir).broker_address()
    assert str(address) == clinic.broker
    assert address.ca_file == folder.authority_file
    assert address.own is not None
    assert address.tls_context() is not None
    for file in folder.path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_broker_that_is_set_goes_before_the_clinics(clinic: Clinic, tmp_path: Path) -> None:
    run(tmp_path / "kit", clinic.ticket)
    settings = KitSettings(data_dir=tmp_path / "kit", broker="mqtt://127.0.0.1:1883")
    assert str(settings.broker_address()) == "mqtt://127.0.0.1:1883"


def test_again_changes_nothing(clinic: Clinic, tmp_path: Path) -> None:
    data_dir = tmp_path / "kit"
    first = run(data_dir, clinic.ticket)
    before = IdentityFolder(data_dir).certificate_file.read_bytes()
    clinic.asked.clear()
    assert run(data_dir, clinic.ticket) == first
    assert clinic.asked == []
    assert IdentityFolder(data_dir).certificate_file.read_bytes() == before


def test_the_code_goes_to_no_server_but_the_clinics(clinic: Clinic, tmp_path: Path) -> None:
    """Somebody else answers at the address: their authority has another fingerprint, and they are sent nothing."""
    other = Authority.make(tmp_path / "other")
    ticket = ClaimTicket(clinic.code, clinic.url, other.fingerprint)
    with pytest.raises(ClaimRefusedError, match="not the clinic that this claim code is of"):
        run(tmp_path / "kit", ticket)
    assert clinic.asked == ["/v1/authority"]


def test_the_code_goes_to_no_server_that_shows_the_authority_and_is_not_its_own(tmp_path: Path) -> None:
    """A proxy can pass the true authority on, but holds no certificate of it."""
    clinic, proxy = Clinic(tmp_path / "clinic"), Clinic(tmp_path / "proxy")
    with serving(proxy):
        proxy.answers["/v1/authority"] = (200, clinic.authority.certificate.pem.encode())
        with pytest.raises(RetryableError, match="authority that is not trusted"):
            run(tmp_path / "kit", ClaimTicket(clinic.code, proxy.url, clinic.authority.fingerprint))
    assert proxy.asked == ["/v1/authority"]


def test_a_certificate_that_waits_for_its_authority_is_waited_for(clinic: Clinic, tmp_path: Path) -> None:
    clinic.waits = 3
    said: list[str] = []
    assert run(tmp_path / "kit", clinic.ticket, said).server == clinic.url
    assert [line for line in said if "is being signed" in line]
    assert clinic.asked.count("/v1/claim") == 4


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (403, b'{"error": "this code is used"}', ClaimRefusedError, "this code is used"),
        (429, b'{"error": "too often"}', RetryableError, "try again in some minutes"),
        (503, b"<html>", RetryableError, "HTTP status 503"),
        (400, b"\xff\xfe", ClaimRefusedError, "HTTP status 400"),
        (302, b"", ClaimRefusedError, "HTTP status 302"),
        (200, b"{}", PeerError, "cannot be read"),
        (200, b"x" * 100_000, PeerError, "more than it should"),
        (200, b'{"state": "waiting", "poll_s": -1}', PeerError, "cannot be read"),
    ],
)
def test_a_clinic_that_says_no_leaves_the_kit_as_it_was(
    clinic: Clinic, tmp_path: Path, status: int, body: bytes, error: type[Exception], words: str
) -> None:
    clinic.answers["/v1/claim"] = (status, body)
    with pytest.raises(error, match=words) as told:
        run(tmp_path / "kit", clinic.ticket)
    assert clinic.code not in str(told.value)
    assert IdentityFolder(tmp_path / "kit").enrolment() is None
    del clinic.answers["/v1/claim"]
    assert run(tmp_path / "kit", clinic.ticket).server == clinic.url


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kit_id": "kit-ffffffffffffffff"}, "for another kit"),
        ({"broker": "mqtt://127.0.0.1:1883"}, "does not speak TLS"),
        ({"broker": "mqtt://example.org"}, "broker cannot be used"),
        ({"clinic_key": "AAAA"}, "cannot be used"),
        ({"clinic_key": "no base64!"}, "cannot be used"),
        ({"certificate": "none"}, "cannot be used"),
        ({"certificate": "own"}, "for another kit, its certificate is for another key"),
    ],
)
def test_what_is_not_for_this_kit_is_not_kept(
    clinic: Clinic, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    with KitStore.open(tmp_path / "kit") as store:
        kit_id, key = store.kit_id, store.signing_key
    request = make_request(key, kit_id).decode()
    fields = {"code": clinic.code, "kit_id": kit_id, "request": request}
    status, body = clinic.answer("/v1/claim", fields)
    if changes.get("certificate") == "own":
        changes = {"certificate": clinic.authority.certificate.pem}
    clinic.answers["/v1/claim"] = (status, json.dumps(json.loads(body) | changes).encode())
    with pytest.raises(PeerError, match=words):
        run(tmp_path / "kit", clinic.ticket)
    assert IdentityFolder(tmp_path / "kit").enrolment() is None


def test_a_foreign_authoritys_certificate_is_not_kept(clinic: Clinic, tmp_path: Path) -> None:
    other = Clinic(tmp_path / "other")
    real, clinic.authority = clinic.authority, other.authority
    clinic.answers["/v1/authority"] = (200, real.certificate.pem.encode())
    with pytest.raises(PeerError, match="not of the clinic's authority"):
        run(tmp_path / "kit", ClaimTicket(clinic.code, clinic.url, real.fingerprint))


def test_an_expired_certificate_is_not_kept(clinic: Clinic, tmp_path: Path) -> None:
    clinic.life = timedelta(minutes=-5)
    with pytest.raises(PeerError, match="has expired"):
        run(tmp_path / "kit", clinic.ticket)


def test_another_clinic_cannot_have_the_kit(clinic: Clinic, tmp_path: Path) -> None:
    run(tmp_path / "kit", clinic.ticket)
    with serving(Clinic(tmp_path / "other")) as other, pytest.raises(UsageError, match="belongs to the clinic of"):
        run(tmp_path / "kit", other.ticket)
    assert other.asked == []


def test_a_kit_without_network_is_told_what_to_do(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path / "clinic")
    with serving(clinic):
        ticket = clinic.ticket
    with pytest.raises(RetryableError, match="nobody listens there"):
        run(tmp_path / "kit", ticket)


def test_a_kit_of_1970_enrols_and_learns_the_time(clinic: Clinic, tmp_path: Path) -> None:
    early = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    data_dir = tmp_path / "kit"
    enrol(data_dir, keys(data_dir), clinic.ticket, say=lambda _: None, now=lambda: early)
    assert "/v1/time" in clinic.asked
    assert KnownMoment(data_dir).newest > datetime.now(UTC) - timedelta(minutes=5)


def test_an_enrolled_kit_without_its_key_makes_no_other(clinic: Clinic, tmp_path: Path) -> None:
    run(tmp_path / "kit", clinic.ticket)
    folder = IdentityFolder(tmp_path / "kit")
    folder.key_file.unlink()
    with pytest.raises(KeyFaultError, match="the key of this kit is missing"):
        KitStore.open(tmp_path / "kit")
    assert not folder.key_file.exists()


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_the_command_takes_the_line_that_the_clinic_printed(clinic: Clinic, tmp_path: Path) -> None:
    data_dir = tmp_path / "kit"
    answer = command("enroll", str(clinic.ticket), "--data-dir", str(data_dir))
    assert answer.exit_code == 0, answer.output
    enrolment = IdentityFolder(data_dir).enrolment()
    assert enrolment is not None
    assert f"Enrolled: {enrolment.kit_id}" in answer.output
    assert clinic.code not in answer.output
    status = command("status", "--data-dir", str(data_dir))
    assert f"enrolled with {clinic.url}" in status.output


@pytest.mark.parametrize("by", ["file", "fingerprint", "fingerprint in groups"])
def test_the_command_takes_a_code_that_is_typed(clinic: Clinic, tmp_path: Path, by: str) -> None:
    fingerprint = clinic.authority.fingerprint
    authority = {
        "file": str(clinic.authority.certificate_file),
        "fingerprint": fingerprint,
        "fingerprint in groups": ":".join(fingerprint[i : i + 2].upper() for i in range(0, 32, 2)),
    }[by]
    code = ("--code", clinic.code.lower(), "--server", clinic.url, "--authority", authority)
    answer = command("enroll", *code, "--data-dir", str(tmp_path / "kit"))
    assert answer.exit_code == 0, answer.output
    assert IdentityFolder(tmp_path / "kit").enrolment() is not None


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--code", "ABCD-EFGH-JKMN-PQRS"),
        ("https://x/#claim=ABCD-EFGH-JKMN-PQRS&authority=00112233445566778899aabbccddeeff", "--code", "A"),
        ("--code", "ABCD-EFGH-JKMN-PQRS", "--server", "https://x", "--authority", "/nowhere"),
        ("--code", "ABCD-EFGH-JKMN-PQRS", "--server", "http://x", "--authority", "0" * 32),
    ],
    ids=["nothing", "no server", "both", "no authority", "no TLS"],
)
def test_what_is_not_enough_to_enrol_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    answer = command("enroll", *arguments, "--data-dir", str(tmp_path / "kit"))
    assert isinstance(answer.exception, UsageError)
    assert "ABCD" not in str(answer.exception).replace("as ABCD-EFGH-JKMN-PQRS", "")
    assert not (tmp_path / "kit").exists()


def test_the_command_wipes_only_when_told_so(clinic: Clinic, tmp_path: Path) -> None:
    data_dir = tmp_path / "kit"
    run(data_dir, clinic.ticket)
    asked = CliRunner().invoke(app, ["wipe", "--data-dir", str(data_dir)], input="n\n")
    assert asked.exit_code == 1
    assert (data_dir / "kit.key").exists()
    assert command("wipe", "--yes", "--data-dir", str(data_dir)).exit_code == 0
    assert not (data_dir / "kit.key").exists()
    assert IdentityFolder(data_dir).enrolment() is not None
    assert command("wipe", "--yes", "--decommission", "--data-dir", str(data_dir)).exit_code == 0
    assert IdentityFolder(data_dir).enrolment() is None
