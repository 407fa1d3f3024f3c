"""What the detector learns from: scenes, what it should answer to them, and a step of training."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lpr_scenes import scene as street

from lpr.detector import CELL, OURS, PlateDetector
from lpr.reading import Box
from lpr.training.scenes import Frame, Scene, draw_scene, frame, load_frames
from lpr.training.scenes_plates import draw_plate
from lpr.training.scenes_targets import target

SIDE = 128


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """Two drawn streets whose plates are where `street` puts them: 140 × 42 about the centre."""
    made = []
    for centres in ([(300, 420), (700, 380)], [(500, 300)]):
        picture = street([("AB123CD", x, y) for x, y in centres])[..., ::-1]
        boxes = [[x - 70.0, y - 21.0, x + 70.0, y + 21.0] for x, y in centres]
        made.append(frame(np.ascontiguousarray(picture), boxes))
    return made


def test_a_scene_follows_from_its_seed_and_number_alone(frames: list[Frame]) -> None:
    forwards = [draw_scene(frames, 5, number, side=SIDE) for number in range(6)]
    backwards = [draw_scene(frames, 5, number, side=SIDE) for number in reversed(range(6))]
    for one, other in zip(forwards, reversed(backwards), strict=True):
        assert np.array_equal(one.picture, other.picture)
        assert np.array_equal(one.plates, other.plates)
    other_seed = draw_scene(frames, 6, 0, side=SIDE)
    assert not np.array_equal(forwards[0].picture, other_seed.picture)


def test_plates_of_a_scene_have_their_centre_inside_and_a_size(frames: list[Frame]) -> None:
    widths = []
    for number in range(150):
        drawn = draw_scene(frames, 1, number, side=SIDE)
        assert drawn.picture.shape == (SIDE, SIDE, 3)
        assert drawn.picture.dtype == np.uint8
        left, top, right, bottom = drawn.plates.T
        assert ((left + right) / 2 > 0).all()
        assert ((left + right) / 2 < SIDE).all()
        assert ((top + bottom) / 2 > 0).all()
        assert ((top + bottom) / 2 < SIDE).all()
        assert (right - left >= 9).all()
        assert (bottom - top >= 2).all()
        widths.extend(right - left)
    # Near ones and far ones: that is what the scenes are for.
    assert min(widths) < 0.15 * SIDE
    assert max(widths) > 0.8 * SIDE


def test_a_plate_put_on_a_scene_is_seen_there(frames: list[Frame]) -> None:
    """Under every box there is more contrast than on a painted-over plate."""
    strong = total = 0
    for number in range(80):
        drawn = draw_scene(frames, 2, number, side=SIDE)
        for left, top, right, bottom in drawn.plates.astype(int):
            part = drawn.picture[max(0, top) : bottom, max(0, left) : right]
            strong += float(part.std()) > 8
            total += 1
    assert total > 40
    assert strong / total > 0.9


def test_painting_over_takes_the_plate_away(frames: list[Frame]) -> None:
    for one in frames:
        for left, top, right, bottom in one.plates.astype(int):
            before = one.picture[top:bottom, left:right]
            after = one.bare[top:bottom, left:right]
            assert float(after.std()) < 0.3 * float(before.std())


@pytest.mark.parametrize("number", range(20))
def test_a_drawn_plate_is_wider_than_high_and_has_lettering(number: int) -> None:
    plate = draw_plate(np.random.default_rng(number))
    high, wide = plate.shape[:2]
    assert 1.1 < wide / high < 5.2
    middle = plate[round(0.2 * high) : round(0.8 * high)].mean(axis=2)
    assert float(middle.std(axis=1).max()) > 12


@settings(max_examples=40, deadline=None)
@given(
    st.floats(10, 110), st.floats(10, 110), st.floats(10, 120), st.floats(3, 60), st.integers(0, 99)
)
def test_a_target_says_where_the_plate_is(
    x: float, y: float, wide: float, high: float, seed: int
) -> None:
    box = np.array([[x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]], np.float32)
    nothing = np.zeros((0, 4), np.float32)
    taught = target(Scene(np.zeros((SIDE, SIDE, 3), np.uint8), box, nothing))
    assert taught.shape == (7, SIDE // CELL, SIDE // CELL)
    assert (taught[0] == 1).sum() >= 1
    row, column = np.unravel_index(taught[0].argmax(), taught[0].shape)
    assert abs(CELL * (column + 0.5) - x) <= CELL
    assert abs(CELL * (row + 0.5) - y) <= CELL
    assert taught[5].sum() == pytest.approx(1, abs=1e-5)
    weighed = taught[5] > 0
    assert np.allclose(taught[1:5, weighed] * CELL, box.T, atol=1e-3)
    assert taught[6].all()


def test_what_can_not_be_told_does_not_count() -> None:
    nothing = np.zeros((0, 4), np.float32)
    doubtful = np.array([[-8, 40, 20, 52]], np.float32)
    taught = target(Scene(np.zeros((SIDE, SIDE, 3), np.uint8), nothing, doubtful))
    assert taught[0].max() == 0
    assert (taught[6] == 0).sum() == 2 * 3


def test_frames_are_split_between_learning_and_looking(shared: Path, tmp_path: Path) -> None:
    rows = (shared / "frames" / "boxes.csv").read_text(encoding="utf-8").splitlines()
    some = [row for row in rows if row.startswith(("dayride_type1_003", "dayride_type1_002"))]
    (tmp_path / "boxes.csv").write_text("\n".join([rows[0], *some]), encoding="utf-8")
    for row in some:
        name = row.partition(",")[0]
        if not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(shared / "frames" / name)
    learning, looking = load_frames(tmp_path), load_frames(tmp_path, held_out=True)
    assert (len(learning), len(looking)) == (27, 19)


@pytest.mark.training
def test_the_network_learns_a_few_scenes_by_heart(frames: list[Frame]) -> None:
    import torch

    from lpr.training.detector_net import DetectorNet, loss

    torch.manual_seed(1)
    torch.set_num_threads(1)
    scenes = [draw_scene(frames, 3, number, side=SIDE) for number in range(4)]
    pictures = torch.from_numpy(np.stack([one.picture for one in scenes]))
    wanted = torch.from_numpy(np.stack([target(one) for one in scenes]))
    model = DetectorNet()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4)
    losses = []
    for _ in range(25):
        heat, boxes = loss(model.raw(pictures), wanted)
        optimiser.zero_grad()
        (heat + boxes).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        losses.append(float((heat + boxes).detach()))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.training
def test_training_that_was_stopped_goes_on_and_leaves_a_model_the_reader_loads(
    frames: list[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from lpr.training.detector_export import begin_from
    from lpr.training.detector_net import DetectorNet
    from lpr.training.detector_train import train

    lines = ["file,x,y,width,height"]
    for number, one in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"{number}.png"), one.picture[..., ::-1])
        lines += [f"{number}.png,{x},{y},{r - x},{b - y}" for x, y, r, b in one.plates]
    (tmp_path / "boxes.csv").write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "out"
    for steps in (1, 3):
        train(tmp_path, out, start=OURS, steps=steps, batch=2, side=64, seed=1, save_seconds=60)
    assert "going on from step 1" in capsys.readouterr().out
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 3
    picture = street([("AB123CD", 300, 420)])
    (place,) = PlateDetector(out / "plate_detector.onnx").find(picture)
    assert place[0].box.overlap(Box(230, 399, 140, 42)) > 0.5
    begin_from(out / "plate_detector.onnx", DetectorNet())
