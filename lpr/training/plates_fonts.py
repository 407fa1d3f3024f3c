"""Fetches the font files that drawn plates are set in, beside the stroke faces of our own.

Always true here: only packages under the SIL Open Font License are asked for, through npm and apt
as they are set up on the machine; nothing fetched is kept in the project.

    python -m lpr.training.plates_fonts FOLDER
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

FONTSOURCE = (
    "archivo-narrow", "b612-mono", "barlow", "barlow-condensed", "barlow-semi-condensed",
    "bebas-neue", "big-shoulders-text", "chakra-petch", "fira-sans-condensed", "jetbrains-mono",
    "k2d", "league-gothic", "oswald", "overpass", "overpass-mono", "pt-sans-narrow", "public-sans",
    "quantico", "rajdhani", "roboto-condensed", "saira-condensed", "saira-semi-condensed",
    "share-tech-mono", "signika", "sofia-sans-condensed", "teko",
)  # fmt: skip
"""npm packages @fontsource/NAME, near to what plates are stamped with."""
VERSION = "5"
DIN = "fonts-opendin"
"""Debian's package of a DIN face, which is what many plates are set in."""
_WEIGHTS = ("500", "600", "700")


def fetch(folder: Path) -> int:
    """Puts the fonts into `folder`; how many files are there now.

    Raises SystemExit with a line that says what to do where npm is not there or fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is needed to fetch the fonts: install Node.js, or train without them")
    with tempfile.TemporaryDirectory() as place:
        wanted = [f"@fontsource/{name}@{VERSION}" for name in FONTSOURCE]
        if subprocess.run([npm, "pack", "--silent", *wanted], cwd=place, check=False).returncode:
            raise SystemExit("npm could not fetch the fonts: is its registry reached from here?")
        for package in sorted(Path(place).glob("*.tgz")):
            _unpack(package, folder)
        _din(Path(place), folder)
    return sum(1 for _ in folder.iterdir())


def _unpack(package: Path, folder: Path) -> None:
    """The upright Latin faces of the wanted weights; the regular one where there are none."""
    with tarfile.open(package) as archive:
        faces = {
            Path(name).name: name
            for name in archive.getnames()
            if name.endswith("-normal.woff") and "-latin-" in name and "-ext-" not in name
        }
        wanted = [n for n in faces if n.split("-")[-2] in _WEIGHTS]
        for name in wanted or [n for n in faces if n.split("-")[-2] == "400"]:
            content = archive.extractfile(faces[name])
            if content is not None:
                (folder / name).write_bytes(content.read())


def _din(place: Path, folder: Path) -> None:
    """Debian's DIN face; machines without apt do without it, and say so."""
    tools = [shutil.which(tool) for tool in ("apt-get", "dpkg-deb")]
    got = (
        all(tools)
        and not subprocess.run(
            [str(tools[0]), "--quiet=2", "download", DIN], cwd=place, check=False
        ).returncode
    )
    packages = sorted(place.glob("*.deb")) if got else []
    if not packages:
        print(f"without {DIN}: apt does not have it here; the model loses a little", flush=True)
        return
    subprocess.run([str(tools[1]), "-x", str(packages[0]), str(place / "din")], check=True)
    for font in (place / "din").rglob("*.ttf"):
        shutil.copy(font, folder / font.name)


def main() -> None:
    """Fetches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print(f"{fetch(folder)} fonts in {folder}")


if __name__ == "__main__":
    main()
