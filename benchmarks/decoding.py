"""How many samples a second each family's codec decodes: from notifications to samples in SI, on one core.

Processor time of the decoder alone. A kit that keeps up hands a few notifications to the decoder at a time, one that
is behind or replays a capture hands over hundreds; both are measured.
"""

import time

import numpy as np
from sections import Aim, Section
from tables import Table, number

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder
from gonio.firmware_profiles import Profile, builtin_profiles
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion

_SAMPLES = 60_000
_MOTION_S = 120.0
_FEW, _MANY = 16, 512  # notifications a call
_AIM_FLAT, _AIM_COMPRESSED = 1_000_000, 200_000


def measure(repeats: int) -> Section:
    """Time the decoder of every family that streams motion."""
    rows = []
    flat: dict[str, float] = {}
    compressed: dict[str, float] = {}
    for profile in builtin_profiles():
        if profile.sequences is None:
            continue
        codec = profile.stream(profile.resolve()).codec
        notifications = _notifications(profile)
        few, many = (_rate(profile, notifications, size, repeats) for size in (_FEW, _MANY))
        if codec == "polar_pmd":
            compressed[profile.family] = many * (2 if profile.gyro else 1)
        else:
            flat[profile.family] = many
        rows.append((profile.family, codec, number(few / 1e6, 2), number(many / 1e6, 2)))
    table = Table(
        "Decoding, millions of samples a second on one core",
        ("family", "codec", f"{_FEW} notifications a call", f"{_MANY} a call"),
        rows,
        f"{_SAMPLES} samples of a simulated leg that slides its heel, in the family's default packets, processor time, "
        f"best of {repeats}. A sample has what the family measures, acceleration and angular velocity or one of them.",
    )
    aims = [
        _aim("samples of packets that are not compressed", flat, _AIM_FLAT),
        _aim("compressed samples (one of each quantity to a pair)", compressed, _AIM_COMPRESSED),
    ]
    return Section([table], aims)


def _aim(what: str, rates: dict[str, float], wanted: int) -> Aim:
    family = min(rates, key=lambda name: rates[name])
    reached = f"{rates[family] / 1e6:.2f} million ({family}, the slowest of {len(rates)})"
    return Aim(
        f"Decoding, {what}, {_MANY} notifications a call",
        "this machine, one core",
        f"≥ {wanted / 1e6:g} million samples/s",
        reached,
        rates[family] >= wanted,
    )


def _notifications(profile: Profile) -> list[Notification]:
    encoder = StreamEncoder(profile, {})
    rate_hz = float(profile.resolve()["rate_hz"])
    moments_s = np.arange(int(_MOTION_S * rate_hz)) / rate_hz
    motion = LegMotion("heel-slide", duration_s=_MOTION_S, seed=4).imu("shank", moments_s)
    times = -(-_SAMPLES // len(moments_s))
    acc, gyr = (
        np.tile(values, (times, 1))[:_SAMPLES] for values in ImuErrors(1, rate_hz=rate_hz).apply(moments_s, *motion)
    )
    values = encoder.encode(acc, gyr, np.arange(_SAMPLES) / rate_hz) + encoder.finish()
    period_ns = round(_SAMPLES / rate_hz / len(values) * 1e9)
    return [Notification(encoder.characteristic, value, n * period_ns) for n, value in enumerate(values)]


def _rate(profile: Profile, notifications: list[Notification], size: int, repeats: int) -> float:
    parts = [notifications[i : i + size] for i in range(0, len(notifications), size)]
    best = 0.0
    for _ in range(repeats):
        decoder = StreamDecoder(profile, {})
        begin = time.process_time()
        chunks = [decoder.feed_all(part) for part in parts]
        last = decoder.finish()
        spent_s = time.process_time() - begin
        decoded = sum(len(chunk) for chunk in (*chunks, last) if chunk is not None)
        if decoded < _SAMPLES * 0.99 or decoder.malformed:
            raise RuntimeError(f"{profile.family}: {decoded} of {_SAMPLES} samples, {decoder.malformed} malformed")
        best = max(best, decoded / spent_s)
    return best


if __name__ == "__main__":
    found = measure(5)
    for one in found.tables:
        print(one.text())
    for aim in found.aims:
        print(f"{aim.what}: {aim.reached}; wanted {aim.wanted}")
