"""The main job, end to end, by the command that people use."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gonio.cloud_sink.review.session_view import view_session
from gonio.cloud_sink.store import open_store
from gonio.gateway.store import KitStore
from gonio.messages import Kind
from gonio.recording import Recording, RecordingMeta, write
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import SEGMENTS
from gonio.simulators.leg import LegMotion

GONIO = [sys.executable, "-m", "gonio"]
LIMIT_S = 180


def demo_and_said(*options: str) -> tuple[dict[str, Any], str]:
    done = subprocess.run(
        [*GONIO, "demo", "--json", *options], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stderr or "RECORDING" in done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result, done.stderr


def demo(*options: str) -> dict[str, Any]:
    return demo_and_said(*options)[0]


@pytest.mark.parametrize("device", ["movella_dot", "witmotion_ble5"])
def test_simulated_heel_slides_arrive_as_they_were_done(device: str) -> None:
    result = demo("--seconds", "60", "--speed", "3", "--device", device)
    assert result["device"] == device
    assert result["source"] == "simulated"
    assert result["exercise"] == "heel-slide"
    assert result["true_reps"] > 3
    assert result["counted_reps"] == result["true_reps"]
    assert result["max_flexion_deg"] == pytest.approx(result["true_max_flexion_deg"], abs=3)
    assert result["records_kit"] == result["records_clinic"] == 1
    assert (result["records_doubled"], result["errors"]) == (0, 0)
    assert result["latency_ms"]["p50"] is not None
    assert result["seconds"] == 60


@pytest.mark.parametrize("device", ["bbc_microbit", "polar_oh1", "polar_h10", "infinitime"])
def test_a_family_without_a_gyroscope_counts_by_inclination_alone_and_says_so(device: str, tmp_path: Path) -> None:
    result, said = demo_and_said("--seconds", "36", "--speed", "3", "--device", device, "--data-dir", str(tmp_path))
    assert result["true_reps"] > 2
    assert result["counted_reps"] == result["true_reps"]
    assert result["max_flexion_deg"] is None
    assert "inclination-only" in result["flags"]
    assert (result["records_kit"], result["records_clinic"], result["errors"]) == (1, 1, 0)
    assert "inclination only" in said
    with open_store(f"sqlite:///{tmp_path / 'clinic.sqlite'}") as book:
        (patient,) = book.patients()
        (row,) = book.sessions(patient.patient_id, limit=2)
        view = view_session(book, row, patient, row.received_at)
    summary = row.summary
    assert "inclination-only" in summary.flags
    assert (summary.max_flexion_deg, summary.calibrated_at_s, summary.ok_fraction) == (None, None, 0)
    assert all(rep.signal == "thigh" and rep.peak_flexion_deg is None for rep in summary.reps)
    assert any("inclination alone" in finding.what for finding in view.verdict.findings)
    assert any("inclination only" in figure.note for figure in view.figures)


def test_a_recording_without_a_gyroscope_cannot_be_played_by_sensors_with_one(tmp_path: Path) -> None:
    motion = LegMotion("heel-slide", reps=2)
    t = np.asarray(np.arange(int(motion.duration_s * 50)) / 50, dtype=np.float64)
    thigh, shank = (SampleChunk(motion.imu(one, t)[0], np.full((len(t), 3), np.nan), t) for one in SEGMENTS)
    write(tmp_path / "slides", Recording(RecordingMeta(50.0), thigh, shank))
    done = subprocess.run(
        [*GONIO, "demo", "--json", "--recording", str(tmp_path / "slides")],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode != 0
    assert "had no gyroscope" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def bends(recordings: Path) -> Path:
    folder = recordings / "bends-left-first-100s"
    if not folder.is_dir():
        pytest.skip(f"no recording at {folder}")
    return folder


def test_ten_recorded_squats_arrive_as_ten(bends: Path) -> None:
    result = demo("--recording", str(bends), "--speed", "4")
    assert result["source"] == "bends-left-first-100s"
    assert (result["true_reps"], result["counted_reps"]) == (10, 10)
    assert result["max_flexion_deg"] == pytest.approx(result["true_max_flexion_deg"], abs=5)
    assert result["records_kit"] == result["records_clinic"]
    assert result["errors"] == 0


@pytest.mark.parametrize("device", ["movella_dot", "witmotion_ble5"])
def test_bluetooth_changes_little_against_the_recording_itself(bends: Path, device: str, tmp_path: Path) -> None:
    alone = subprocess.run(
        [*GONIO, "analyze", str(bends), "--json"], capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    direct = json.loads(alone.stdout.splitlines()[-1])
    demo("--recording", str(bends), "--speed", "4", "--device", device, "--data-dir", str(tmp_path))
    with KitStore.peek(tmp_path / "kit") as store:
        (envelope,) = store.envelopes([1])
    reps = json.loads(envelope.payload)["reps"]
    assert len(reps) == direct["rep_count"] == 10
    # the session starts before the motion: the first peaks tell by how much, the others must keep it
    shift = reps[0]["peak_s"] - direct["reps"][0]["peak_s"]
    for over_bluetooth, alone_rep in zip(reps, direct["reps"], strict=True):
        assert over_bluetooth["peak_s"] - shift == pytest.approx(alone_rep["peak_s"], abs=0.1)
        assert over_bluetooth["peak_flexion_deg"] == pytest.approx(alone_rep["peak_flexion_deg"], abs=1)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start demos that end with the test, however it ends."""
    started: list[subprocess.Popen[str]] = []

    def one(*options: str) -> subprocess.Popen[str]:
        command = [*GONIO, "demo", "--no-browser", *options]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def wait_for(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"the demo ended without saying {pattern}: {''.join(said)}")


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return err


@pytest.mark.peer("chromium")
def test_the_session_stands_on_its_page_with_its_curve(
    bends: Path, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where there is a browser

    process = start("--recording", str(bends), "--speed", "8", "--data-dir", str(tmp_path / "data"))
    address = wait_for(process, r"this session: (http://\S+)").group(1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto(address)
        text = page.inner_text("main")
        assert "Recording played back" in page.inner_text("body")
        assert re.search(r"10 repetitions, largest flexion \d\d°", text)
        box = page.locator("#curve svg.plot-l").bounding_box()
        assert box is not None
        assert box["width"] > 500
        assert box["height"] > 200
        assert page.locator("#curve svg.plot-l path").count() > 0
        picture = Path(os.environ.get("GONIO_SCREENSHOTS", tmp_path)) / "session-recording.png"
        page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 50_000
        assert not faults
        browser.close()
    end(process)


def test_ctrl_c_in_the_middle_keeps_what_was_completed(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start("--seconds", "120", "--speed", "3", "--data-dir", str(tmp_path))
    wait_for(process, r"repetitions [1-9]")
    end(process)
    with KitStore.peek(tmp_path / "kit") as store:
        ((_, envelope, state),) = store.of_kinds([Kind.SESSION])
        assert state == "acknowledged"
        assert store.counts().pending == 0  # nor does the receipt of the demo's program wait
        assert not store.open_session_ids()
    payload = json.loads(envelope.payload)
    assert len(payload["reps"]) >= 1
    assert payload["duration_s"] < 115


def test_a_second_run_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    for run in (1, 2):
        result = demo("--seconds", "20", "--speed", "10", "--data-dir", str(tmp_path))
        assert result["records_kit"] == result["records_clinic"] == run
        assert result["records_doubled"] == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--device", "nosuch"], "movella_dot"),
        (["--exercise", "cartwheel"], "heel-slide"),
        (["--seconds", "5"], "too short"),
        (["--recording", "/nowhere"], "/nowhere"),
        (["--data-dir", "/proc/nowhere"], "data-dir"),
        (["--data-dir", "/etc/hostname"], "/etc/hostname is a file"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(options: list[str], says: str) -> None:
    done = subprocess.run([*GONIO, "demo", *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
