"""Measures which characters the OCR takes for which, on labelled pictures: ring/confusions.csv.

    python deploy/measure-confusions.py FOLDER ring/confusions.csv

FOLDER has a manifest.csv (file,kind,x,y,width,height,plate) and the pictures it names. Each plate
is cut out as labelled and read by `lpr read` as it is and in seven worse states (less sharp, less
light, fewer pixels, noise, a strongly compressed JPEG, two angles), because a good picture is
hardly ever misread. A read counts where it is no more than a third of its characters away from the
label, so that reads of something else teach nothing; it is laid against the label by the fewest
edits, and each pair of characters counts once. An empty `true` is a character too many, an empty
`read` one that is missing.
"""

import csv
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

SEED = 1
# Plates narrower than this go straight to the OCR.
WIDTH = 200
# Labels of this folder mix O with 0 and I with 1.
MIXED = {"eu": set("O0I1")}


def states(plate: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The plate as it is, and seven times worse."""
    height, width = plate.shape[:2]
    yield plate
    yield cv2.GaussianBlur(plate, (0, 0), width / 100)
    small = cv2.resize(
        plate, (max(36, width // 3), max(12, height // 3)), interpolation=cv2.INTER_AREA
    )
    yield cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    noise = rng.normal(0, 25, plate.shape)
    yield np.clip(plate + noise, 0, 255).astype(np.uint8)
    yield np.clip(plate * 0.35 + noise / 3, 0, 255).astype(np.uint8)
    yield cv2.imdecode(
        cv2.imencode(".jpg", plate, [cv2.IMWRITE_JPEG_QUALITY, 8])[1], cv2.IMREAD_COLOR
    )
    for lean in (-0.18, 0.18):
        matrix = np.float32([[1, lean, -lean * height / 2], [lean / 3, 1, -lean * width / 6]])
        yield cv2.warpAffine(plate, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def align(true: str, read: str) -> tuple[int, list[tuple[str, str]]]:
    """The fewest edits from one to the other, and the pairs of characters of one such way."""
    costs = np.zeros((len(true) + 1, len(read) + 1), int)
    costs[:, 0], costs[0] = range(len(true) + 1), range(len(read) + 1)
    for i, t in enumerate(true, 1):
        for j, r in enumerate(read, 1):
            costs[i, j] = min(
                costs[i - 1, j - 1] + (t != r), costs[i - 1, j] + 1, costs[i, j - 1] + 1
            )
    pairs, i, j = [], len(true), len(read)
    while i or j:
        if i and j and costs[i, j] == costs[i - 1, j - 1] + (true[i - 1] != read[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((true[i], read[j]))
        elif i and costs[i, j] == costs[i - 1, j] + 1:
            i -= 1
            pairs.append((true[i], ""))
        else:
            j -= 1
            pairs.append(("", read[j]))
    return int(costs[-1, -1]), pairs


def main() -> None:
    """The command line."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    rng = np.random.default_rng(SEED)
    labels: dict[str, tuple[str, str]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for row in csv.DictReader((folder / "manifest.csv").open(encoding="utf-8")):
            picture = cv2.imread(str(folder / row["file"]))
            if picture is None:
                continue
            if row["kind"] == "scene":
                x, y, w, h = (int(float(row[c])) for c in ("x", "y", "width", "height"))
                picture = picture[max(0, y) : y + h, max(0, x) : x + w]
            height, width = picture.shape[:2]
            if width > WIDTH:
                picture = cv2.resize(
                    picture, (WIDTH, max(1, height * WIDTH // width)), interpolation=cv2.INTER_AREA
                )
            for number, state in enumerate(states(picture, rng)):
                name = f"{len(labels):06}-{number}.png"
                cv2.imwrite(f"{temporary}/{name}", state)
                labels[name] = (row["plate"], Path(row["file"]).parts[0])
        command = [sys.executable, "-m", "lpr", "read", temporary, "--dry-run", "--json"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    counts: Counter[tuple[str, str]] = Counter()
    taken = set()
    for line in done.stdout.splitlines():
        read = json.loads(line)
        name = Path(read["source"]).name
        plate, group = labels[name]
        # A picture's best read comes first.
        if name in taken:
            continue
        taken.add(name)
        edits, pairs = align(plate, read["plate"])
        if edits * 3 > len(plate):
            continue
        mixed = MIXED.get(group, set())
        counts.update(p for p in pairs if not mixed & set(p))
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("true", "read", "count"))
        writer.writerows((t, r, n) for (t, r), n in sorted(counts.items()))
    print(
        f"{len(taken):,} reads of {len(labels):,} pictures, {counts.total():,} characters",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
