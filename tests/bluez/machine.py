"""A computer with real Bluetooth software and no Bluetooth hardware, to run a command in.

    python tests/bluez/machine.py COMMAND [ARGUMENT ...]

QEMU boots Debian's own kernel package, emulated in software, which works everywhere alike. The root file system is
this computer's, read-only over 9p, so that the command finds the same Python and the same tree; bluetoothd and the
system D-Bus are this computer's packages, run afresh inside. The kernel's ``/dev/vhci`` takes a virtual controller,
which the command brings. bluetoothd is started again when it ends, as systemd would.

The machine's clock follows the instructions that it has done, a thousand million a second: it is a slow computer of
one core, but equally slow however busy the real one is, and no time-out in it ever comes early.

The command finds a folder to write to in ``GONIO_MACHINE_OUT``: the one that this variable names outside, where its
output and the logs of the kernel and of bluetoothd go too. Its exit code becomes this program's.

The kernel package (70 MB) is fetched once, to the user's cache folder.
"""

import contextlib
import lzma
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

#: What must be installed: a program or file, and Debian's package that brings it.
_NEEDED: Final = {
    "qemu-system-x86_64": "qemu-system-x86",
    "/usr/libexec/bluetooth/bluetoothd": "bluez",
    "dbus-daemon": "dbus",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "modprobe": "kmod",
    "depmod": "kmod",
}

#: Loaded at boot, with all they depend on: the shared folders, the virtual controller, what bluetoothd encrypts with.
_MODULES: Final = (
    "virtio_pci",
    "9pnet_virtio",
    "9p",
    "hci_vhci",
    "cmac",
    "ecdh_generic",
    "algif_hash",
    "algif_skcipher",
)

_PATH: Final = f"{os.environ.get('PATH', '')}:/bin:/usr/sbin:/sbin"
_KERNEL_TASK: Final = "linux-image-amd64"
_PROCESSOR: Final = "Nehalem"  # the oldest that numpy runs on, and so the cheapest to emulate
_NO_ANSWER: Final = 125  # exit code when the machine ended without one

_INIT: Final = r"""#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod /modules/$module; done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=524288,cache=loose root /root
for folder in proc sys dev; do mount --bind /$folder /root/$folder; done
mount -t tmpfs run /root/run
mount -t tmpfs state /root/var/lib/bluetooth
mkdir -p /dev/shm /root/run/dbus /root/run/home /root/run/out
mount -t tmpfs shm /dev/shm
ln -sf /proc/self/fd /dev/fd
ip link set lo up
mount -t 9p -o trans=virtio,version=9p2000.L out /root/run/out
chroot /root /bin/sh /run/out/job
poweroff -f
"""

_JOB: Final = r"""export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/home TMPDIR=/run
export PYTHONDONTWRITEBYTECODE=1 GONIO_MACHINE_OUT=/run/out
dbus-daemon --system --fork --nopidfile
while :; do
  /usr/libexec/bluetooth/bluetoothd -n >>/run/out/bluetoothd.log 2>&1
  echo "bluetoothd ended with $?" >>/run/out/bluetoothd.log
  sleep 1
done &
cd {folder}
{command} >/run/out/stdout.log 2>/run/out/stderr.log
echo $? >/run/out/exit_code
dmesg >/run/out/dmesg.log
sync
"""


class MachineError(Exception):
    """The machine cannot be made or did not run; the text says what to do."""


def missing() -> str | None:
    """Say what this computer lacks to run the machine, and what to do about it; None when it lacks nothing."""
    if platform.machine() != "x86_64" or shutil.which("apt-get") is None:
        return "the machine is made of Debian's packages for x86-64: it needs Debian or a system made of it"
    packages = {package for need, package in _NEEDED.items() if _which(need) is None}
    busybox = _which("busybox")
    if busybox is not None and b"/ld-linux" in Path(busybox).read_bytes():
        packages.add("busybox-static")  # the other package's needs libraries, which the first files do not bring
    return f"install what is missing: apt-get install {' '.join(sorted(packages))}" if packages else None


def _which(need: str) -> str | None:
    return shutil.which(need, path=_PATH)


def _output(*command: str, folder: Path | None = None) -> str:
    program = _which(command[0]) or command[0]  # not all are where a user who is not root looks
    done = subprocess.run([program, *command[1:]], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MachineError(f"{shlex.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "gonio" / "bluetooth-machine"


def prepare() -> tuple[Path, Path]:
    """Fetch the kernel and make the first files, where that is not done yet.

    Returns:
        The kernel and the initial file system.

    Raises:
        MachineError: this computer lacks something, or the kernel cannot be fetched.
    """
    if (reason := missing()) is not None:
        raise MachineError(reason)
    said = re.search(r"linux-image-\d\S*", _output("apt-cache", "depends", _KERNEL_TASK))
    if said is None:
        raise MachineError(f"apt knows no kernel package behind {_KERNEL_TASK}: apt-get update")
    made = _cache() / said.group()
    if not made.is_dir():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as scratch:
            folder = Path(scratch)
            _output("apt-get", "download", said.group(), folder=folder)
            _output("dpkg-deb", "-x", str(next(folder.glob("*.deb"))), "package", folder=folder)
            (folder / "made").mkdir()
            shutil.copy(next((folder / "package/boot").glob("vmlinuz-*")), folder / "made/kernel")
            _make_first_files(folder / "package", folder / "first", folder / "made/first-files")
            with contextlib.suppress(FileExistsError):  # another run was faster
                (folder / "made").rename(made)
    return made / "kernel", made / "first-files"


def _make_first_files(package: Path, tree: Path, archive: Path) -> None:
    (version,) = (folder.name for folder in (package / "lib/modules").iterdir())
    _output("depmod", "-b", str(package), version)
    (tree / "bin").mkdir(parents=True)
    (tree / "modules").mkdir()
    order: list[str] = []
    for module in _MODULES:
        for line in _output("modprobe", "-S", version, "-d", str(package), "--show-depends", module).splitlines():
            kind, _, name = line.partition(" ")
            file = Path(name.strip())
            if kind != "insmod" or file.name.removesuffix(".xz") in order:
                continue
            content = file.read_bytes()
            order.append(file.name.removesuffix(".xz"))
            (tree / "modules" / order[-1]).write_bytes(lzma.decompress(content) if file.suffix == ".xz" else content)
    (tree / "modules/order").write_text("\n".join(order))
    shutil.copy(str(_which("busybox")), tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    (tree / "init").write_text(_INIT)
    (tree / "init").chmod(0o755)
    _output("sh", "-c", f"find . | cpio -o -H newc --quiet | gzip -1 >{shlex.quote(str(archive))}", folder=tree)


def run(command: list[str], folder: Path, out: Path, *, timeout_s: float) -> int:
    """Run a command in the machine.

    Args:
        command: and its arguments.
        folder: where it is run.
        out: a folder; gets the logs, and whatever the command writes to its own.
        timeout_s: how long the machine may run, s.

    Returns:
        The command's exit code, 125 where there is none.

    Raises:
        MachineError: the machine cannot be made, or did not end.
    """
    kernel, first_files = prepare()
    out.mkdir(parents=True, exist_ok=True)
    job = _JOB.format(folder=shlex.quote(str(folder)), command=shlex.join(command))
    (out / "job").write_text(job)
    share = "local,security_model=none,multidevs=remap"
    qemu = [
        "qemu-system-x86_64",
        *("-accel", "tcg", "-icount", "shift=0", "-cpu", _PROCESSOR, "-m", "1024"),
        *("-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "none", "-no-reboot"),
        *("-kernel", str(kernel), "-initrd", str(first_files)),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
        *("-virtfs", f"{share},path=/,mount_tag=root,readonly=on"),
        *("-virtfs", f"{share},path={out.resolve()},mount_tag=out"),
    ]
    with (out / "console.log").open("wb") as console:
        try:
            subprocess.run(
                qemu, stdin=subprocess.DEVNULL, stdout=console, stderr=console, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise MachineError(f"the machine did not end within {timeout_s:g} s: see the logs in {out}") from None
    code = out / "exit_code"
    return int(code.read_text()) if code.exists() else _NO_ANSWER


def main() -> int:
    """Run the command of the command line in the machine."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__)  # noqa: T201 - a program for people
        return 2
    out = Path(os.environ.get("GONIO_MACHINE_OUT") or tempfile.mkdtemp(prefix="bluetooth-machine-"))
    try:
        code = run(sys.argv[1:], Path.cwd(), out, timeout_s=float(os.environ.get("GONIO_MACHINE_TIMEOUT_S", "280")))
    except MachineError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return _NO_ANSWER
    for name in ("stdout.log", "stderr.log"):
        if (out / name).exists():
            sys.stdout.write((out / name).read_text(errors="replace"))
    print(f"exit code {code}; logs in {out}")  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
