"""The command line: serve, explain, train, evaluate, channels, import, deploy.

A command imports what it needs when it runs: `googlenet --help` then starts quickly and needs no extra. `explain` writes results
to stdout and everything else to stderr.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import io
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from googlenet import __version__
from googlenet.errors import UserError, missing_extra, reason
from googlenet.errors.korean import in_locale
from googlenet.model.architecture import HEADS, STAGES, STAGES_BEFORE
from googlenet.training.commands import add_arguments

if TYPE_CHECKING:
    from googlenet.explanation import Explanation, Provenance, Question
    from googlenet.inference.explainer import Explainer

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after `googlenet`; by default those of this process.

    Returns:
        The exit status: 0; 1 after an expected failure, which is one sentence on stderr; 130 after Ctrl-C; 141 where the reader
        of stdout has closed the pipe. Wrong arguments end the process with 2.
    """
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # Xet keeps a second cache, outside the visitors' quota
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's matrix products are small here: idle threads would spin
    if isinstance(sys.stdout, io.TextIOWrapper):  # JSON is UTF-8 in any locale; an undecodable byte of a file name becomes \udcXX
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        options = _parse(sys.argv[1:] if arguments is None else arguments)
        _check_hub_settings()
        if options.run in (_run_serve, _run_explain):
            os.environ.setdefault("OMP_NUM_THREADS", "1")  # a thread for each pass (`inference.device.lanes`)
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except UserError as error:
        return _fail(error)
    except ModuleNotFoundError as error:
        return _fail(missing_extra(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `… | head -1`
        _forget_stdout()
        return 141
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        _forget_stdout()
        return _fail(UserError("The results cannot be written: {error}.", error=reason(error)))


def _check_hub_settings() -> None:
    """Raises UserError for a variable at which huggingface_hub would fail, some of them when it is imported."""
    for name, read in (
        ("HF_ENDPOINT", lambda value: urlsplit(value).port),
        ("HF_HUB_DOWNLOAD_TIMEOUT", int),
        ("HF_HUB_ETAG_TIMEOUT", int),
    ):
        value = os.environ.get(name)
        try:
            if value is not None:
                read(value)
        except ValueError:
            raise UserError(
                "{name} is '{value}', which cannot be used; correct it, or unset it.", name=name, value=value
            ) from None


def _forget_stdout() -> None:
    """Let what is still buffered go nowhere: it would raise again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: UserError) -> int:
    """Print an expected failure to stderr; the exit status for it."""
    print(f"googlenet: {in_locale(error)}", file=sys.stderr)
    return 1


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line. A misspelt command or option ends the process with 2 and one sentence."""
    top, commands = _parsers()
    if words and not words[0].startswith("-"):
        if words[0] not in commands:
            _misspelt(top, words[0], commands)
        known = re.findall(r"--[a-z][a-z-]*", commands[words[0]].format_help())
        for word in words[1:]:
            option = word.partition("=")[0]
            if option == "--":
                break
            if option.startswith("--") and not any(each.startswith(option) for each in known):
                _misspelt(commands[words[0]], option, known)
    return top.parse_args(words)


def _misspelt(parser: argparse.ArgumentParser, word: str, known: Iterable[str]) -> NoReturn:
    """End the process with a sentence that names the command or option that was meant."""
    near = difflib.get_close_matches(word, set(known), 1)
    error = (
        UserError("There is no {word}; did you mean {near}?", word=word, near=near[0])
        if near
        else UserError("There is no {word}; see {program} --help.", word=word, program=parser.prog)
    )
    parser.exit(2, f"googlenet: {in_locale(error)}\n")


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of the command line, and those of its commands."""
    top = argparse.ArgumentParser(prog="googlenet", description="Look inside GoogLeNet.")
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="show the page in a browser")
    serve.add_argument("--weights", metavar="SOURCE", help="default: $GOOGLENET_WEIGHTS, else the built-in weights")
    serve.add_argument("--host", metavar="ADDRESS", help="where to listen; default: $GRADIO_SERVER_NAME, else this machine alone")
    serve.add_argument("--port", type=int, metavar="NUMBER", help="default: $GRADIO_SERVER_PORT, else the first free from 7860")
    serve.add_argument("--share", action="store_true", help="also make a public link, through Gradio's tunnel")
    serve.add_argument("--title", metavar="TEXT", help="the page's title; default: $GOOGLENET_TITLE, else Inside GoogLeNet")
    serve.add_argument("--examples", metavar="FOLDER", help="the page's example pictures; default: $GOOGLENET_EXAMPLES")
    serve.set_defaults(run=_run_serve)

    explain = commands.add_parser("explain", help="explain pictures: one line of JSON for each on stdout")
    explain.add_argument(
        "images", nargs="+", metavar="IMAGE", help="picture, folder, - for stdin; with --cluster also a data set"
    )
    explain.add_argument("--weights", metavar="SOURCE", help="default: $GOOGLENET_WEIGHTS, else the built-in weights")
    explain.add_argument("--head", default="main", choices=HEADS[::-1], help="the classifier to explain; default: main")
    explain.add_argument("--target", metavar="CLASS", help="label, index, WordNet number or group; default: the top class")
    explain.add_argument("--contrast", metavar="CLASS", help="explain the target's lead over this class")
    methods = ("grad-cam", "layer-cam")
    explain.add_argument("--method", default="grad-cam", choices=methods, help="layer-cam is sharper at early stages")
    explain.add_argument("--channels", action="store_true", help="also name the channels that speak most for and against it")
    explain.add_argument("--trust", action="store_true", help="also test how far a stage's map can be trusted; takes seconds")
    explain.add_argument("--stage", action="append", choices=STAGES, help="a stage that --trust tests; default: the head's last")
    explain.add_argument("--out", metavar="FOLDER", help="also write overlays, a contact sheet and the maps as .npz there")
    explain.add_argument("--only", choices=("sheet", "overlays", "maps"), help="with --out: write nothing but these")
    explain.add_argument("--full-size", action="store_true", help="overlays as large as the picture, not 2,048 pixels at most")
    explain.add_argument("--format", default="json", choices=("json", "csv", "parquet"), help="of stdout; default: JSON lines")
    cluster = "explain data sets on a Ray cluster, or on one started here; --out is then a folder for Parquet files"
    explain.add_argument("--cluster", nargs="?", const="", metavar="ADDRESS", help=cluster)
    explain.set_defaults(run=_run_explain)

    train = commands.add_parser("train", help="learn from labelled pictures, from a teacher's answers, or from both")
    evaluate = commands.add_parser("evaluate", help="print accuracy and calibration of each head")
    add_arguments(train, evaluate)

    channels = commands.add_parser("channels", help="draw what each channel looks for: a sheet for each stage, and an index")
    channels.add_argument("weights", metavar="WEIGHTS", help="a folder or any other SOURCE")
    channels.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="an interrupted run continues there")
    channels.add_argument("--stage", choices=STAGES, help="draw this stage alone; default: all nine")
    channels.set_defaults(run=_run_channels)

    imports = commands.add_parser("import", help="write any SOURCE as a folder in this program's layout")
    imports.add_argument("source", metavar="SOURCE", help="folder, file, user/repo[@revision][:file] or torchvision")
    imports.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder to write")
    normalise = "how pictures were normalised in training, where the file does not say"
    imports.add_argument("--normalise", choices=("imagenet", "half"), help=normalise)
    imports.add_argument("--overwrite", action="store_true", help="replace what is there")
    imports.set_defaults(run=run_import)

    for command in (serve, explain, imports):
        command.add_argument("--labels", metavar="FILE", help="the classes' names: a line each, a JSON list, a folder of folders")
    for command in (serve, explain, train, evaluate, channels):
        command.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="auto: a GPU if there is one")

    deploy = commands.add_parser("deploy", help="create or update a Hugging Face Space with this page")
    deploy.add_argument("space", metavar="USER/SPACE", help="the Space's name on the Hub")
    deploy.add_argument("--weights", metavar="SOURCE", help="default: $GOOGLENET_WEIGHTS, else the built-in weights")
    deploy.add_argument("--hardware", metavar="NAME", help="such as cpu-basic or t4-small")
    deploy.add_argument("--private", action="store_true", help="make the Space private")
    deploy.add_argument("--title", metavar="TEXT", help="the page's title; default: Inside GoogLeNet")
    deploy.add_argument("--examples", type=Path, metavar="FOLDER", help="the page's example pictures")
    deploy.add_argument("--dry-run", action="store_true", help="print what would be done; needs no token")
    deploy.set_defaults(run=_run_deploy)
    return top, dict(commands.choices)


def _run_serve(options: argparse.Namespace) -> int:
    from googlenet.checkpoints.source import default_source
    from googlenet.ui.server import serve

    own = {
        "labels": options.labels,
        "title": options.title or os.environ.get("GOOGLENET_TITLE"),
        "examples": options.examples or os.environ.get("GOOGLENET_EXAMPLES"),
    }
    given: dict[str, Any] = {name: value for name, value in own.items() if value}
    serve(options.weights or default_source(), options.device, options.host, options.port, options.share, **given)
    return 0


def _run_explain(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from googlenet.batch.files import check_outputs, find_pictures, passed_over
    from googlenet.batch.folders import explain_files
    from googlenet.checkpoints import load
    from googlenet.checkpoints.source import default_source
    from googlenet.inference.explainer import Explainer

    _check_explain(options)
    if options.cluster is not None:
        return _run_cluster(options)
    out = Path(options.out) if options.out else None
    others: Counter[str] = Counter()
    sources, wrong = find_pictures(options.images, out, others)
    for error in [*wrong, *([passed_over(others)] if others else [])]:
        _fail(error)
    if not sources:
        return 1
    if out:
        check_outputs(sources, out, options.only)
    failed = bool(wrong)
    with _output(options.format) as write:
        explainer = Explainer(load(options.weights or default_source(), labels=options.labels), options.device)
        _say_what_is_assumed(explainer.provenance)
        question = _question_of(explainer, options)
        tested = _stages_to_test(explainer, options) if options.trust else ()
        outcomes = explain_files(explainer, question, sources, out, only=options.only, full_size=options.full_size, tested=tested)
        with closing(outcomes), tqdm(total=len(sources), unit="img", disable=len(sources) < 2) as bar:
            for source, outcome in outcomes:
                if isinstance(outcome, UserError):
                    tqdm.write(f"googlenet: {in_locale(outcome)}", file=sys.stderr)
                    failed = True
                write(str(source.path), outcome)
                bar.update()
    return int(failed)


def _check_explain(options: argparse.Namespace) -> None:
    """Raises UserError for an option that would do nothing, and for an empty name, such as that of a variable that is not set."""
    if "" in (*options.images, options.out):
        raise UserError("The name of a picture or of --out is empty; give one.")
    if options.stage and not options.trust:
        raise UserError("--stage names what --trust tests; add --trust.")
    if options.cluster is not None:
        return
    if options.only and not options.out:
        raise UserError("--only chooses among the files that --out writes; add --out.")
    if options.full_size and (not options.out or options.only not in (None, "overlays")):
        raise UserError("--full-size is for overlays; add --out, and no --only but overlays.")
    in_maps = options.out and options.only in (None, "maps")  # the .npz has the channels
    if options.format == "csv" and (options.trust or (options.channels and not in_maps)):
        option = "--trust" if options.trust else "--channels"
        raise UserError("--format csv has no columns for what {option} finds; use json or parquet.", option=option)


def _question_of(explainer: Explainer, options: argparse.Namespace) -> Question:
    """The question that the options ask. A class may be named by its WordNet number. Raises QuestionError."""
    from googlenet.explanation.classes import imagenet_classes

    names = {each.wnid: each.name for each in imagenet_classes()}
    target, contrast = (
        names.get(name, name) if name and name not in explainer.labels else name for name in (options.target, options.contrast)
    )
    return explainer.question(options.head, target, contrast, method=options.method, channels=options.channels)


def _stages_to_test(explainer: Explainer, options: argparse.Namespace) -> Sequence[str]:
    """The stages that --trust tests: those of --stage, else the last that the head sees. Raises QuestionError for others."""
    for stage in options.stage or ():
        explainer.check_stage(options.head, stage)
    return options.stage or STAGES_BEFORE[options.head][-1:]


def _run_cluster(options: argparse.Namespace) -> int:
    from googlenet.batch.cluster import explain_on_cluster
    from googlenet.checkpoints import load
    from googlenet.checkpoints.source import default_source
    from googlenet.inference.explainer import Explainer

    given = {
        "--trust": options.trust,
        "--only": options.only,
        "--full-size": options.full_size,
        "--format": options.format != "json",
        "--device": options.device != "auto",
    }
    if any(given.values()):
        option = next(option for option in given if given[option])
        raise UserError("{option} does not go with --cluster; leave out one of the two.", option=option)
    if not options.out:
        raise UserError("--cluster writes a Parquet table; name its folder with --out.")
    loaded = load(options.weights or default_source(), labels=options.labels)
    question = _question_of(Explainer(loaded, "cpu"), options)
    summary = explain_on_cluster(options.images, options.out, loaded, question, options.cluster or None)
    print(f"{options.out} holds {summary.pictures:,} pictures; {summary.unreadable:,} of them could not be read.")
    return int(summary.unreadable > 0)


@contextmanager
def _output(kind: str) -> Iterator[Callable[[str, Explanation | UserError], None]]:
    """A function that writes a picture's name and result to stdout, as a line of JSON or a row of a table."""
    from googlenet.batch.text import csv_writer, json_writer

    if kind != "parquet":
        yield (csv_writer if kind == "csv" else json_writer)(sys.stdout)
        return
    if sys.stdout.isatty():
        raise UserError("A Parquet table is not for a terminal; write it to a file: … --format parquet > table.parquet")
    from googlenet.batch.table import table_writer

    with table_writer(sys.stdout.buffer) as write:
        yield write


def _run_channels(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from googlenet.inference.explainer import Explainer
    from googlenet.probes.atlas import write_atlas

    explainer = Explainer.from_pretrained(options.weights, device=options.device)
    stages = [options.stage] if options.stage else list(STAGES)
    with tqdm(desc="channels", unit="channel") as bar:
        trunk = explainer.trunk_sha256
        write_atlas(explainer.model, explainer.config.preprocess, trunk, options.out, stages, progress=bar.update)
    return 0


def _say_what_is_assumed(weights: Provenance) -> None:
    """Print which normalisation is assumed, where a file of another layout does not state it."""
    if weights.assumed:
        _fail(
            UserError(
                "{source} does not say how pictures were normalised; {assumed} is assumed, and "
                "`googlenet import --normalise` chooses.",
                source=weights.source,
                assumed=weights.assumed,
            )
        )


def run_import(options: argparse.Namespace) -> int:
    from googlenet.checkpoints import import_weights

    loaded = import_weights(options.source, options.out, options.normalise, options.labels, options.overwrite)
    if options.normalise is None:
        _say_what_is_assumed(loaded.provenance)
    heads = "aux1, aux2 and main" if loaded.config.architecture.aux_heads else "main alone"
    print(f"{options.out} holds {options.source}: {len(loaded.config.labels)} classes, trained heads: {heads}.")
    return 0


def _run_deploy(options: argparse.Namespace) -> int:
    from googlenet.checkpoints.source import default_source
    from googlenet.ui.deploy import deploy

    deploy(
        options.space,
        weights=options.weights or default_source(),
        hardware=options.hardware,
        private=options.private,
        dry_run=options.dry_run,
        title=options.title,
        examples=options.examples,
    )
    return 0
