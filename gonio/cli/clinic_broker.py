"""``gonio clinic broker``: keep who may use the broker as the book says."""

import contextlib
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gonio.cli.options import ClinicDir, StoreUrl


def broker(
    store: StoreUrl,
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where the broker's `acl` and `crl.pem` go.")],
    pid_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The broker's pid_file, to have it read them again.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once and leave.")] = False,
    clinic_dir: ClinicDir = None,
) -> None:
    """Write mosquitto's access list and revocation list from the book, every 10 seconds, until Ctrl-C.

    A kit that is claimed is let in, one that is revoked is cut off within a minute, also while it is connected.
    """
    from gonio.cloud_sink.broker_warden import EVERY_S, Warden
    from gonio.cloud_sink.clinic_folder import ClinicFolder
    from gonio.cloud_sink.engine import StoreUnavailableError
    from gonio.cloud_sink.store import open_store

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    log = logging.getLogger(__name__)
    clinic = ClinicFolder.usual(clinic_dir)
    clinic.authority_certificate()  # says what to do where there is none
    warden = Warden(folder, clinic.authority() if clinic.signs_itself else None, pid_file)
    signal.signal(signal.SIGTERM, _leave)
    with open_store(store, create=False) as book, contextlib.suppress(KeyboardInterrupt):
        while True:
            try:
                standing = book.enrolment.standing()
            except StoreUnavailableError as error:
                if once:
                    raise
                log.warning("%s; who may use the broker stays as it is", error)
            else:
                if warden.keep(standing):
                    log.info(
                        "%d kits may connect, %d certificates are revoked", len(standing.kits), len(standing.revoked)
                    )
            if once:
                return
            time.sleep(EVERY_S)


def _leave(*_: object) -> NoReturn:
    raise KeyboardInterrupt
