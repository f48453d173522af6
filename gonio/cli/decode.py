"""``gonio decode``: show what packets mean, with the profile of their family."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gonio.errors import UsageError

if TYPE_CHECKING:
    from gonio.firmware_profiles import Profile

#: What a packet of one family or another does not carry and ``--set`` can give.
SETTABLE: Final = (
    "range_g",
    "range_dps",
    "payload_mode",
    "previous_timestamp_ns",
    "implementation",
    "factor",
    "path",
    "rate_hz",
    "resolution_bits",
    "channels",
    "firmware",
)

#: As much of a packet as is shown over what it means.
_LINE: Final = 80


def decode(
    family: Annotated[
        str, typer.Argument(help="Sensor family, as `gonio devices` lists them; a capture can be listed without.")
    ] = "",
    characteristic: Annotated[
        str, typer.Argument(help="UUID of the characteristic, or its beginning: 15172004, ffe4.")
    ] = "",
    packets: Annotated[list[str] | None, typer.Argument(metavar="HEX...", help="Packets in hexadecimal.")] = None,
    capture: Annotated[
        Path | None, typer.Option("--capture", help="A capture of `gonio gateway record --raw`, in place of packets.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="What a packet does not carry, such as payload_mode=20."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array, an object for each packet.")] = False,
) -> None:
    """Decode packets; ends with status 1 when one is cut short or is none of the family's."""
    from gonio.firmware_profiles import get_profile

    if capture is not None and not family:
        listed = _list_capture(capture)
        if as_json:
            sys.stdout.write(json.dumps(listed) + "\n")
        else:
            _show_capture("no family", listed)
        return
    if not family:
        raise UsageError("give a sensor family, a characteristic and packets in hexadecimal, or --capture FILE")
    profile = get_profile(family)
    chosen = _settings(profile, settings or [])
    if capture is not None:
        if packets:
            raise UsageError("give either packets or a capture")
        decoded = _decode_capture(profile, capture, characteristic, chosen)
    else:
        if not characteristic or not packets:
            raise UsageError("give a characteristic and packets in hexadecimal, or --capture FILE")
        profile.role_of(characteristic)  # an unknown one is told before any packet
        decoded = _decoded(profile, characteristic, [_bytes(text) for text in packets], chosen)
    if as_json:
        sys.stdout.write(json.dumps(decoded) + "\n")
    elif capture is not None:
        _show_capture(family, decoded)
    else:
        _show(profile.family, packets or [], decoded)
    if any(_incomplete(one) for one in decoded):
        raise typer.Exit(1)


def _list_capture(path: Path) -> list[dict[str, object]]:
    """List what a capture holds, as it came: what one has of a sensor that has no profile yet."""
    from gonio.drivers.capture import read_capture

    _, values = read_capture(path)
    return [
        {"characteristic": v.characteristic, "arrival_s": v.arrival_s, "bytes": len(v.data), "hex": v.data.hex()}
        for v in values
    ]


def _decode_capture(profile: Profile, path: Path, only: str, settings: dict[str, object]) -> list[dict[str, object]]:
    """Decode what a capture holds, in order, each packet with its characteristic and arrival.

    Characteristics that the profile does not know are an error of each packet of theirs.
    """
    from gonio.drivers.capture import read_capture

    wanted = profile.characteristic(profile.role_of(only)).uuid if only else None
    _, values = read_capture(path)
    values = [value for value in values if wanted in (None, value.characteristic)]
    known = {characteristic.uuid for characteristic in profile.characteristics.values()}
    decoded: dict[int, dict[str, object]] = {}
    for uuid in dict.fromkeys(value.characteristic for value in values):
        numbers = [number for number, value in enumerate(values) if value.characteristic == uuid]
        if uuid in known:
            found = _decoded(profile, uuid, [values[number].data for number in numbers], settings)
        else:
            found = [{"error": f"{profile.family} has no characteristic {uuid}"}] * len(numbers)
        for number, one in zip(numbers, found, strict=True):
            value = values[number]
            decoded[number] = {"characteristic": uuid, "arrival_s": value.arrival_s, "hex": value.data.hex(), **one}
    return [decoded[number] for number in range(len(values))]


def _bytes(text: str) -> bytes:
    compact = text.removeprefix("0x").replace(":", "").replace(" ", "")
    try:
        return bytes.fromhex(compact)
    except ValueError:
        odd = "an odd number of digits" if all(c in "0123456789abcdefABCDEF" for c in compact) else "other characters"
        raise UsageError(f"{text!r} is not hexadecimal: it has {odd}; write each packet without blanks") from None


def _settings(profile: Profile, given: list[str]) -> dict[str, object]:
    settings: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not value:
            raise UsageError(f"--set {text}: write NAME=VALUE")
        known = sorted({*SETTABLE, *profile.settings, *profile.learned})
        if name not in known:
            raise UsageError(f"--set {name}: no such setting; these are: {', '.join(known)}")
        settings[name] = value.strip() if name == "firmware" else _number(value.strip())
    return settings


def _number(text: str) -> object:
    """Give a number as one, anything else as it is."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _decoded(
    profile: Profile, characteristic: str, packets: list[bytes], settings: dict[str, object]
) -> list[dict[str, object]]:
    from gonio.drivers.packets import decode_packets

    decoded = decode_packets(profile, characteristic, packets, settings)
    return [one if isinstance(one, dict) else {"error": str(one)} for one in decoded]


def _incomplete(decoded: dict[str, object]) -> bool:
    """Tell whether a packet was cut short or foreign."""
    return bool(decoded.get("truncated")) or "error" in decoded


def _show(family: str, packets: list[str], decoded: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for text, one in zip(packets, decoded, strict=True):
        shown = text if len(text) <= _LINE else f"{text[: _LINE - 3]}..."
        console.print(f"{family}: {shown}", style="italic", highlight=False)
        table = Table(show_header=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in _rows(one):
            table.add_row(name, value)
        console.print(table)
        for hint in _hints(one):
            console.print(hint, highlight=False)


def _show_capture(family: str, decoded: list[dict[str, object]]) -> None:
    """Show for each characteristic of a capture how much of it decodes, and its first packet."""
    from collections import Counter

    counts = Counter(str(one["characteristic"]) for one in decoded)
    bad = Counter(str(one["characteristic"]) for one in decoded if _incomplete(one))
    for uuid, count in counts.items():
        first = next(one for one in decoded if one["characteristic"] == uuid)
        about = f"{uuid[:8]}: {count} packets, {bad[uuid]} of them cut or foreign; the first"
        _show(family, [about], [{name: value for name, value in first.items() if name != "characteristic"}])


def _hints(decoded: dict[str, object]) -> list[str]:
    """Say what would tell more about a packet."""
    hints = []
    candidates = decoded.get("candidates")
    if isinstance(candidates, list) and candidates:
        named = [name for name in SETTABLE if all(name in one for one in candidates)]
        settings = " ".join(f"--set {name}=..." for name in named) or "--set NAME=VALUE"
        hints.append(f"Several layouts fit: say which with {settings}.")
    missing = decoded.get("missing")
    if isinstance(missing, list):
        hints.append(f"Not known by itself: say it with {' '.join(f'--set {name}=...' for name in missing)}.")
    return hints


def _rows(decoded: dict[str, object], before: str = "") -> list[tuple[str, str]]:
    """Lay a decoded packet out in lines: name and value, nested ones with their number."""
    rows: list[tuple[str, str]] = []
    for name, value in decoded.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for number, item in enumerate(value, 1):
                rows += _rows(item, f"{before}{name} {number}: ")
        elif isinstance(value, list):
            rows.append((before + name, ", ".join(str(item) for item in value) or "none"))
        else:
            rows.append((before + name, str(value)))
    return rows
