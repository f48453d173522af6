"""A claim code makes one kit the clinic's, once; a key is renewed by itself, and counts until it is revoked."""

import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gonio.cloud_sink.enrolment.claims import ClaimRefusedError
from gonio.cloud_sink.enrolment.desk import RENEWAL
from gonio.cloud_sink.enrolment.keys import KeyState, KitKey
from gonio.cloud_sink.store import Store, open_store
from gonio.errors import UsageError
from gonio.identity.authority import Authority
from gonio.identity.certificates import CertificateError, make_request, subject
from gonio.identity.keys import KeyPemFile

KIT, OTHER = "kit-0123456789abcdef", "kit-fedcba9876543210"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def key(tmp_path: Path) -> Callable[[str], KeyPemFile]:
    def give(name: str) -> KeyPemFile:
        file = tmp_path / f"{name}.pem"
        return KeyPemFile(file) if file.exists() else KeyPemFile.make(file)

    return give


def actions(store: Store) -> list[str]:
    with store._reader.connect() as connection:
        return list(connection.exec_driver_sql("SELECT action FROM audit_log ORDER BY number").scalars())


def renewal(kit_id: str, signer: KeyPemFile, request: bytes) -> tuple[str, bytes, str, str]:
    at = "2026-03-05T12:00:00.000+00:00"
    proven = RENEWAL + f"{kit_id}\n{at}\n{hashlib.sha256(request).hexdigest()}".encode()
    return kit_id, request, at, base64.b64encode(signer.sign(proven)).decode()


def test_the_first_kit_that_shows_a_code_is_the_clinics(
    store: Store, authority: Authority, key: Callable[[str], KeyPemFile]
) -> None:
    box = store.enrolment.add_box("box 1", "S-1")
    request = make_request(key("a"), KIT)
    got = store.enrolment.claim(box.code, KIT, request, authority.issue_kit)
    assert got.certificate is not None
    assert got.state is KeyState.ACTIVE
    again = store.enrolment.claim(box.code, KIT, make_request(key("a"), KIT), authority.issue_kit)
    assert again == got
    assert actions(store) == ["claim-code-made", "kit-claimed"]


@pytest.mark.parametrize("who", ["another kit", "another key"])
def test_a_used_code_is_refused_to_everybody_else_and_noted(
    store: Store, authority: Authority, key: Callable[[str], KeyPemFile], who: str
) -> None:
    box = store.enrolment.add_box()
    store.enrolment.claim(box.code, KIT, make_request(key("a"), KIT), authority.issue_kit)
    kit = OTHER if who == "another kit" else KIT
    with pytest.raises(ClaimRefusedError, match="used by another kit"):
        store.enrolment.claim(box.code, kit, make_request(key("b"), kit), authority.issue_kit)
    assert store.enrolment.keys(OTHER) == []
    assert [one.key_id for one in store.enrolment.keys(KIT)] == [key("a").key_id]
    assert actions(store)[-1] == "claim-refused"


def test_a_code_that_is_unknown_too_old_or_replaced(
    store: Store, authority: Authority, key: Callable[[str], KeyPemFile]
) -> None:
    request = make_request(key("a"), KIT)
    with pytest.raises(ClaimRefusedError, match="not known"):
        store.enrolment.claim("0" * 16, KIT, request, authority.issue_kit)
    brief = store.enrolment.add_box(life=timedelta(microseconds=1))
    with pytest.raises(ClaimRefusedError, match="too old"):
        store.enrolment.claim(brief.code, KIT, request, authority.issue_kit)
    box = store.enrolment.add_box()
    fresh = store.enrolment.new_code(box.item_id)
    with pytest.raises(ClaimRefusedError, match="too old"):
        store.enrolment.claim(box.code, KIT, request, authority.issue_kit)
    assert store.enrolment.claim(fresh.code, KIT, request, authority.issue_kit).kit_id == KIT


def test_a_box_has_one_kit_and_a_kit_one_box(
    store: Store, authority: Authority, key: Callable[[str], KeyPemFile]
) -> None:
    first, second = store.enrolment.add_box(), store.enrolment.add_box()
    store.enrolment.claim(first.code, KIT, make_request(key("a"), KIT), authority.issue_kit)
    with pytest.raises(ClaimRefusedError, match="of its own box"):
        store.enrolment.claim(second.code, KIT, make_request(key("b"), KIT), authority.issue_kit)
    other = store.enrolment.new_code(first.item_id)
    with pytest.raises(ClaimRefusedError, match="box with another kit"):
        store.enrolment.claim(other.code, OTHER, make_request(key("c"), OTHER), authority.issue_kit)
    anew = store.enrolment.claim(other.code, KIT, make_request(key("b"), KIT), authority.issue_kit)
    assert {one.key_id: one.state for one in store.enrolment.keys(KIT)} == {
        anew.key_id: KeyState.ACTIVE,
        key("a").key_id: KeyState.SUPERSEDED,
    }


def test_of_two_kits_that_show_a_code_at_once_one_gets_it(
    store_url: str, authority: Authority, key: Callable[[str], KeyPemFile]
) -> None:
    kits = {f"kit-{n:016x}": make_request(key(str(n)), f"kit-{n:016x}") for n in range(4)}
    start = Barrier(len(kits))
    with open_store(store_url) as store:
        box = store.enrolment.add_box()

    def attempt(kit: str) -> KitKey | None:
        with open_store(store_url) as store:
            start.wait()
            try:
                return store.enrolment.claim(box.code, kit, kits[kit], authority.issue_kit)
            except ClaimRefusedError:
                return None

    with ThreadPoolExecutor(len(kits)) as pool:
        got = list(pool.map(attempt, kits))
    assert sum(one is not None for one in got) == 1
    with open_store(store_url) as store:
        assert sum(len(store.enrolment.keys(kit)) for kit in kits) == 1


@pytest.mark.parametrize("spoil", ["another name", "not signed", "no request", "another curve"])
def test_a_request_that_is_of_no_use_uses_no_code(
    store: Store, authority: Authority, key: Callable[[str], KeyPemFile], spoil: str
) -> None:
    good = make_request(key("a"), KIT)
    requests = {
        "another name": make_request(key("a"), OTHER),
        "not signed": good[:-60] + bytes([good[-60] ^ 1]) + good[-59:],
        "no request": b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "another curve": _request_of_another_curve(),
    }
    box = store.enrolment.add_box()
    with pytest.raises(CertificateError):
        store.enrolment.claim(box.code, KIT, requests[spoil], authority.issue_kit)
    assert store.enrolment.claim(box.code, KIT, good, authority.issue_kit).kit_id == KIT


def _request_of_another_curve() -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(KIT))
    request = builder.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def test_a_kit_renews_with_the_key_that_counts_and_asks_again_when_the_answer_was_lost(
    store: Store, authority: Authority, key: Callable[[str], KeyPemFile]
) -> None:
    box = store.enrolment.add_box()
    store.enrolment.claim(box.code, KIT, make_request(key("a"), KIT), authority.issue_kit)
    request = make_request(key("b"), KIT)
    got = store.enrolment.renew(*renewal(KIT, key("a"), request), authority.issue_kit)
    assert got.key_id == key("b").key_id
    assert store.enrolment.renew(*renewal(KIT, key("a"), request), authority.issue_kit) == got
    for signer, asked, why in (
        ("a", make_request(key("c"), KIT), "replaced by a newer"),  # a superseded key gets no new one
        ("c", make_request(key("c"), KIT), "no key here that counts"),  # a key asks for itself
        ("b", make_request(key("a"), KIT), "replaced by a newer"),  # back to the old one
    ):
        with pytest.raises(ClaimRefusedError, match=why):
            store.enrolment.renew(*renewal(KIT, key(signer), asked), authority.issue_kit)
    kit_id, _, at, proof = renewal(KIT, key("b"), request)
    with pytest.raises(ClaimRefusedError, match="no key here"):  # a proof is of one request
        store.enrolment.renew(kit_id, make_request(key("d"), KIT), at, proof, authority.issue_kit)


def test_a_revoked_kit_gets_nothing_until_it_is_claimed_anew_with_a_new_key(
    store: Store, authority: Authority, key: Callable[[str], KeyPemFile]
) -> None:
    box = store.enrolment.add_box()
    request = make_request(key("a"), KIT)
    store.enrolment.claim(box.code, KIT, request, authority.issue_kit)
    with pytest.raises(UsageError, match="say why"):
        store.enrolment.revoke(KIT, " ")
    assert store.enrolment.revoke(KIT, "lost in the post") == [key("a").key_id]
    assert store.enrolment.revoke(KIT, "again") == []
    with pytest.raises(ClaimRefusedError, match="was revoked"):
        store.enrolment.claim(box.code, KIT, request, authority.issue_kit)
    with pytest.raises(ClaimRefusedError, match="no key here that counts"):
        store.enrolment.renew(*renewal(KIT, key("a"), make_request(key("b"), KIT)), authority.issue_kit)
    fresh = store.enrolment.new_code(box.item_id)
    with pytest.raises(ClaimRefusedError, match="does not count any more"):
        store.enrolment.claim(fresh.code, KIT, request, authority.issue_kit)
    assert store.enrolment.claim(fresh.code, KIT, make_request(key("b"), KIT), authority.issue_kit).kit_id == KIT


def test_an_authority_outside_signs_later(
    store: Store, authority: Authority, key: Callable[[str], KeyPemFile], tmp_path: Path
) -> None:
    box = store.enrolment.add_box()
    request = make_request(key("a"), KIT)
    waiting = store.enrolment.claim(box.code, KIT, request, lambda _request, _kit: None)
    assert waiting.certificate is None
    assert waiting.request == request.decode()
    stranger = Authority.make(tmp_path / "stranger")
    with pytest.raises(UsageError, match="not of the clinic's authority"):
        store.enrolment.put_certificate(stranger.issue_kit(request, KIT), authority.certificate)
    other = authority.issue_kit(make_request(key("b"), KIT), KIT)
    with pytest.raises(UsageError, match="no kit waits"):
        store.enrolment.put_certificate(other, authority.certificate)
    certificate = authority.issue_kit(request, KIT)
    assert store.enrolment.put_certificate(certificate, authority.certificate) == KIT
    got = store.enrolment.claim(box.code, KIT, request, lambda _request, _kit: None)
    assert got.certificate == certificate.pem


@pytest.mark.parametrize("name", ["gonio-sink", "kit-1", "KIT-0123456789ABCDEF", "kit-0123456789abcdef0", "+", "#"])
def test_nobody_claims_a_name_that_is_no_kits(
    store: Store, authority: Authority, key: Callable[[str], KeyPemFile], name: str
) -> None:
    box = store.enrolment.add_box()
    with pytest.raises(ClaimRefusedError, match="no kit's name"):
        store.enrolment.claim(box.code, name, make_request(key("a"), name), authority.issue_kit)
    assert store.enrolment.standing().kits == ()


def test_there_is_no_code_for_a_box_that_is_not_there_and_none_for_months(store: Store) -> None:
    with pytest.raises(UsageError, match="no such box"):
        store.enrolment.new_code(uuid4())
    with pytest.raises(UsageError, match="at most 14 days"):
        store.enrolment.add_box(life=timedelta(days=15))
    with pytest.raises(UsageError, match="at most 200"):
        store.enrolment.add_box("x" * 201)
