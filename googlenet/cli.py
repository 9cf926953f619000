"""The command line: serve, explain, train, evaluate, channels, import, deploy.

A command imports what it needs when it runs: `googlenet --help` then starts quickly and needs no extra. `explain` writes results
to stdout and everything else to stderr.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from googlenet import __version__
from googlenet.errors import UserError, missing_extra
from googlenet.errors.korean import in_locale
from googlenet.model.architecture import HEADS, STAGES, STAGES_BEFORE
from googlenet.training.commands import add_arguments

if TYPE_CHECKING:
    from googlenet.explanation import Explanation, Provenance
    from googlenet.inference.explainer import Explainer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after `googlenet`; by default those of this process.

    Returns:
        The exit status: 0; 1 after an expected failure, which is one sentence on stderr; 130 after Ctrl-C; 141 where the reader
        of stdout has closed the pipe. argparse ends the process with 2 where the arguments are wrong.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's matrix products are small here: idle threads would spin
    if isinstance(sys.stdout, io.TextIOWrapper):  # JSON is UTF-8 in any locale; an undecodable byte of a file name becomes \udcXX
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        options = parser().parse_args(arguments)
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except UserError as error:
        return fail(error)
    except ModuleNotFoundError as error:
        return fail(missing_extra(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `… | head -1`; what is still buffered would raise again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def fail(error: UserError) -> int:
    """Print an expected failure to stderr; the exit status for it."""
    print(f"googlenet: {in_locale(error)}", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="googlenet", description="Look inside GoogLeNet.")
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="show the page in a browser")
    serve.add_argument("--weights", metavar="SOURCE", help="default: $GOOGLENET_WEIGHTS, else the built-in weights")
    serve.add_argument("--host", metavar="ADDRESS", help="where to listen; default: $GRADIO_SERVER_NAME, else this machine alone")
    serve.add_argument(
        "--port", type=int, metavar="NUMBER", help="default: $GRADIO_SERVER_PORT, else the first free port from 7860"
    )
    serve.add_argument("--share", action="store_true", help="also make a public link, through Gradio's tunnel")
    serve.set_defaults(run=run_serve)

    explain = commands.add_parser("explain", help="explain pictures: one line of JSON for each on stdout")
    explain.add_argument(
        "images", nargs="+", metavar="IMAGE", help="picture or folder; with --cluster also a data set or its address"
    )
    explain.add_argument("--weights", metavar="SOURCE", help="default: $GOOGLENET_WEIGHTS, else the built-in weights")
    explain.add_argument("--head", default="main", choices=HEADS[::-1], help="the classifier to explain; default: main")
    explain.add_argument("--target", metavar="CLASS", help="label or index; default: the head's top class")
    explain.add_argument("--contrast", metavar="CLASS", help="explain the target's lead over this class")
    explain.add_argument(
        "--channels", action="store_true", help="also name the channels that speak most for and against the class"
    )
    explain.add_argument("--trust", action="store_true", help="also test how far a stage's map can be trusted; takes seconds")
    explain.add_argument(
        "--stage",
        action="append",
        choices=STAGES,
        help="with --trust: a stage to test; may be repeated; default: the head's last",
    )
    explain.add_argument("--out", metavar="FOLDER", help="also write overlays, a contact sheet and the maps as .npz there")
    explain.add_argument("--full-size", action="store_true", help="overlays as large as the picture, not 2,048 pixels at most")
    explain.add_argument("--format", default="json", choices=("json", "parquet"), help="what stdout gets; default: JSON lines")
    explain.add_argument(
        "--cluster",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="explain data sets on a Ray cluster, or on one started here; --out is then a folder for Parquet files",
    )
    explain.set_defaults(run=run_explain)

    train = commands.add_parser("train", help="learn from labelled pictures, from a teacher's answers, or from both")
    evaluate = commands.add_parser("evaluate", help="print accuracy and calibration of each head")
    add_arguments(train, evaluate)

    channels = commands.add_parser("channels", help="draw what each channel looks for: a sheet for each stage, and an index")
    channels.add_argument("weights", metavar="WEIGHTS", help="a folder or any other SOURCE")
    channels.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="an interrupted run continues there")
    channels.add_argument("--stage", choices=STAGES, help="draw this stage alone; default: all nine")
    channels.set_defaults(run=run_channels)

    for command in (serve, explain, train, evaluate, channels):
        command.add_argument(
            "--device",
            default="auto",
            choices=("auto", "cpu", "cuda"),
            help="where to run; auto, the default: a GPU if there is one",
        )

    imports = commands.add_parser("import", help="write any SOURCE as a folder in this program's layout")
    imports.add_argument("source", metavar="SOURCE", help="folder, file or user/repo[@revision][:file]")
    imports.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder to write")
    imports.add_argument(
        "--normalise", choices=("imagenet", "half"), help="how pictures were normalised in training, where the file does not say"
    )
    imports.set_defaults(run=run_import)

    deploy = commands.add_parser("deploy", help="create or update a Hugging Face Space with this page")
    deploy.add_argument("space", metavar="USER/SPACE", help="the Space's name on the Hub")
    deploy.add_argument("--weights", metavar="SOURCE", help="default: $GOOGLENET_WEIGHTS, else the built-in weights")
    deploy.add_argument("--hardware", metavar="NAME", help="such as cpu-basic or zero-a10g")
    deploy.add_argument("--private", action="store_true", help="make the Space private")
    deploy.add_argument("--dry-run", action="store_true", help="print what would be done; needs no token")
    deploy.set_defaults(run=run_deploy)
    return top


def run_serve(options: argparse.Namespace) -> int:
    run_passes_side_by_side()
    from googlenet.checkpoints.source import default_source
    from googlenet.ui.server import serve

    serve(options.weights or default_source(), options.device, options.host, options.port, options.share)
    return 0


def run_passes_side_by_side() -> None:
    """Give each pass one thread, unless the user sets `OMP_NUM_THREADS`: torch reads it at import (`inference.device.lanes`)."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def run_explain(options: argparse.Namespace) -> int:
    run_passes_side_by_side()
    from tqdm import tqdm

    from googlenet.batch.files import check_outputs, find_pictures
    from googlenet.batch.folders import explain_files
    from googlenet.checkpoints.source import default_source
    from googlenet.inference.explainer import Explainer

    if options.stage and not options.trust:
        raise UserError("--stage names what --trust tests; add --trust.")
    if options.cluster is not None:
        return run_cluster(options)
    out = Path(options.out) if options.out else None
    sources, wrong = find_pictures([Path(image) for image in options.images], out)
    for error in wrong:
        fail(error)
    if not sources:
        return 1
    if out:
        check_outputs(sources, out)
    failed = bool(wrong)
    with output(options.format) as write:
        explainer = Explainer.from_pretrained(options.weights or default_source(), device=options.device)
        say_what_is_assumed(explainer.provenance)
        question = explainer.question(options.head, options.target, options.contrast, channels=options.channels)
        tested = stages_to_test(explainer, options) if options.trust else ()
        outcomes = explain_files(explainer, question, sources, out, full_size=options.full_size, tested=tested)
        with closing(outcomes), tqdm(total=len(sources), unit="img", disable=len(sources) < 2) as bar:
            for source, outcome in outcomes:
                if isinstance(outcome, UserError):
                    tqdm.write(f"googlenet: {in_locale(outcome)}", file=sys.stderr)
                    failed = True
                write(str(source.path), outcome)
                bar.update()
    return int(failed)


def stages_to_test(explainer: Explainer, options: argparse.Namespace) -> Sequence[str]:
    """The stages that --trust tests: those of --stage, else the last that the head sees. Raises QuestionError for others."""
    for stage in options.stage or ():
        explainer.check_stage(options.head, stage)
    return options.stage or STAGES_BEFORE[options.head][-1:]


def run_cluster(options: argparse.Namespace) -> int:
    from googlenet.batch.cluster import explain_on_cluster
    from googlenet.checkpoints import load
    from googlenet.checkpoints.source import default_source
    from googlenet.inference.explainer import Explainer

    if options.trust:
        raise UserError("--trust does not run on a cluster; leave out --cluster.")
    if not options.out:
        raise UserError("--cluster writes a Parquet table; name its folder with --out.")
    loaded = load(options.weights or default_source())
    asked = options.head, options.target, options.contrast
    question = Explainer(loaded, "cpu").question(*asked, channels=options.channels)
    summary = explain_on_cluster(options.images, options.out, loaded, question, options.cluster or None)
    print(f"{options.out} holds {summary.pictures:,} pictures; {summary.unreadable:,} of them could not be read.")
    return int(summary.unreadable > 0)


@contextmanager
def output(kind: str) -> Iterator[Callable[[str, Explanation | UserError], None]]:
    """A function that writes a picture's name and result to stdout, as a line of JSON or as a row of a Parquet table."""
    if kind == "json":
        yield write_line
        return
    if sys.stdout.isatty():
        raise UserError("A Parquet table is not for a terminal; write it to a file: … --format parquet > table.parquet")
    from googlenet.batch.table import TableWriter

    with TableWriter(sys.stdout.buffer) as table:
        yield table.write


def write_line(image: str, outcome: Explanation | UserError) -> None:
    if not isinstance(outcome, UserError):
        print(json.dumps(outcome.to_json(image), ensure_ascii=False), flush=True)


def run_channels(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from googlenet.inference.explainer import Explainer
    from googlenet.probes.atlas import write_atlas

    explainer = Explainer.from_pretrained(options.weights, device=options.device)
    stages = [options.stage] if options.stage else list(STAGES)
    with tqdm(desc="channels", unit="channel") as bar:
        trunk = explainer.trunk_sha256
        write_atlas(explainer.model, explainer.config.preprocess, trunk, options.out, stages, progress=bar.update)
    return 0


def say_what_is_assumed(weights: Provenance) -> None:
    """Print which normalisation is assumed, where a file of another layout does not state it."""
    if weights.assumed:
        fail(
            UserError(
                "{source} does not say how pictures were normalised; {assumed} is assumed, and "
                "`googlenet import --normalise` chooses.",
                source=weights.source,
                assumed=weights.assumed,
            )
        )


def run_import(options: argparse.Namespace) -> int:
    from googlenet.checkpoints import import_weights

    loaded = import_weights(options.source, options.out, options.normalise)
    if options.normalise is None:
        say_what_is_assumed(loaded.provenance)
    heads = "aux1, aux2 and main" if loaded.config.architecture.aux_heads else "main alone"
    print(f"{options.out} holds {options.source}: {len(loaded.config.labels)} classes, trained heads: {heads}.")
    return 0


def run_deploy(options: argparse.Namespace) -> int:
    from googlenet.checkpoints.source import default_source
    from googlenet.ui.deploy import deploy

    deploy(
        options.space,
        weights=options.weights or default_source(),
        hardware=options.hardware,
        private=options.private,
        dry_run=options.dry_run,
    )
    return 0
