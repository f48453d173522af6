"""A fleet in a clinic's book: each kit's key is entered, and it is given to a simulated patient of its own."""

from datetime import timedelta
from typing import Final

from gonio.cloud_sink.store import Store
from gonio.simulators.fleet_history import history, patient
from gonio.simulators.fleet_yard import FleetPlan

_BEFORE: Final = timedelta(hours=1)  # that a patient has the kit before the first session


class FleetClinic:
    """Enters kits and patients and gives these their kits; doing so again changes nothing."""

    def __init__(self, store: Store, plan: FleetPlan) -> None:
        """Look who is entered already.

        Args:
            store: the book.
            plan: the fleet, from which its patients follow.
        """
        self._store = store
        self._plan = plan
        self._known = {row.name: row.patient_id for row in store.patients()}

    def enter(self, number: int, kit_id: str, public_key: bytes) -> None:
        """Enter a kit's key, so that only what it signed is taken from it, and its patient, named after the kit.

        The patient has the kit from before the first session on.

        Args:
            number: the kit's.
            kit_id: its name.
            public_key: the key that it signs with: SubjectPublicKeyInfo in DER.

        Raises:
            UsageError: the kit is somebody else's.
            StoreUnavailableError: the book cannot be written now.
        """
        self._store.enrolment.enter_key(kit_id, public_key)
        who = patient(self._plan.seed, number)
        first = history(self._plan.seed, number, self._plan.records, self._plan.until)[0]
        name = f"Simulated patient of {kit_id}"
        patient_id = self._known.get(name)
        if patient_id is None:
            patient_id = self._store.add_patient(name, who.zone)
            self._known[name] = patient_id
        self._store.bind_kit(kit_id, patient_id, since=first.moment.true_utc - _BEFORE, side=who.side)
