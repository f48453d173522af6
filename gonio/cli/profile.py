"""``gonio profile``: check a profile of a sensor family, and begin a new one."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gonio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gonio.firmware_profiles import Profile

app = typer.Typer(help="Check profiles of sensor families, and begin new ones.", no_args_is_help=True)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Profiles (YAML).")],
) -> None:
    """Tell everything that is wrong with profiles; ends with status 1 when one cannot be used."""
    from gonio.firmware_profiles import ProfileError
    from gonio.firmware_profiles.loading import examine, read_yaml

    unusable = False
    for path in files:
        try:
            profile, errors = examine(read_yaml(path))
        except ProfileError as error:
            profile, errors = None, [str(error).removeprefix(f"{path}: ")]
        doubts = []
        if profile is not None:
            errors = errors or _example_problems(profile)  # what does not fit together decodes nothing
            doubts = list(_doubts(profile, path))
        for kind, texts in (("error", errors), ("to consider", doubts)):
            for text in texts:
                typer.echo(f"{path}: {kind}: {text}")
        if errors or profile is None:
            unusable = True
        else:
            typer.echo(f"{path}: good: {_summary(profile)}")
    if unusable:
        raise typer.Exit(1)


def _example_problems(profile: Profile) -> list[str]:
    """Decode every example of a profile, and tell where it does not say what it should."""
    from gonio.drivers.codec import decode_packet
    from gonio.drivers.errors import CodecError

    problems = []
    for name, packet in profile.packets.items():
        for number, example in enumerate(packet.examples, 1):
            place = f"packet {name}, example {number}"
            try:
                decoded = decode_packet(profile, packet.role, example.data, example.settings)
            except (CodecError, UsageError) as error:
                problems.append(f"{place}: cannot be decoded: {error}")
                continue
            problems += [
                f"{place}: {key} is decoded as {decoded.get(key, 'nothing')}, but should be {wanted}"
                for key, wanted in example.decoded.items()
                if decoded.get(key) != wanted
            ]
    return problems


def _doubts(profile: Profile, path: Path) -> Iterator[str]:
    """Tell what does not keep a profile from being used."""
    from gonio.firmware_profiles import builtin_profiles
    from gonio.firmware_profiles.checks import evidence_problems

    here = Path(sys.modules["gonio.firmware_profiles"].__path__[0])
    if path.resolve().parent != here.resolve() and profile.family in {one.family for one in builtin_profiles()}:
        yield f"family {profile.family}: comes with gonio; a profile of a third party must have another name to be used"
    yield from evidence_problems(profile)
    kinds: set[str] = {example.kind for packet in profile.packets.values() for example in packet.examples}
    kinds |= {kind for kind, ids in profile.vectors.model_dump().items() if ids}
    if kinds == {"constructed"}:
        yield "examples: all are built from the layout, which proves nothing about hardware: capture some"
    if profile.sequences is None:
        yield "sequences: there are none, so its packets can be decoded but no session can be held with it"
    if profile.regulatory.statement == "not searched":
        yield "regulatory: whether its maker calls it a medical device was not searched"


def _summary(profile: Profile) -> str:
    packets = len(profile.packets)
    examples = sum(len(packet.examples) + len(packet.vectors) for packet in profile.packets.values())
    text = f"{profile.family}, {packets} kinds of packets with {examples} known ones"
    if profile.sequences is None:
        return f"{text}, no motion stream"
    return f"{text}; streams {'acceleration and angular velocity' if profile.gyro else 'acceleration'}"


@app.command()
def new(
    family: Annotated[str, typer.Argument(help="How the family is called: lower case, digits, underscores.")],
    out: Annotated[Path | None, typer.Option("--out", help="File to write; by default it is printed.")] = None,
) -> None:
    """Write a profile to begin with: it says what each part is for and what is to be filled in."""
    from gonio.firmware_profiles.loading import template

    name = family.strip().lower().replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", name):
        raise UsageError(f"{family!r} is no name of a family: lower-case letters, digits and underscores")
    text = template(name)
    if out is None:
        sys.stdout.write(text)
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{out}: is there already; name another file") from None
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror})") from error
    typer.echo(f"{out} is written; fill it in and run: gonio profile check {out}")
