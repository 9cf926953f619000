"""What the calling thread, the process or the machine has set: it does not reach the pass."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from googlenet.explanation import Explanation
from googlenet.inference.explainer import Explainer
from googlenet.inference.gradcam import grad_cam
from googlenet.pictures.images import Preprocess
from googlenet.probes.trust import examine
from tests.helpers import ROOT, explainer_of, random_image, random_model

IMAGE = random_image(100, 80)


@contextmanager
def other_settings() -> Iterator[None]:
    with torch.inference_mode(), torch.device("meta"), torch.autocast("cpu"):
        yield


@contextmanager
def default_settings() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_default_device(None)


@contextmanager
def default_numbers() -> Iterator[None]:
    """bfloat16, which NumPy lacks."""
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SETTINGS = pytest.mark.parametrize("settings", [other_settings, default_settings, default_numbers])


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return explainer_of(random_model(), Preprocess(64, 64, (0.5,) * 3, (0.5,) * 3))


def same(a: Explanation, b: Explanation) -> bool:
    return all(np.array_equal(a.branch_grids[stage], b.branch_grids[stage]) for stage in b.branch_grids)


@pytest.fixture(scope="module")
def answer(explainer: Explainer) -> Explanation:
    """Asked under no setting, with the test of its last map."""
    asked = explainer.explain(IMAGE, channels=True)
    return replace(asked, trust=examine(explainer, IMAGE, asked.question).trust)


@SETTINGS
def test_asked_under_settings(
    settings: Callable[[], AbstractContextManager[None]], explainer: Explainer, answer: Explanation
) -> None:
    with settings():
        found = explainer.explain(IMAGE, channels=True)
        x = explainer.preprocess(IMAGE)
        p = explainer.probabilities(x)["main"][0]
        trust = examine(explainer, IMAGE, answer.question).trust
        maps = grad_cam(explainer.model, x, [answer.question]).branch_maps
    assert same(found, answer)
    assert p == pytest.approx(answer.probabilities["main"], rel=1e-5)
    assert trust["5b"].deletion == answer.trust["5b"].deletion
    assert np.array_equal(trust["5b"].randomised, answer.trust["5b"].randomised)
    assert np.array_equal(maps["4c"][0], answer.branch_grids["4c"])


@SETTINGS
def test_loaded_under_settings(settings: Callable[[], AbstractContextManager[None]], tiny: str) -> None:
    wanted = Explainer.from_pretrained(tiny, device="cpu", bfloat16=False).explain(IMAGE)
    with settings():
        explainer = Explainer.from_pretrained(tiny, device="cpu", bfloat16=False)
    assert same(explainer.explain(IMAGE), wanted)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda explainer: pickle.loads(pickle.dumps(explainer))])
def test_a_copy_answers_the_same_by_itself(copied: Callable[[Explainer], Explainer], explainer: Explainer) -> None:
    with torch.inference_mode():
        other = copied(explainer)
    assert same(other.explain(IMAGE), explainer.explain(IMAGE))
    assert not {id(module) for module in other.model.modules()} & {id(module) for module in explainer.model.modules()}
    assert other.passes is not explainer.passes


FORK = """
import multiprocessing, tempfile, torch

def mkdtemp(*_, **__):
    raise OSError("no usable temporary directory")

tempfile.mkdtemp = mkdtemp
from tests.helpers import explainer_of, random_image, random_model

explainer, image = explainer_of(random_model()), random_image(100, 80)
target = explainer.explain(image).question.target

def child(answers):
    torch.set_num_threads(1)
    answers.put(explainer.explain(image).question.target)

fork = multiprocessing.get_context("fork")
answers = fork.Queue()
fork.Process(target=child, args=(answers,), daemon=True).start()
assert answers.get(timeout=100) == target
"""


def test_a_forked_child_with_one_thread_answers_and_matplotlib_is_quiet_where_it_can_write_nothing() -> None:
    """Neither at home nor in a temporary folder: it would warn, and raise."""
    nowhere = {"HOME": "/proc/none", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "MPLCONFIGDIR": ""}
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", **nowhere}
    done = subprocess.run(
        [sys.executable, "-c", FORK], env=environment, cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert "atplotlib" not in done.stderr
