"""The whole HTTP interface under generated requests: no fault of ours, and nothing for who is not signed in."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import anyio.from_thread
import pytest
import schemathesis
import urllib3
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok

from gonio.cloud_sink.accounts import Accounts, Passwords
from gonio.cloud_sink.review.app import create_app
from gonio.cloud_sink.review.gate import House
from gonio.cloud_sink.store import Store, open_store
from gonio.web.serving import listen, serving

SECRET = "Quillon Featherstone"  # noqa: S105 - a patient's name
FEW = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('book')}/book.sqlite") as store:
        store.add_patient(SECRET, "America/New_York")
        yield store


@pytest.fixture(scope="module")
def accounts(store: Store) -> Accounts:
    return store.accounts(secrets.token_bytes(32), passwords=Passwords(time_cost=1, memory_kib=64, parallelism=1))


def try_all(store: Store, accounts: Accounts, cookie: str, look: Callable[[str, Any], None]) -> int:
    """Send generated requests to every operation that the application describes; gives how many operations."""
    app = create_app(House(accounts, store.of_clinic, store.stock), names=["testserver"])
    schema = schemathesis.openapi.from_dict(app.openapi())
    results = list(schema.get_all_operations())
    operations = [result.ok() for result in results if isinstance(result, Ok)]
    assert len(operations) == len(results)
    with running(app) as address:
        pool = urllib3.PoolManager(retries=False, timeout=20)
        for operation in operations:

            @FEW
            @given(case=operation.as_strategy())
            def ask(case: Any) -> None:  # noqa: ANN401 - schemathesis'
                path = case.formatted_path + ("?" + urlencode(case.query, doseq=True) if case.query else "")
                headers = {"Host": "testserver", "Origin": "http://testserver", "Cookie": cookie}
                body = urlencode(case.body, doseq=True) if isinstance(case.body, dict) else None
                answer = pool.urlopen(case.method, address + path, headers=headers, body=body, redirect=False)
                assert answer.status < 500, f"{case.method} {path}"
                look(case.path, answer)

            ask()
        pool.clear()
    return len(operations)


def test_nobody_gets_anything_and_nothing_breaks(store: Store, accounts: Accounts) -> None:
    def look(path: str, answer: Any) -> None:  # noqa: ANN401 - urllib3's
        assert SECRET not in answer.data.decode()
        assert answer.status != 200 or path.startswith("/sign-in")

    assert try_all(store, accounts, "", look) >= 28


def test_a_therapist_breaks_nothing(store: Store, accounts: Accounts) -> None:
    def look(_path: str, answer: Any) -> None:  # noqa: ANN401 - as above
        assert "content-security-policy" in answer.headers

    cookie = f"gonio={accounts.admit_demo().token}"
    assert try_all(store, accounts, cookie, look) >= 28
    assert accounts.clinics()


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    with anyio.from_thread.start_blocking_portal() as portal:
        sock = listen("127.0.0.1", 0)
        with portal.wrap_async_context_manager(serving(app, sock)):
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
