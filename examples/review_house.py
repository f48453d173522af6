# ruff: noqa: INP001 - a script's helper, no package
"""A house for the sample clinic's pages: accounts of its own in a folder that goes with the process."""

import secrets
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gonio.cloud_sink.accounts import Accounts, Passwords
from gonio.cloud_sink.review.book import ClinicBook
from gonio.cloud_sink.review.gate import House
from gonio.cloud_sink.stock import StockRoom
from gonio.cloud_sink.store import open_store

TICKET = "sample"


@dataclass(frozen=True)
class SampleHouse:
    """A house with somebody signed in.

    Attributes:
        house: what the pages stand on.
        token: of the session of a therapist.
    """

    house: House
    token: str

    @property
    def cookie(self) -> str:
        """What their browser sends."""
        return f"{self.house.session_cookie}={self.token}"


def sample_house(book: ClinicBook) -> SampleHouse:
    """Put a book into a house, whoever's clinic it is."""
    accounts, stock, token = _accounts()
    return SampleHouse(House(accounts, lambda _clinic_id: book, stock, ticket=TICKET), token)


@lru_cache(1)
def _accounts() -> tuple[Accounts, StockRoom, str]:
    folder = tempfile.TemporaryDirectory(prefix="gonio-sample-")
    store = open_store(f"sqlite:///{Path(folder.name) / 'accounts.sqlite'}")
    _KEPT.append(folder)
    accounts = store.accounts(secrets.token_bytes(32), passwords=Passwords(time_cost=1, memory_kib=64, parallelism=1))
    token = accounts.admit_demo().token
    assert token is not None  # noqa: S101 - it is what admit_demo promises
    return accounts, store.stock, token


_KEPT: list[object] = []  # the folder is removed when the process ends
