"""Builds the wheel: this package with a binary in it, for the platform the binary runs on.

Usage: python wheel.py BINARY DIRECTORY
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def platform_of(binary: Path) -> str:
    """The platform tag: on Linux the oldest glibc that has every symbol the binary needs."""
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if not platform.startswith("linux_"):
        return platform
    symbols = subprocess.run(["objdump", "-T", str(binary)], capture_output=True, text=True, check=True).stdout
    wanted = {(int(major), int(minor)) for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", symbols)}
    if not wanted:
        return platform
    major, minor = max(wanted)
    return f"manylinux_{major}_{minor}_{platform.removeprefix('linux_')}"


def build(binary: Path, out: Path) -> Path:
    """Builds the wheel in a copy of the sources, so that no build files are left among them."""
    with tempfile.TemporaryDirectory(prefix="unskew-wheel-") as folder:
        copy = Path(folder) / "package"
        shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("tests", "__pycache__", "*.egg-info", "build", ".*_cache"))
        inside = copy / "src" / "unskew" / "bin" / "unskew"
        inside.parent.mkdir(exist_ok=True)
        shutil.copy2(binary, inside)
        inside.chmod(0o755)
        options = [f"-C--build-option=--plat-name={platform_of(binary)}", "-C--build-option=--python-tag=py3"]
        subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", folder, *options, str(copy)], check=True, stdout=subprocess.DEVNULL)
        (wheel,) = Path(folder).glob("*.whl")
        out.mkdir(parents=True, exist_ok=True)
        for old in out.glob("unskew-*.whl"):
            old.unlink()
        return Path(shutil.move(wheel, out / wheel.name))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(build(Path(sys.argv[1]), Path(sys.argv[2])))
