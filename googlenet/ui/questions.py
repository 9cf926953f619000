"""Answers the page's questions: checks each, gives it its turn, and packs what comes of it."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

import googlenet.probes.cover
from googlenet.errors import UserError
from googlenet.explanation import Explanation, Question, classes_of
from googlenet.explanation.groups import Group
from googlenet.inference.explainer import Explainer
from googlenet.inference.worker import worker_count
from googlenet.model.architecture import STAGES_BEFORE
from googlenet.pictures.frame import Box
from googlenet.pictures.pixels import Picture
from googlenet.probes.trust import examine_prepared
from googlenet.ui import channels, texts
from googlenet.ui.channels import ChannelPictures
from googlenet.ui.messages import (
    REPLIES,
    Answer,
    Channels,
    Covered,
    Firing,
    PageQuery,
    Refusal,
    Reply,
    data_url,
    packed_grid,
    packed_map,
)
from googlenet.ui.turns import BusyError, Progress, RestartingError, Turns, Visitor, VisitorLeftError, own_address
from googlenet.ui.uploads import BYTES_A_SECOND, SIDE, PictureGoneError, Pictures, example
from googlenet.ui.weights import ExplainerCache, NotLoadedError, described, explain

ON_GPU = 16
"""Questions that are prepared and answered at a time on a GPU; on a CPU four for each worker: two run and two are prepared."""


class Desk:
    """Answers the questions of the page's script, each kind in its queue. Belongs to the server's event loop."""

    def __init__(self, explainers: ExplainerCache, pictures: Pictures) -> None:
        self.explainers, self.pictures, self.channel_pictures = explainers, pictures, ChannelPictures()
        cpu = explainers.own.device.type == "cpu"
        self.questions = Turns(4 * worker_count() if cpu else ON_GPU)
        self.decoding = Turns(1, per_session=8)  # a picture that takes long keeps nobody waiting who asks about another
        self.long = Turns(1, waiting=16, per_session=1)  # what takes seconds
        self.drawings, self.loads = Turns(1, waiting=16, per_session=2), Turns(1, waiting=16, per_session=1)
        self.queues = (self.questions, self.decoding, self.long, self.drawings, self.loads)
        self.open = 0
        """questions that have no reply yet"""

    async def reply(self, name: str, sent: object, request: gr.Request) -> Reply:
        """What the script gets for a question to one of the functions in `REPLIES`."""
        ask = PageQuery.from_browser(sent)
        reply: Reply = {"n": ask.number}
        self.open += 1
        try:
            if name == "progress":
                reply.update(self.progress(ask))
            elif name == "leave":
                self.leave(ask)
            else:
                reply[REPLIES[name]] = await self.answer(name, ask, request)  # type: ignore[literal-required]
        except VisitorLeftError:
            pass
        except Exception as error:
            reply["refusal"] = refusal(error)
        finally:
            self.open -= 1
        return reply

    async def answer(self, name: str, ask: PageQuery, request: gr.Request) -> Any:
        visitor = Visitor(ask.session or secrets.token_hex(8), own_address(request), request.is_disconnected)
        if name == "weights":
            return await self.loads.run(visitor, lambda tell: self.load(ask, tell), ask.number)
        picture = await self.picture(ask, visitor)
        kinds: dict[str, tuple[Turns, Callable[[PageQuery, Picture, Progress], Any]]] = {
            "explain": (self.questions, self.explain),
            "maps": (self.questions, self.maps),
            "cover": (self.questions, self.cover),
            "channels": (self.questions, self.channels),
            "draw": (self.drawings, self.draw),
            "firing": (self.questions, self.firing),
            "trust": (self.long, self.trust),
        }
        queue, work = kinds[name]
        return await queue.run(visitor, lambda tell: work(ask, picture, tell), ask.number)

    async def picture(self, ask: PageQuery, visitor: Visitor) -> Picture:
        """The picture that a question is about. Raises UserError for one that is not there or no picture."""
        if ask.example is not None:
            return example(ask.example)
        picture = await self.opened(self.pictures.find(ask.path or ""), visitor, ask.number)
        return picture if ask.original is None else in_original(picture, ask.original)

    async def opened(self, path: Path, visitor: Visitor, number: int | None = None) -> Picture:
        """A picture of the folder of uploads, decoded in its turn. Raises UserError."""
        if known := self.pictures.known(path):
            return known
        seconds = path.stat().st_size / BYTES_A_SECOND
        decoded: Picture = await self.decoding.run(visitor, lambda _: self.pictures.decode(path), number, seconds)
        return decoded

    def progress(self, ask: PageQuery) -> Reply:
        """What is known of a question that is still open."""
        for queue in self.queues:
            if ticket := queue.find(ask.session, ask.number):
                if place := queue.place(ticket):
                    return {"place": place}
                if ticket.progress:
                    return {"share": ticket.progress[0], "what": ticket.progress[1]}
        return {}

    def leave(self, ask: PageQuery) -> None:
        for queue in self.queues:
            if ticket := queue.find(ask.session, ask.number):
                queue.give_up(ticket)

    def close(self) -> None:
        """Whoever waits for an answer hears that the program restarts."""
        for queue in self.queues:
            queue.close()

    def question(self, ask: PageQuery, cell: tuple[str, int, int] | None = None, channels: bool = False) -> Question:
        """Raises UserError."""
        find = self.explainers.find(ask.weights)
        return find.question(ask.head, ask.target, ask.contrast, method=ask.method, channels=channels, cell=cell)

    def explanation(self, ask: PageQuery, picture: Picture) -> Explanation:
        """Raises UserError."""
        return explain(self.explainers.find(ask.weights), picture, self.question(ask))

    def explain(self, ask: PageQuery, picture: Picture, _: Progress) -> Answer:
        explanation = self.explanation(ask, picture)
        shown = None if ask.known else example_url(ask.example) if ask.example else data_url(picture.image, SIDE)
        return packed(explanation, ask, shown)

    def maps(self, ask: PageQuery, picture: Picture, _: Progress) -> str:
        return base64.b64encode(self.explanation(ask, picture).npz()).decode()

    def cover(self, ask: PageQuery, picture: Picture, _: Progress) -> Covered:
        if ask.box is None:
            raise UserError("There is no box to cover; draw one on the enlarged picture.")
        explainer, scale = self.explainers.find(ask.weights), picture.image.width / picture.size[0]
        box = Box(*(edge * scale for edge in ask.box))
        found = googlenet.probes.cover.cover(explainer, picture.image, self.question(ask), box, stage_of(ask))
        boxes = {name: [edge / scale for edge in part] for name, part in (("box", found.box), ("other", found.other))}
        return {**vars(found), **boxes}  # type: ignore[typeddict-item]

    def channels(self, ask: PageQuery, picture: Picture, _: Progress) -> Channels:
        stage, explainer = stage_of(ask), self.explainers.find(ask.weights)
        question = self.question(ask, None if ask.cell is None else (stage, *ask.cell), channels=True)
        explainer.check_stage(question.head, stage)
        explanation = explain(explainer, picture, question)
        assert explanation.channels is not None
        return channels.strongest(explainer, stage, explanation.channels[stage], self.channel_pictures)

    def draw(self, ask: PageQuery, picture: Picture, tell: Progress) -> Channels:
        found = self.channels(ask, picture, tell)
        explainer = self.explainers.find(ask.weights)
        wanted = [each["channel"] for each in (*found["for"], *found["against"])]
        self.channel_pictures.draw(explainer, stage_of(ask), wanted, tell)
        return self.channels(ask, picture, tell)

    def firing(self, ask: PageQuery, picture: Picture, _: Progress) -> Firing:
        stage, explainer = stage_of(ask), self.explainers.find(ask.weights)
        count = sum(explainer.model.stage(stage).splits)
        if ask.channel is None or ask.channel >= count:
            raise UserError("Stage {stage} has the channels 0 to {last}.", stage=stage, last=count - 1)
        grid = channels.activation(explainer, picture.image, stage, ask.channel)
        return {"stage": stage, "channel": ask.channel, "grid": packed_map(grid), "most": float(grid.max())}

    def trust(self, ask: PageQuery, picture: Picture, tell: Progress) -> dict[str, Any]:
        tell(0.0)
        explainer, stage = self.explainers.find(ask.weights), stage_of(ask)
        tested = self.tested(explainer, picture, self.question(ask), stage, tell)
        assert tested.trust is not None
        found = tested.trust[stage]
        say = {language: found.sentence(language) for language in texts.LANGUAGES}
        return {"stage": stage, **vars(found), "randomised": packed_grid(found.randomised), "say": say}

    def tested(self, explainer: Explainer, picture: Picture, question: Question, stage: str, tell: Progress) -> Explanation:
        """An answer whose map of one stage is tested on the picture. Raises UserError."""
        explainer.check_stage(question.head, stage)
        x = explainer.prepare([picture.image])
        (explanation,) = explainer.explain_prepared(x, [picture.size], [question])
        return examine_prepared(explainer, x, explanation, [stage], tell)

    def load(self, ask: PageQuery, tell: Progress) -> dict[str, Any]:
        tell(0.0)
        return described(self.explainers.load(ask.weights, tell), ask.weights)


def refusal(error: Exception) -> Refusal:
    """What the script is told of an error: a sentence in each language, and what it can do about it by itself."""
    kind, source = "", None
    if isinstance(error, NotLoadedError):
        kind, source = "not_loaded", str(error.values["source"])
    elif isinstance(error, BusyError | RestartingError | PictureGoneError):
        kind = {BusyError: "busy", RestartingError: "restarting", PictureGoneError: "gone"}[type(error)]
    elif not isinstance(error, UserError):  # our mistake: loud in the log, and one sentence for the visitor, whose page goes on
        logging.error("A question failed", exc_info=error)
        kind, error = "ours", UserError("This went wrong on our side; try another picture.")
    return {**texts.error(error), "kind": kind, "source": source}  # type: ignore[typeddict-item]


def in_original(picture: Picture, original: tuple[int, int]) -> Picture:
    """A copy that the browser reduced, as part of an original of (width, height).

    Raises UserError where the two do not have the same shape, to a pixel of the copy, or the copy is the larger one.
    """
    width, height = picture.size
    across, down = original[0] / width, original[1] / height
    if min(across, down) < 1 or abs(original[0] / down - width) > 1 or abs(original[1] / across - height) > 1:
        raise UserError("The size that came with this picture is not that of its original; choose the picture again.")
    return Picture(picture.image, original)


def stage_of(ask: PageQuery) -> str:
    """The stage that is asked about: by default the last one that the head sees."""
    return ask.stage or STAGES_BEFORE[ask.head][-1]


def packed(explanation: Explanation, ask: PageQuery, picture: str | None) -> Answer:
    """An Explanation for the browser: its JSON, the signed branch maps in 16 bits, the sentence, the picture."""
    return {
        "result": explanation.to_json(ask.example or Path(ask.path or "").name),
        "size": explanation.size,
        "grids": {stage: packed_grid(grid) for stage, grid in explanation.branch_grids.items()},
        "by_depth": by_depth(explanation),
        "unlikely": explanation.unlikely,
        "say": {language: texts.sentence(explanation, language) for language in texts.LANGUAGES},
        "picture": picture,
    }


def by_depth(explanation: Explanation, others: int = 5) -> list[dict[str, Any]]:
    """What is asked about and the most probable others of any head, with the probability that each head gives to them.

    A group has its name as its label, and no index.
    """
    known = {head: p for head, p in explanation.probabilities.items() if p is not None}
    highest = np.max(list(known.values()), axis=0)
    asked = explanation.question.target
    mine = classes_of(asked)
    ranked = [int(i) for i in np.argsort(-highest, kind="stable")[: others + len(mine)] if i not in mine]
    first = (None, asked.name) if isinstance(asked, Group) else (mine[0], explanation.labels[mine[0]])
    belief = {head: p for head, p in explanation.belief.items() if p is not None}
    rows: list[dict[str, Any]] = [{"index": first[0], "label": first[1], "belief": belief}]
    for index in ranked[:others]:
        belief = {head: float(p[index]) for head, p in known.items()}
        rows.append({"index": index, "label": explanation.labels[index], "belief": belief})
    return rows


@cache
def example_url(name: str) -> str:
    return data_url(example(name).image, SIDE)
