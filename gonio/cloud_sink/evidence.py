"""A month of evidence as a file: the records with their signatures, the keys, and how each key was certified.

Whoever has the file and the clinic's authority's certificate can prove it without the book, years later. It is lines of
JSON: what it is; one line for each key; one for each record, to the letter; and how many there are. It holds health
data without names: keep it as the book is kept.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import UUID

from sqlalchemy import RowMapping

from gonio.cloud_sink.enrolment.keys import KitKey
from gonio.cloud_sink.verify import KeysByKit, Standing, Verification, envelope_of, standing_of, summed
from gonio.errors import UsageError
from gonio.identity.certificates import Certificate, CertificateError
from gonio.identity.keys import KeyFaultError, PublicKey
from gonio.messages import MAX_PAYLOAD_BYTES, Envelope

FORMAT: Final = "gonio-evidence"
VERSION: Final = 1
_LONGEST: Final = 8 * MAX_PAYLOAD_BYTES  # bytes of a line: escapes take up to six bytes for one of a payload
_MAX_KEYS: Final = 1_000_000


def write_evidence(to: BinaryIO, what: dict[str, Any], keys: Iterable[KitKey], rows: Iterable[RowMapping]) -> int:
    """Write a file; gives how many records it has.

    Args:
        to: where.
        what: says what it is evidence of.
        keys: of the kits.
        rows: of ``records``, as ``verify.rows`` gives them.

    Raises:
        ValueError: a row is no record (pydantic's ValidationError).
    """
    _write(to, {"format": FORMAT, "version": VERSION, **what})
    for key in keys:
        public = base64.b64encode(key.public_key).decode("ascii")
        told = {"kit_id": key.kit_id, "public_key": public, "certificate": key.certificate, "state": key.state.value}
        _write(to, {"key": told})
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - how many there were
        record = envelope_of(row).model_dump(mode="json", exclude_none=True)
        _write(to, {"record": record, "received_at": row["received_at"].isoformat()})
    _write(to, {"records": count})
    return count


def _write(to: BinaryIO, line: dict[str, Any]) -> None:
    to.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def verify_evidence(path: Path, authority: Certificate | None) -> Verification:
    """Prove a file by itself.

    Args:
        path: the file.
        authority: whoever certified the keys: a key that it has not certified for its kit counts for nothing. None
            believes the keys in the file.

    Raises:
        UsageError: it cannot be read, is no such file, or is not whole.
    """
    try:
        with path.open("rb") as file:
            return summed(_looked_at(path, file, authority))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from error


def _looked_at(path: Path, file: BinaryIO, authority: Certificate | None) -> Iterator[tuple[UUID, str, Standing]]:
    lines = _lines(path, file)
    first = next(lines, {})
    if first.get("format") != FORMAT or first.get("version") != VERSION:
        raise UsageError(f"{path} is no evidence that this version of gonio knows")
    keys: dict[str, list[PublicKey]] = {}
    count = many = 0
    for line in lines:
        match line:
            case {"key": dict(told)} if many < _MAX_KEYS:
                many += 1
                _keep(keys, told, authority)
            case {"record": dict(told)}:
                count += 1
                yield _standing(path, told, keys)
            case {"records": int(said)} if said == count and next(lines, None) is None:
                return
            case _:
                raise UsageError(f"{path} is not whole: something was put in, taken out or cut off")
    raise UsageError(f"{path} is cut off: make it again")


def _lines(path: Path, file: BinaryIO) -> Iterator[dict[str, Any]]:
    while line := file.readline(_LONGEST):
        try:
            read = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} holds a line that is no JSON: it is damaged, or no evidence") from error
        if not isinstance(read, dict):
            raise UsageError(f"{path} holds a line that is none of evidence")
        yield read


def _keep(keys: dict[str, list[PublicKey]], told: dict[str, Any], authority: Certificate | None) -> None:
    """Take a key that counts; what cannot be read, or nobody has certified, does not."""
    try:
        kit_id, key = str(told["kit_id"]), PublicKey(base64.b64decode(told["public_key"], validate=True))
        if authority is not None:
            certificate = Certificate.read(str(told["certificate"]))
            if (certificate.name, certificate.public) != (kit_id, key.der) or not certificate.issued_by(authority):
                return
    except (KeyError, ValueError, TypeError, KeyFaultError, CertificateError):
        return
    keys.setdefault(kit_id, []).append(key)


def _standing(path: Path, told: dict[str, Any], keys: KeysByKit) -> tuple[UUID, str, Standing]:
    try:
        envelope = Envelope.model_validate_json(json.dumps(told))
    except ValueError as error:  # pydantic's ValidationError
        raise UsageError(f"{path} holds a line that is no record") from error
    return envelope.record_id, envelope.kit_id, standing_of(envelope, keys)
