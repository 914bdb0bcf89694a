import subprocess
import sys
from importlib import metadata, resources

import unskew
from unskew import _binary


def test_the_package_has_the_version_of_its_binary():
    said = subprocess.run([_binary.find(), "--version"], capture_output=True, text=True, check=True).stdout
    assert said.split()[2] == unskew.__version__ == metadata.version("unskew")


def test_the_package_is_typed():
    assert resources.files("unskew").joinpath("py.typed").is_file()


def test_the_command_comes_with_the_package():
    ran = subprocess.run([sys.executable, "-c", "from unskew._binary import main; main()", "--help"], capture_output=True, text=True)
    assert ran.returncode == 0 and "materialize" in ran.stdout
