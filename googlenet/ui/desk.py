"""Answers the page's questions: checks each, gives it its turn, and packs what comes of it."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import segno

from googlenet.checkpoints.config import MapTrust
from googlenet.errors import UserError
from googlenet.explanation import Channel, Explanation, Question, likeliest
from googlenet.inference.explainer import Explainer
from googlenet.inference.worker import worker_count
from googlenet.model.architecture import STAGES, STAGES_BEFORE
from googlenet.pictures.decoding import SLOW
from googlenet.pictures.pixels import Picture
from googlenet.probes.channel_groups import ChannelGroup, channel_groups
from googlenet.probes.cover import cover, probability, tipping
from googlenet.probes.trust import examine_prepared
from googlenet.ui import messages, sentences
from googlenet.ui.channels import ChannelPictures, activation
from googlenet.ui.messages import REPLIES, PageQuery, Reply, data_url, packed_grid, packed_map
from googlenet.ui.sentences import LANGUAGES
from googlenet.ui.turns import Progress, RestartingError, Turns, Visitor, VisitorLeftError, own_address
from googlenet.ui.uploads import EXAMPLES, SIDE, PictureGoneError, Pictures, example
from googlenet.ui.weights import ExplainerCache, NotLoadedError, described, explain_picture, trust_in

__all__ = ["Desk", "Inquiry", "packed", "tested"]

_ON_GPU = 16
"""How many questions are in work at once on a GPU. On a CPU two for each worker: one is prepared while another runs."""
_QUICK = 0.1
"""Seconds up to which a picture is decoded among those that do not take long."""
_QR_CHARACTERS = 500
"""The longest link that is drawn as a QR code: 81 modules each way."""


class Desk:
    """Answers the questions of the page's script, each kind in its queue. Belongs to the server's event loop."""

    def __init__(self, explainers: ExplainerCache, pictures: Pictures, examples: Mapping[str, Picture] | None = None) -> None:
        """`examples`: by name, by default the built-in ones; the page opens with the first."""
        self.explainers, self.pictures, self.channel_pictures = explainers, pictures, ChannelPictures()
        self.examples = examples or {name: example(name) for name in EXAMPLES}
        cpu = explainers.own.device.type == "cpu"
        self.questions = Turns(2 * worker_count() if cpu else _ON_GPU)
        # a picture that takes long keeps nobody waiting who asks about another
        self.decoding, self.slow_decoding = Turns(1, per_session=8), Turns(1, per_session=8)
        self.long = Turns(1, waiting=16, per_session=1)  # what takes seconds
        self.drawings, self.loads = Turns(1, waiting=16, per_session=2), Turns(1, waiting=16, per_session=1)
        self.queues = (self.questions, self.decoding, self.slow_decoding, self.long, self.drawings, self.loads)
        self.open = 0
        """questions that have no reply yet"""

    async def reply(self, name: str, sent: object, request: gr.Request) -> Reply:
        """What the script gets for a question to one of the functions in `REPLIES`."""
        ask = PageQuery.from_browser(sent)
        reply: Reply = {"n": ask.n}
        self.open += 1
        try:
            if name == "progress":
                reply.update(self.progress(ask))
            elif name == "leave":
                self.leave(ask)
            else:
                reply[REPLIES[name]] = await self.answer(name, ask, request)
        except VisitorLeftError:
            pass
        except Exception as error:
            reply["refusal"] = _refusal(error)
        finally:
            self.open -= 1
        return reply

    async def answer(self, name: str, ask: PageQuery, request: gr.Request) -> Any:
        visitor = Visitor(ask.session or secrets.token_hex(8), own_address(request), request.is_disconnected)
        if name == "weights":
            return await self.loads.run(visitor, lambda tell: self.load(ask, tell), ask.n)
        if name == "qr":
            return await self.questions.run(visitor, lambda _: qr(ask.link or ""), ask.n)
        picture = await self.picture(ask, visitor)
        queue = {"draw": self.drawings, "trust": self.long}.get(name, self.questions)
        return await queue.run(visitor, lambda tell: getattr(Inquiry(self, ask, picture, tell), name)(), ask.n)

    async def picture(self, ask: PageQuery, visitor: Visitor) -> Picture:
        """The picture that a question is about. Raises UserError for one that is not there or no picture."""
        if ask.example is not None:
            if ask.example not in self.examples:
                names = ", ".join(self.examples)
                raise UserError("There is no example called {name}; choose {names}.", name=repr(ask.example), names=names)
            return self.examples[ask.example]
        picture = await self.opened(self.pictures.find(ask.upload or ""), visitor, ask.n)
        return picture if ask.original is None else _in_original(picture, ask.original)

    async def opened(self, path: Path, visitor: Visitor, number: int | None = None) -> Picture:
        """A picture of the folder of uploads, decoded in its turn. Raises UserError."""
        if known := self.pictures.known(path):
            return known

        def quickly(_: Progress) -> Picture | float:
            seconds = self.pictures.seconds(path)
            return self.pictures.decode(path) if seconds <= _QUICK else seconds

        decoded: Picture | float = await self.decoding.run(visitor, quickly, number)
        if isinstance(decoded, float):
            decoded = await self.slow_decoding.run(visitor, lambda _: self.pictures.decode(path, SLOW), number, decoded)
        assert isinstance(decoded, Picture)
        return decoded

    def progress(self, ask: PageQuery) -> Reply:
        """What is known of a question that is still open."""
        for queue in self.queues:
            if ticket := queue.find(ask.session, ask.n):
                if ticket in queue.waiting:
                    return {"place": queue.place(ticket)}
                if ticket.progress is not None:
                    return {"share": ticket.progress}
        return {}

    def leave(self, ask: PageQuery) -> None:
        for queue in self.queues:
            if ticket := queue.find(ask.session, ask.n):
                queue.leave(ticket)

    def close(self) -> None:
        """Whoever waits for an answer hears that the program restarts."""
        for queue in self.queues:
            queue.close()

    def load(self, ask: PageQuery, tell: Progress) -> dict[str, Any]:
        tell(0.0)
        return described(self.explainers.load(ask.weights, tell), ask.weights)


class Inquiry:
    """A question about a picture whose turn has come, with a method for each such function in `REPLIES`; all raise UserError."""

    def __init__(self, desk: Desk, ask: PageQuery, picture: Picture, tell: Progress = lambda *_: None) -> None:
        self.ask, self.picture, self.image, self.tell = ask, picture, picture.image, tell
        self.explainer, self.channel_pictures = desk.explainers.find(ask.weights), desk.channel_pictures
        self.stage = ask.stage or STAGES_BEFORE.get(ask.head, STAGES)[-1]

    def question(self, **options: Any) -> Question:
        ask = self.ask
        return self.explainer.question(ask.head, ask.target, ask.contrast, method=ask.method, **options)

    def explanation(self) -> Explanation:
        return explain_picture(self.explainer, self.picture, self.question())

    def explain(self) -> messages.Answer:
        explanation, trust = self.explanation(), trust_in(self.explainer, self.ask.method)
        return packed(explanation, trust, self.ask, None if self.ask.known else data_url(self.image, SIDE))

    def maps(self) -> str:
        return base64.b64encode(self.explanation().npz()).decode()

    def cover(self) -> messages.Covered:
        if self.ask.box is None:
            raise UserError("There is no box to cover; draw one on the enlarged picture.")
        found = cover(self.explainer, self.image, self.question(), self.ask.box, self.stage, self.picture.size)
        return {
            "controls": [list(part) for part in found.controls],
            "before": found.before,
            "after": found.after,
            "control_after": {head: float(np.median(p)) for head, p in found.control_after.items() if p},
            "say": {each: sentences.cover_sentence(found, self.explainer.labels, each) for each in LANGUAGES},
        }

    def tip(self) -> messages.Tipped:
        ask = self.ask
        if ask.target is None or ask.truth is None:
            raise UserError("Name the class that was answered, and the one that is right.")
        question = self.explainer.question(ask.head, ask.target, ask.truth, method=ask.method)
        found = tipping(self.explainer, self.image, question, self.stage, self.picture.size)
        return {
            "maps": [packed_map(grid) for grid in found.maps],
            "scale": found.scale,
            "box": found.box and list(found.box),
            "say": {language: sentences.tipping_sentence(found, language) for language in LANGUAGES},
            "why": {language: sentences.diagnosis(found, language) for language in LANGUAGES},
        }

    def channels(self) -> messages.Channels:
        question = self.question(cell=self.ask.cell and (self.stage, *self.ask.cell), channels=True)
        self.explainer.check_stage(question.head, self.stage)
        explanation = explain_picture(self.explainer, self.picture, question)
        assert explanation.channels is not None
        strongest = explanation.channels[self.stage]
        known = self.channel_pictures.known(self.explainer, self.stage, [each.channel for each in strongest])

        def drawn(each: Channel) -> dict[str, Any]:
            return {**vars(each), "picture": known.get(each.channel), "grid": packed_map(each.grid)}

        return {
            "missing": len(strongest) - len(known),
            "for": [drawn(each) for each in strongest if each.share > 0],
            "against": [drawn(each) for each in strongest if each.share <= 0],
        }

    def groups(self) -> messages.Groups:
        groups = channel_groups(self.explainer, self.image, self.question(), self.stage).groups
        wanted = [channel for group in groups for channel in group.channels]
        known = self.channel_pictures.known(self.explainer, self.stage, wanted)

        def drawn(group: ChannelGroup) -> dict[str, Any]:
            channels = [{"channel": channel, "picture": known.get(channel)} for channel in group.channels]
            return {"share": group.share, "grid": packed_map(group.grid), "channels": channels}

        rest = 1 - sum(group.share for group in groups)
        return {"missing": len(wanted) - len(known), "groups": [drawn(group) for group in groups], "rest": rest}

    def draw(self) -> messages.Channels:
        strongest, groups = self.channels(), self.groups()["groups"]
        grouped = [each for group in groups for each in group["channels"]]
        wanted = dict.fromkeys(each["channel"] for each in (*strongest["for"], *strongest["against"], *grouped))
        self.channel_pictures.draw(self.explainer, self.stage, list(wanted), self.tell)
        return self.channels()

    def firing(self) -> messages.Firing:
        count = sum(self.explainer.model.stage(self.stage).splits)
        if self.ask.channel is None or self.ask.channel >= count:
            raise UserError("Stage {stage} has the channels 0 to {last}.", stage=self.stage, last=count - 1)
        grid = activation(self.explainer, self.image, self.stage, self.ask.channel)
        return {"grid": packed_map(grid), "most": float(grid.max())}

    def trust(self) -> dict[str, Any]:
        self.tell(0.0)
        explanation = tested(self.explainer, self.picture, self.question(), self.stage, self.tell)
        assert explanation.trust is not None
        found = explanation.trust[self.stage]
        say = {language: found.sentence(language) for language in LANGUAGES}
        return {**vars(found), "randomised": packed_grid(found.randomised), "say": say}


def tested(explainer: Explainer, picture: Picture, question: Question, stage: str, tell: Progress) -> Explanation:
    """An answer whose map of one stage is tested on the picture. Raises UserError."""
    explainer.check_stage(question.head, stage)
    x = explainer.prepare([picture.image])
    (explanation,) = explainer.explain_prepared(x, [picture.size], [question])
    return examine_prepared(explainer, x, explanation, [stage], tell)


def _refusal(error: Exception) -> dict[str, str | None]:
    """What the script is told of an error: a sentence in each language, and what it can do about it by itself.

    `kind`: "" (as it says), restarting, gone (the picture), not_loaded (the weights `source`).
    """
    if not isinstance(error, UserError):  # our mistake: loud in the log, and one sentence for the visitor, whose page goes on
        logging.error("A question failed", exc_info=error)
        error = UserError("This went wrong on our side; try another picture.")
    kinds: dict[type[Exception], str] = {NotLoadedError: "not_loaded", PictureGoneError: "gone", RestartingError: "restarting"}
    source = str(error.values["source"]) if isinstance(error, NotLoadedError) else None
    return {**sentences.error(error), "kind": kinds.get(type(error), ""), "source": source}


def _in_original(picture: Picture, original: tuple[int, int]) -> Picture:
    """A copy that the browser reduced, as part of an original of (width, height).

    Raises UserError where the two do not have the same shape, to a pixel of the copy, or the copy is the larger one.
    """
    width, height = picture.size
    across, down = original[0] / width, original[1] / height
    if min(across, down) < 1 or abs(original[0] / down - width) > 1 or abs(original[1] / across - height) > 1:
        raise UserError("The size that came with this picture is not that of its original; choose the picture again.")
    return Picture(picture.image, original)


def packed(explanation: Explanation, trust: MapTrust | None, ask: PageQuery, picture: str | None) -> messages.Answer:
    """An Explanation for the browser: its JSON, the signed branch maps in 16 bits, what it says in words, the picture."""
    probabilities = explanation.probabilities[explanation.question.head]
    assert probabilities is not None
    return {
        "result": explanation.to_json(ask.example or Path(ask.upload or "").name),
        "size": explanation.size,
        "grids": {stage: packed_grid(grid) for stage, grid in explanation.branch_grids.items()},
        "by_depth": by_depth(explanation),
        "likeliest": [vars(each) for each in likeliest(probabilities, explanation.labels, 10)],
        "unlikely": explanation.unlikely,
        "words": {language: vars(sentences.words(explanation, trust, language)) for language in LANGUAGES},
        "standing": sentences.standing_stage(trust, explanation.question.head),
        "picture": picture,
    }


def by_depth(explanation: Explanation, others: int = 5) -> list[dict[str, Any]]:
    """What is asked, what it is asked rather than, and the most probable others of any head, by the heads' probabilities."""
    known = {head: p for head, p in explanation.probabilities.items() if p is not None}
    ranked = np.argsort(-np.max(list(known.values()), axis=0), kind="stable")[: others + 2].tolist()
    question = explanation.question
    asked = [each for each in (question.target, question.contrast) if each is not None]
    rows = [*asked, *[index for index in ranked if index not in asked]][: others + 1]
    return [
        {**explanation.asked_json(row), "belief": {head: float(probability(p, row)) for head, p in known.items()}} for row in rows
    ]


def qr(link: str) -> str:
    """A link as a QR code: an SVG in a `data:` URL."""
    drawn: str = segno.make(link[:_QR_CHARACTERS], micro=False).svg_data_uri(border=2, light="#fff")
    return drawn
