"""Anything at all into every codec: does one raise what it should not, or keep what it should not?

Usage: python benchmarks/fuzz.py [--inputs 10000000] [--seed 1] [--guided]

Every family's packets (decoded alone) and streams (fed in runs, as a connection gives them) get recorded packets that
were mutated, streams that were cut, spliced and interleaved, and plain noise. Allowed are a decoded packet and the
codecs' own error. Printed are inputs a second, what else was raised, the longest run of samples that one notification
gave, and how the process's memory grew. With ``--guided`` atheris chooses the inputs by the code that they reach
(pip install atheris).
"""

import argparse
import json
import random
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder, decode_packet
from gonio.drivers.errors import CodecError
from gonio.drivers.packets import find_packet
from gonio.firmware_profiles import Profile, builtin_profiles

VECTORS = Path(__file__).parents[1] / "tests" / "drivers" / "vectors"

#: The longest value of an attribute (Core specification, Vol 3, Part F, 3.2.9).
LONGEST = 512
#: Notifications of one connection in a run, and of those that one call takes.
RUN = 64
BATCH = 8
#: Different faults that are kept and printed.
FAULTS = 20

PATHS = ("/Meas/IMU6/52", "/Meas/IMU9/104", "/Meas/Acc/13", "/Meas/HR", "/Meas/ECG/200", "/Meas/Temp", "")


class Fuzzer:
    """Gives inputs to every codec and notes what comes of it."""

    def __init__(self, chance: random.Random) -> None:
        """Prepare.

        Args:
            chance: decides everything.
        """
        self.inputs = 0
        self.outcomes: Counter[str] = Counter()
        self.faults: dict[str, str] = {}
        self.longest_run = 0
        self._chance = chance
        self.profiles = builtin_profiles()
        self._seeds = {profile.family: _seeds(profile) for profile in self.profiles}
        self._streaming = [profile for profile in self.profiles if profile.sequences is not None]

    def go(self) -> None:
        """Try one packet, or one run of a stream."""
        if self._chance.random() < 1 / RUN:
            self.stream(self._chance.choice(self._streaming), lambda seeds: self._mutated(self._chance.choice(seeds)))
        else:
            profile = self._chance.choice(self.profiles)
            self.packet(profile, self._mutated(self._chance.choice(self._seeds[profile.family])))

    def packet(self, profile: Profile, data: bytes) -> None:
        """Decode a packet as each thing that it could be."""
        self.inputs += 1
        role = self._chance.choice(list(profile.characteristics))
        told = self._told(profile)
        self._note(f"{profile.family} {role} {told} {data.hex()}", lambda: decode_packet(profile, role, data, told))
        name = self._chance.choice(list(profile.packets))
        self._note(f"{profile.family} find {name} {data.hex()}", lambda: find_packet(profile, name, data))

    def stream(self, profile: Profile, make: Callable[[Sequence[bytes]], bytes]) -> None:
        """Feed a run of notifications to the reader of a stream."""
        settings = self._settings(profile)
        decoder = StreamDecoder(profile, settings)
        seeds = self._seeds[profile.family] + _stream_seeds(profile, settings)
        arrival_ns = 0
        for _ in range(0, RUN, BATCH):
            batch = []
            for _ in range(BATCH):
                arrival_ns += self._chance.choice((0, 10**6, 10**9, 10**13))
                batch.append(Notification(decoder.characteristic, make(seeds), arrival_ns))
            self.inputs += BATCH
            told = f"{profile.family} stream {settings} {[one.data.hex() for one in batch]}"
            chunk = self._note(told, lambda batch=batch: decoder.feed_all(batch))
            self.longest_run = max(self.longest_run, 0 if chunk is None else len(chunk) // BATCH)
        self._note(f"{profile.family} stream's end", decoder.finish)

    def _note(self, told: str, work: Callable[[], object]) -> object:
        try:
            result = work()
        except CodecError:
            self.outcomes["refused"] += 1
            return None
        except Exception as error:  # noqa: BLE001 - that there is none is the question
            self.outcomes["raised something else"] += 1
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
            if len(self.faults) < FAULTS:
                self.faults.setdefault(place, f"{error}: {told[:600]}")
            return None
        self.outcomes["decoded"] += 1
        return result

    def _mutated(self, data: bytes) -> bytes:
        chance, changed = self._chance, bytearray(data)
        for _ in range(chance.randrange(5)):
            at = chance.randrange(len(changed) + 1)
            match chance.randrange(6):
                case 0 if at < len(changed):
                    changed[at] ^= 1 << chance.randrange(8)
                case 1 if at < len(changed):
                    changed[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
                case 2:
                    del changed[at:]
                case 3:
                    changed[at:at] = chance.randbytes(chance.randrange(1, 9))
                case 4:
                    changed += chance.randbytes(chance.randrange(200))
                case 5:
                    changed[at:] = changed[: len(changed) - at]
        return bytes(changed[:LONGEST])

    def _settings(self, profile: Profile) -> dict[str, int | float]:
        chosen = {name: self._chance.choice(list(setting.values)) for name, setting in profile.settings.items()}
        streamable = profile.resolve({"rate_hz": chosen["rate_hz"]} if "rate_hz" in chosen else {})
        if self._chance.random() < 0.5:  # noqa: PLR2004 - half of the runs as delivered
            return streamable
        try:
            StreamDecoder(profile, chosen)
        except Exception:  # noqa: BLE001 - not every mode streams motion
            return streamable
        return chosen

    def _told(self, profile: Profile) -> dict[str, object]:
        chance = self._chance
        if chance.random() < 0.5:  # noqa: PLR2004 - half of the packets come without a word
            return {}
        told: dict[str, object] = {
            name: chance.choice(list(setting.values))
            for name, setting in profile.settings.items()
            if chance.randrange(2)
        }
        if profile.family.startswith("polar"):
            told |= {"factor": chance.choice((1.0, 0.000244, 0.0)), "previous_timestamp_ns": chance.getrandbits(64)}
            told |= {"channels": chance.randrange(1, 17), "resolution_bits": chance.randrange(1, 33)}
        if profile.family.startswith("movesense"):
            told["path"] = chance.choice(PATHS)
        return told


def _seeds(profile: Profile) -> list[bytes]:
    """Give recorded and documented packets of a family."""
    told = [vector for path in VECTORS.glob("*.json") for vector in json.loads(path.read_text())]
    base = profile.family.partition("_")[0]
    return [bytes.fromhex(vector["hex"]) for vector in told if vector["device"].startswith(base)] + [b""]


def _stream_seeds(profile: Profile, settings: dict[str, int | float]) -> list[bytes]:
    """Give the notifications of a true stream."""
    count = 64
    motion = np.linspace(-20.0, 20.0, 3 * count).reshape(count, 3)
    encoder = StreamEncoder(profile, settings)
    clock_s = np.arange(count) / float(profile.resolve(settings)["rate_hz"])
    return encoder.encode(motion, motion / 10, clock_s) + encoder.finish()


def _memory_mb() -> float:
    """Memory that the process takes now, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def guided(fuzzer: Fuzzer, inputs: int, seed: int) -> None:
    """Let atheris choose the inputs; it ends the process."""
    import atheris  # noqa: PLC0415 - only where it is asked for

    def one(data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        profile = provider.PickValueInList(list(fuzzer.profiles))
        rest = provider.ConsumeBytes(LONGEST)
        fuzzer.packet(profile, rest)
        if fuzzer.faults:
            raise RuntimeError(str(fuzzer.faults))

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-runs={inputs}", f"-seed={seed}", f"-max_len={LONGEST}"], one)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guided", action="store_true")
    options = parser.parse_args()
    fuzzer = Fuzzer(random.Random(options.seed))  # noqa: S311 - to be repeated, nothing is secret
    if options.guided:
        guided(fuzzer, options.inputs, options.seed)
    began_s, used_s = time.monotonic(), time.process_time()
    early_mb = 0.0
    while fuzzer.inputs < options.inputs:
        fuzzer.go()
        if not early_mb and fuzzer.inputs >= options.inputs // 20:
            early_mb = _memory_mb()
    cpu_s = time.process_time() - used_s
    print(f"{fuzzer.inputs:,} inputs in {time.monotonic() - began_s:.0f} s, {fuzzer.inputs / cpu_s:,.0f} a CPU second")
    print(", ".join(f"{count:,} {outcome}" for outcome, count in fuzzer.outcomes.most_common()))
    print(f"at most {fuzzer.longest_run} samples from a notification")
    print(f"memory: {early_mb:.0f} MB after a twentieth, {_memory_mb():.0f} MB at the end")
    for place, fault in fuzzer.faults.items():
        print(f"{place}: {fault}")
    sys.exit(bool(fuzzer.faults))


if __name__ == "__main__":
    main()
