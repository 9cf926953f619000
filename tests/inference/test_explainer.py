"""Explainer and Explanation: questions, frames, many threads at once, and what goes out."""

from __future__ import annotations

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from googlenet.checkpoints import LoadedModel
from googlenet.errors import PictureError, QuestionError, UserError, WeightsError
from googlenet.explanation import Explanation, Question
from googlenet.inference.device import half_precision
from googlenet.inference.engine import PictureResult
from googlenet.inference.explainer import Explainer
from googlenet.model.architecture import BRANCHES, HEADS, STAGES, STAGES_BEFORE, TORCHVISION
from googlenet.pictures.frame import enlarge
from googlenet.pictures.images import Box, Preprocess
from tests.helpers import explainer_of, random_image, random_model

STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def same(a: Explanation, b: Explanation) -> bool:
    return a.question == b.question and all(
        np.abs(a.branch_grids[s] - b.branch_grids[s]).max() <= 1e-5 * max(1.0, np.abs(b.branch_grids[s]).max())
        for s in b.branch_grids
    )


def test_default_question(explainer: Explainer) -> None:
    explanation = explainer.explain(random_image(120, 90))
    main = explanation.heads["main"]
    assert main is not None
    assert explanation.question == Question("main", main[0].index)
    assert explanation.belief["main"] == main[0].probability
    assert list(explanation.grids) == list(STAGES)
    assert [p.probability for p in main] == sorted((p.probability for p in main), reverse=True)
    assert sum(explanation.probabilities["aux1"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"target": "thimg 3"}, "did you mean"),
        ({"head": "aux3"}, "no head 'aux3'"),
        ({"target": "thing 3", "contrast": 3}, "both thing 3"),
        ({"method": "cam"}, "no method 'cam'"),
        ({"cell": ("4c", 0, 6)}, "6 rows and 6 columns"),
        ({"cell": ("4c", -1, 0)}, "row -1"),
        ({"head": "aux1", "cell": ("4b", 0, 0)}, "sees no stage '4b'"),
        ({"cell": ("9z", 0, 0)}, "sees no stage '9z'"),
    ],
)
def test_questions_that_these_weights_cannot_answer(asked: dict[str, Any], words: str, explainer: Explainer) -> None:
    with pytest.raises(QuestionError, match=words):
        explainer.question(**asked)


def test_questions_by_name(explainer: Explainer) -> None:
    assert explainer.question("aux1", "Thing 3", 4) == Question("aux1", 3, 4)
    assert explainer.question(cell=("4c", 5, 5)).channels


def test_groups_are_asked_by_name(weights: Path) -> None:
    """A class's label wins, then a group's, with its article and in Korean, too."""
    explainer = Explainer.from_pretrained(str(weights), device="cpu")
    asked = [explainer.question(target=name).target for name in ("dog", "A Dog", "개")]
    assert asked == [asked[0]] * 3
    assert (asked[0].name, len(asked[0].indices)) == ("dog", 118)
    assert explainer.question(target="lion", contrast="a cat").target == 291
    with pytest.raises(QuestionError, match="both dog"):
        explainer.question(target="dog", contrast="a dog")
    explanation = explainer.explain(random_image(120, 90), target="dog", contrast=291, method="layer-cam")
    result = json.loads(json.dumps(explanation.to_json("a.png")))
    assert result["question"] == {
        "head": "main",
        "target": {"index": None, "label": "dog", "classes": 118},
        "contrast": {"index": 291, "label": "lion"},
        "method": "layer-cam",
    }
    dogs = list(asked[0].indices)
    assert result["belief"]["main"] == pytest.approx(explanation.probabilities["main"][dogs].sum())
    assert min(grid.min() for grid in (*explanation.grids.values(), *explanation.against.values())) >= 0
    assert set(result["statements"]) == set(HEADS)


def test_files_bytes_and_arrays_are_pictures_and_nothing_else_is(explainer: Explainer, tmp_path: Path) -> None:
    image, path = random_image(100, 80), tmp_path / "a.png"
    image.save(path)
    pixels, data = np.asarray(image), path.read_bytes()
    wanted = explainer.config.preprocess(image)
    with path.open("rb") as file:
        arrays = [pixels, pixels / 255, (pixels / 255).astype(np.float32)]
        for source in (image, path, str(path), data, io.BytesIO(data), file, *arrays):
            assert torch.equal(explainer.preprocess(source), wanted)
    assert same(explainer.explain(path), explainer.explain(image))
    for wrong in (pixels[..., 0], pixels.astype(int), pixels.astype(float), pixels[:0], pixels / 255 * np.nan):
        with pytest.raises(PictureError, match="height × width × 3"):
            explainer.preprocess(wrong)
    with path.open(encoding="utf-8") as text:  # not in mode rb
        for thing in (None, 7, io.StringIO("a"), [pixels], text):
            with pytest.raises(PictureError, match="is no picture; give"):
                explainer.preprocess(thing)
    with pytest.raises(PictureError, match=r"^https://a\.org/b\.jpg cannot be opened"):
        explainer.preprocess("https://a.org/b.jpg")


def test_a_head_that_the_weights_lack() -> None:
    explainer = explainer_of(random_model(TORCHVISION))
    with pytest.raises(UserError, match="no trained aux1 head"):
        explainer.explain(random_image(80, 80), head="aux1")
    result = explainer.explain(random_image(80, 80)).to_json("a.png")
    assert result["heads"]["aux1"] is None
    assert result["belief"]["aux2"] is None


def test_the_temperature_is_applied() -> None:
    plain = explainer_of(random_model())
    warm = explainer_of(random_model())
    warm.config = type(warm.config)(
        warm.config.architecture, warm.labels, warm.config.preprocess, {"aux1": 1.0, "aux2": 1.0, "main": 4.0}, None
    )
    image = random_image(80, 80)
    logits = plain.model(plain.preprocess(image))[0].detach()
    assert warm.explain(image).probabilities["main"] == pytest.approx((logits / 4).softmax(0).numpy(), rel=1e-4)
    assert plain.explain(image).probabilities["main"] == pytest.approx(logits.softmax(0).numpy(), rel=1e-4)


def test_json_is_as_documented(explainer: Explainer) -> None:
    explanation = explainer.explain(random_image(120, 90), head="aux2", target=4, contrast="thing 5")
    result = json.loads(json.dumps(explanation.to_json("a.png")))
    assert list(result) == ["image", "weights", "heads", "statements", "record", "question", "belief", "seen", "stages"]
    assert result["image"] == "a.png"
    assert result["weights"] == {"source": "test", "revision": None, "sha256": "0" * 64}
    assert set(result["heads"]) == set(result["belief"]) == set(HEADS)
    assert [set(p) for p in result["heads"]["main"]] == [{"index", "label", "probability"}] * 5
    assert result["question"] == {
        "head": "aux2",
        "target": {"index": 4, "label": "thing 4"},
        "contrast": {"index": 5, "label": "thing 5"},
        "method": "grad-cam",
    }
    assert result["statements"] is result["record"] is None  # things are not ImageNet's classes, and nothing was measured
    assert result["seen"] == pytest.approx([15, 0, 105, 90])
    assert [stage["name"] for stage in result["stages"]] == list(STAGES)
    for stage in result["stages"]:
        assert list(stage) == ["name", "size", "peak", "share_of_evidence", "branches"]
        if stage["name"] in STAGES_BEFORE["aux2"]:
            assert 0 <= stage["share_of_evidence"] <= 1
            assert list(stage["branches"]) == list(BRANCHES)
            assert sum(stage["branches"].values()) == pytest.approx(1)
            if stage["peak"]:
                assert 15 <= stage["peak"][0] <= 105
                assert 0 <= stage["peak"][1] <= 90
        else:
            assert [stage[key] for key in ("size", "peak", "share_of_evidence", "branches")] == [None] * 4


def test_channels_as_documented(explainer: Explainer) -> None:
    image = random_image(120, 90)
    asked = explainer.question("aux2", 4, channels=True, cell=("4c", 1, 2))
    explanation, without = explainer.explain_batch([image] * 2, [asked, explainer.question()])  # one pass serves both
    assert without.channels is None
    assert explanation.channels is not None
    result = json.loads(json.dumps(explanation.to_json("a.png")))
    assert list(result)[-1] == "channels"
    assert list(result["channels"]) == list(explanation.channels) == list(STAGES_BEFORE["aux2"])
    for stage, found in result["channels"].items():
        assert list(found) == ["cell", "for", "against"]
        assert found["cell"] == ([1, 2] if stage == "4c" else None)
        assert 1 <= len(found["for"]) <= 5
        assert 1 <= len(found["against"]) <= 3
        assert [c["share"] for c in found["for"]] == sorted((c["share"] for c in found["for"]), reverse=True)
        assert [c["share"] for c in found["against"]] == sorted(c["share"] for c in found["against"])
        assert sum(abs(c["share"]) for c in found["for"] + found["against"]) <= 1
        for channel, kept in zip(found["for"] + found["against"], explanation.channels[stage], strict=True):
            assert list(channel) == ["channel", "branch", "share", "peak"]
            assert (channel["channel"], channel["share"]) == (kept.channel, kept.share)
            low = sum(explainer.model.stage(stage).splits[: BRANCHES.index(channel["branch"])])
            assert low <= channel["channel"] < low + explainer.model.stage(stage).splits[BRANCHES.index(channel["branch"])]
            assert 15 <= channel["peak"][0] <= 105
            assert np.sign(kept.grid.sum()) == np.sign(kept.share)
    with np.load(io.BytesIO(explanation.npz()), allow_pickle=False) as file:
        assert file["4c_channels"].tolist() == [c.channel for c in explanation.channels["4c"]]
        assert file["4c_channel_maps"].shape == (len(explanation.channels["4c"]), *explanation.grids["4c"].shape)


def test_summary_of_a_known_map(explainer: Explainer) -> None:
    explanation = explainer.explain(random_image(120, 90), target=1)
    grids = np.zeros((4, 3, 3), np.float32)
    grids[0, 0, 2], grids[1, 0, 2], grids[3, 2, 0] = 3, 1, -2
    known = Explanation(**{**vars(explanation), "branch_grids": {"5b": grids}})
    stage = known.summary("5b")
    assert stage.peak == pytest.approx((15 + 90 * 5 / 6, 90 / 6))
    assert stage.share_of_evidence == pytest.approx(4 / 6)
    assert stage.branches == pytest.approx({"1x1": 0.75, "3x3": 0.25, "5x5": 0, "pool": 0})
    against = Explanation(**{**vars(explanation), "branch_grids": {"5b": -np.abs(grids)}}).summary("5b")
    assert against.peak is None
    assert against.share_of_evidence == 0
    assert set(against.branches.values()) == {0}


@pytest.mark.parametrize(("resize", "size"), [(96, (90, 300)), ((96, 96), (64, 64)), (112, (1000, 400))])
def test_maps_lie_in_the_pictures_frame(size: tuple[int, int], resize: int | tuple[int, int]) -> None:
    explanation = explainer_of(random_model(), Preprocess(resize, 96, *STATISTICS)).explain(random_image(*size))
    box = explanation.seen
    heat = explanation.maps["4c"]
    assert heat.shape == size[::-1]
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    outside = (x < box.x0) | (x > box.x1) | (y < box.y0) | (y > box.y1)
    assert heat[outside].sum() == 0
    peak = explanation.summary("4c").peak
    if peak:
        assert heat[int(min(peak[1], size[1] - 1)), int(min(peak[0], size[0] - 1))] >= 0.8 * heat.max()


def test_enlarging_is_torchs_bilinear() -> None:
    grid = np.random.default_rng(0).random((7, 7), np.float32)
    reference = torch.nn.functional.interpolate(torch.from_numpy(grid)[None, None], (70, 140), mode="bilinear")[0, 0].numpy()
    assert enlarge(grid, (140, 70), Box(0, 0, 140, 70)) == pytest.approx(reference, abs=1e-6)
    shifted = enlarge(grid, (200, 100), Box(30, 20, 170, 90))
    assert shifted[20:90, 30:170] == pytest.approx(reference, abs=1e-6)


def test_npz(explainer: Explainer) -> None:
    explanation = explainer.explain(random_image(120, 90), head="aux1")
    with np.load(io.BytesIO(explanation.npz()), allow_pickle=False) as file:
        stages = {"3a", "3b", "4a"}
        assert set(file.files) == stages | {f"{s}_branches" for s in stages} | {
            "seen",
            "size",
            "question_head",
            "question_method",
            "question_target",
        }
        assert file["3a_branches"] == pytest.approx(explanation.branch_grids["3a"])
        assert file["question_head"] == "aux1"
        assert file["question_target"] == explanation.question.target
        assert file["3a"] == pytest.approx(explanation.grids["3a"])
        assert file["size"].tolist() == [120, 90]
        assert file["seen"].tolist() == pytest.approx([15, 0, 105, 90])


def passes(explainer: Explainer) -> int:
    return sum(engine.passes for engine in explainer.passes.engines)


def test_many_threads_at_once() -> None:
    """Each gets the answer that it would get alone, in far fewer passes than questions."""
    explainer = explainer_of(random_model(), Preprocess(64, 64, *STATISTICS))
    explainer.model.double()  # so that another batch size does not take another side of a kink (tests/inference/test_gradcam.py)
    images = [random_image(100, 100, seed) for seed in range(24)]
    questions = [Question(HEADS[i % 3], i % 10, (i + 3) % 10 if i % 4 == 0 else None) for i in range(24)]
    alone = [explainer.explain_batch([image], [question])[0] for image, question in zip(images, questions, strict=True)]
    before = passes(explainer)
    start = threading.Barrier(24)

    def ask(i: int) -> Explanation:
        start.wait()
        return explainer.explain_batch([images[i]], [questions[i]])[0]

    with ThreadPoolExecutor(24) as pool:
        together = list(pool.map(ask, range(24)))
    assert all(same(a, b) for a, b in zip(together, alone, strict=True))
    assert 24 // explainer.engine.largest <= passes(explainer) - before <= 16


def test_bfloat16_where_the_processor_has_it() -> None:
    """A model can be moved and run without graphs: it keeps its precision and its answers."""
    float32, image = explainer_of(random_model()), random_image(100, 100)
    before = float32.explain(image, cell=("4c", 5, 5))
    float32.to("cpu", graphs=False)
    assert same(float32.explain(image, cell=("4c", 5, 5)), before)
    assert not float32.engine.graphs
    loaded = LoadedModel(random_model(), float32.config, float32.provenance)
    fastest = torch.bfloat16 if half_precision(torch.device("cpu")) else torch.float32
    for chosen, dtype in ((None, fastest), (False, torch.float32), (True, torch.bfloat16)):
        explainer = Explainer(loaded, "cpu", bfloat16=chosen)
        model = explainer.model
        assert {module.weight.dtype for module in model.modules() if isinstance(module, torch.nn.Conv2d)} == {dtype}
        assert model(explainer.preprocess(random_image(80, 80))).dtype == torch.float32


def test_a_wrong_question_never_reaches_the_others(explainer: Explainer) -> None:
    """On a GPU an index out of range would end the process's use of the device."""
    image, before = random_image(100, 100), passes(explainer)
    for wrong in (Question("main", 10), Question("main", 0, -2)):
        with pytest.raises(IndexError, match="of 10"):
            explainer.explain_batch([image, image], [Question("main", 1), wrong])
    with pytest.raises(QuestionError, match="no head"):
        explainer.explain_batch([image], [Question("aux9")])
    assert passes(explainer) == before


def test_a_failing_pass_reaches_all_that_wait_and_the_next_works(explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    image = random_image(100, 100)
    with monkeypatch.context() as patched:
        patched.setattr("googlenet.inference.engine.one_pass", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            explainer.explain_batch([image, image], [Question("main", 1), Question("main", 2)])
    assert explainer.explain(image).question.target is not None


def test_the_next_pictures_are_prepared_while_the_model_runs(explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model waits, here, until the preparation of the next part begins."""
    images, questions = [random_image(100, 100, seed) for seed in range(20)], [Question("main", i % 10) for i in range(20)]
    prepare, run = explainer.prepare, explainer.engine.run
    begun = [threading.Event() for _ in range(4)]
    begun[3].set()  # nothing is left to prepare while the third part runs
    parts = iter(begun)
    waits = iter(begun[1:])

    def watched_prepare(some: list[Image.Image]) -> torch.Tensor:
        next(parts).set()
        return prepare(some)

    def watched_run(x: torch.Tensor, asked: list[Question]) -> list[PictureResult]:
        assert next(waits).wait(30)
        return run(x, asked)

    monkeypatch.setattr(explainer, "prepare", watched_prepare)
    for engine in explainer.passes.engines:
        monkeypatch.setattr(engine, "run", watched_run)
    assert [found.question for found in explainer.explain_batch(images, questions)] == questions
    assert next(waits, None) is None


def test_explanations_can_be_compared_and_kept_in_sets(explainer: Explainer) -> None:
    first, second = (explainer.explain(random_image(100, 80), cell=("4c", 2, 2)) for _ in range(2))
    assert first != second
    assert first in [second, first]
    assert len({first, second, *first.channels["4c"]}) == 2 + len(first.channels["4c"])


def test_an_explanation_is_small_and_keeps_its_own_numbers_alone(explainer: Explainer) -> None:
    """Not the batch that it was computed in."""
    images = [random_image(100, 100, seed) for seed in range(3)] + [random_image(1600, 1200)]
    explanation = explainer.explain_batch(images, [Question()] * 4)[3]
    assert explanation.maps["5b"].shape == (1200, 1600)
    assert sum(grid.nbytes for grid in explanation.branch_grids.values()) < 100_000
    base = explanation.branch_grids["3a"].base
    while base is not None and base.base is not None:
        base = base.base
    assert base is not None
    assert base.nbytes < 100_000
    assert explainer.explain_batch([], []) == []


def test_a_revision_is_that_of_the_repository_and_of_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = list[object]()

    def load(source: object) -> object:
        sources.append(source)
        raise WeightsError("stop")

    monkeypatch.setattr("googlenet.inference.explainer.load", load)
    with pytest.raises(WeightsError, match="stop"):
        Explainer.from_pretrained("user/repo@v0:net.onnx", revision="v1")
    assert str(sources[0]) == "user/repo@v1:net.onnx"
    with pytest.raises(WeightsError, match="torchvision is not on the Hub"):
        Explainer.from_pretrained("torchvision", revision="v1")
