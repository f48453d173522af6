"""Profiles of third parties: from a folder, from installed packages; a bad one is named and left out."""

import importlib.metadata
import logging
import re
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from gonio.cli.main import app
from gonio.drivers.codec import StreamDecoder
from gonio.errors import UsageError
from gonio.firmware_profiles import builtin_profiles, get_profile, known_profiles, load_profile, third_party_profiles
from gonio.firmware_profiles.known import load_third_party
from gonio.firmware_profiles.loading import template

GOOD = Path(__file__).with_name("new_family.yaml").read_text(encoding="utf-8")
RUN = CliRunner()


def _file(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _named(family: str) -> str:
    return GOOD.replace("family: thingy", f"family: {family}")


def test_a_folders_profiles_are_known_beside_those_of_gonio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _file(tmp_path, "mine", _named("mine"))
    assert "mine" not in {profile.family for profile in known_profiles()}
    monkeypatch.setenv("GONIO_PROFILES", str(tmp_path))
    assert [profile.family for profile in known_profiles()[: len(builtin_profiles())]] == [
        profile.family for profile in builtin_profiles()
    ]
    assert StreamDecoder(get_profile("mine"), {}).characteristic.startswith("ef680406")


def test_bad_ones_are_named_and_keep_no_other_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _file(tmp_path, "a_broken", "schema: [")
    _file(tmp_path, "b_wrong", _named("wrong").replace("role: raw\n", "role: cooked\n"))
    _file(tmp_path, "c_taken", _named("movella_dot"))
    _file(tmp_path, "d_good", _named("good"))
    _file(tmp_path, "e_twice", _named("good"))
    monkeypatch.setenv("GONIO_PROFILES", str(tmp_path))
    with caplog.at_level(logging.WARNING, "gonio"):
        found = third_party_profiles()
    assert [profile.family for profile in found.profiles] == ["good"]
    assert get_profile("movella_dot") in builtin_profiles()
    told = "\n".join(found.refused)
    for text in (
        "a_broken.yaml: is not YAML",
        "b_wrong.yaml: packet raw_motion: unknown role cooked",
        "c_taken.yaml: the family movella_dot is of gonio itself",
        "e_twice.yaml: the family good is of",
    ):
        assert text in told
    assert len(caplog.records) == 4


def test_a_folder_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONIO_PROFILES", str(tmp_path / "nowhere"))
    assert third_party_profiles().profiles == ()
    assert "is no folder (GONIO_PROFILES)" in third_party_profiles().refused[0]


def test_a_package_may_bring_profiles_and_its_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "acme_gonio_profiles"
    _file(package, "acme", _named("acme"))
    (package / "__init__.py").write_text("raise RuntimeError('this must not run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    points = importlib.metadata.EntryPoints(
        importlib.metadata.EntryPoint(name, value, "gonio.profiles")
        for name, value in (("acme", "acme_gonio_profiles"), ("gone", "gone_gonio_profiles"))
    )
    monkeypatch.setattr("gonio.firmware_profiles.known.entry_points", lambda group: points.select(group=group))
    monkeypatch.setenv("GONIO_PROFILES", str(tmp_path))  # a folder without profiles, not looked at before
    found = third_party_profiles()
    assert [profile.family for profile in found.profiles] == ["acme"]
    assert found.refused == ("entry point gone: there is no package gone_gonio_profiles",)
    assert "acme_gonio_profiles" not in sys.modules


def test_the_option_of_the_command_is_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _file(tmp_path, "mine", _named("mine"))
    monkeypatch.setenv("GONIO_PROFILES", "")  # so that it is taken back after the test
    packet = "000400feff07200080f3803ea00020fe2003"
    result = RUN.invoke(app, ["--profiles", str(tmp_path), "decode", "mine", "raw", packet, "--json"])
    assert '"accel_g": [1.0, -0.5, 1.999023]' in result.output


def test_names_that_are_taken_are_taken_whoever_has_them(tmp_path: Path) -> None:
    path = _file(tmp_path, "mine", _named("mine"))
    assert load_third_party([path], ["mine"]).profiles == ()
    assert load_third_party([path], []).profiles == (load_profile(path),)


# --- gonio profile ---------------------------------------------------------------------------------------------------


def _check(*paths: Path) -> tuple[int, str]:
    result = RUN.invoke(app, ["profile", "check", *map(str, paths)])
    return result.exit_code, result.output


def test_a_new_profile_says_what_to_fill_in_and_is_good_when_that_is_done(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    assert RUN.invoke(app, ["profile", "new", "Acme-One", "--out", str(path)]).exit_code == 0
    text = path.read_text(encoding="utf-8")
    status, told = _check(path)
    assert status == 1
    places = re.findall(r'"FILL IN ([^"]*)"', text)
    assert len(places) == told.count(": error: ") == 7
    assert all(f": fill in {place}" in told for place in places)
    uuids = (f"0000aaa{n}-0000-1000-8000-00805f9b34fb" for n in range(9))
    filled = re.sub(r'"FILL IN[^"]*"', lambda found: next(uuids) if "UUID" in found[0] else "something", text)
    path.write_text(filled, encoding="utf-8")
    status, told = _check(path)
    assert status == 0
    assert [line.removeprefix(f"{path}: ") for line in told.splitlines()] == [
        "to consider: examples: all are built from the layout, which proves nothing about hardware: capture some",
        "to consider: regulatory: whether its maker calls it a medical device was not searched",
        "good: acme_one, 2 kinds of packets with 2 known ones; streams acceleration and angular velocity",
    ]
    assert load_profile(path).family == "acme_one"


def test_a_profile_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = _file(tmp_path, "acme", "mine")
    result = RUN.invoke(app, ["profile", "new", "acme", "--out", str(path)])
    assert isinstance(result.exception, UsageError)
    assert "is there already" in str(result.exception)
    assert path.read_text() == "mine"


def test_without_a_file_it_is_printed() -> None:
    assert RUN.invoke(app, ["profile", "new", "acme"]).output == template("acme")


def test_a_name_that_is_none_is_refused() -> None:
    result = RUN.invoke(app, ["profile", "new", "7 sensors!"])
    assert "is no name of a family" in str(result.exception)


def test_every_profile_that_comes_with_gonio_passes_the_check() -> None:
    folder = Path(sys.modules["gonio.firmware_profiles"].__path__[0])
    paths = sorted(folder.glob("*.yaml"))
    status, told = _check(*paths)
    assert status == 0, told
    assert told.count(": good: ") == len(paths)
    assert "comes with gonio" not in told


def test_all_that_is_wrong_is_told_at_once_each_with_its_place(tmp_path: Path) -> None:
    content = yaml.safe_load(GOOD)
    content["packets"]["raw_motion"]["fields"][1]["unit"] = "furlong"
    content["colour"] = "red"
    content["gatt"]["motion"]["uuid"] = "ef68"
    content["sequences"]["start"] = [{"subscribe": "stream", "write": "configure_motion"}]
    path = _file(tmp_path, "wrong", yaml.safe_dump(content))
    status, told = _check(path)
    assert status == 1
    for place in (
        "packets > raw_motion > fields > accel_g > unit: ",
        "colour: Extra inputs are not permitted: the key is not known here",
        "gatt > motion > uuid: ",
        "sequences > start > 0: ",
    ):
        assert f"{path}: error: {place}" in told
    assert told.count(": error: ") == 4


def test_a_word_that_is_nearly_right_is_guessed(tmp_path: Path) -> None:
    path = _file(tmp_path, "near", GOOD.replace("type: i16, count: 3", "type: int16, count: 3"))
    assert "(is 'i16' meant?)" in _check(path)[1]


def test_an_example_that_does_not_decode_to_what_it_says_is_an_error(tmp_path: Path) -> None:
    content = yaml.safe_load(GOOD)
    example = {"kind": "constructed", "hex": "000400feff07200080f3803ea00020fe2003", "source": "layout"}
    content["packets"]["raw_motion"]["examples"] = [
        {**example, "decoded": {"accel_g": [1, -0.5, 1.999023]}},
        {**example, "decoded": {"gyro_dps": [2, -100, 500], "mag_t": [1, 2, 3]}},
        {**example, "hex": "00" * 19, "decoded": {"accel_g": [0, 0, 0]}},
    ]
    status, told = _check(_file(tmp_path, "examples", yaml.safe_dump(content)))
    assert status == 1
    assert "packet raw_motion, example 2: gyro_dps is decoded as [1.0, -100.0, 500.0], but should be [2, -100, " in told
    assert "packet raw_motion, example 2: mag_t is decoded as nothing, but should be" in told
    assert "packet raw_motion, example 3: cannot be decoded: 19 bytes" in told
    assert told.count(": error: ") == 3


def test_what_does_not_fit_together_is_told_though_an_example_needs_it(tmp_path: Path) -> None:
    content = yaml.safe_load(GOOD)
    packet = content["packets"]["raw_motion"]
    packet["fields"][1]["scale_by"] = "range_g"
    packet["examples"] = [{"kind": "constructed", "hex": "00" * 18, "decoded": {"accel_g": [0, 0, 0]}, "source": "-"}]
    part = {"name": "raw", "offset": 0, "type": "u8", "count": 2, "parts": ["low", "high"], "apart": True}
    content["packets"]["many"] = {
        "title": "many",
        "role": "raw",
        "size": 1,
        "prefix": "77",
        "batch": {"size": 2, "max": 3, "fields": [part]},
    }
    status, told = _check(_file(tmp_path, "loose", yaml.safe_dump(content)))
    assert status == 1
    assert "packet raw_motion: range_g is neither a setting nor learned" in told
    assert "packet many: batch: its fields are shown as lists over the samples, so none can be apart" in told


def test_what_is_only_doubtful_is_told_and_passes(tmp_path: Path) -> None:
    path = _file(tmp_path, "mine", _named("movella_dot"))
    status, told = _check(path)
    assert status == 0
    assert "to consider: family movella_dot: comes with gonio" in told
    assert "to consider: packet raw_motion: has no example" in told


def test_a_file_that_cannot_be_read_keeps_no_other_from_being_checked(tmp_path: Path) -> None:
    good = _file(tmp_path, "mine", GOOD)
    status, told = _check(tmp_path / "none.yaml", good)
    assert status == 1
    assert f"{tmp_path / 'none.yaml'}: error: cannot be read" in told
    assert f"{good}: good: " in told
