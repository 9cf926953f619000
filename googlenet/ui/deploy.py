"""Creates or updates a Hugging Face Space with this page."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoCard, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from googlenet.batch.files import find_pictures
from googlenet.checkpoints import load, source
from googlenet.checkpoints.checkpoint import CARD_FILE, CHANNELS_FILES, CONFIG_FILE, WEIGHTS_FILE
from googlenet.checkpoints.hub import HubAwayError, bounded_answers, fetch_listing, short_reason
from googlenet.checkpoints.labels import is_hidden
from googlenet.errors import UserError
from googlenet.ui.uploads import EXAMPLES, examples_in

__all__ = ["deploy"]

_WEIGHTS, _TITLE, _EXAMPLES = _VARIABLES = ("GOOGLENET_WEIGHTS", "GOOGLENET_TITLE", "GOOGLENET_EXAMPLES")
"""What `googlenet serve` reads where its options are not given."""
_TOP_LEVEL = ("app.py", "requirements.txt", "LICENSE")
_CONTENTS = [
    "py.typed",
    "**/*.py",
    "errors/*.json",
    "explanation/*.json",
    "ui/card.jpg",
    "ui/sentences.json",
    *(f"ui/examples/{path.name}" for path in EXAMPLES.values()),
    "ui/examples/README.md",
    "ui/page/*.html",
    "ui/page/*.css",
    "ui/page/*.json",
    "ui/page/js/*.js",
]
"""Files of the package; modules are in folders with an `__init__.py` alone. Whatever else lies there may be secret: it stays."""
_BUILD_TIME = 30 * 60.0
"""Seconds that a Space may take to build and start. Most of it is the installation of PyTorch."""


@dataclass(frozen=True)
class SpaceFiles:
    """The files and variables of a Space."""

    files: dict[str, Path | bytes]
    """path in the Space → the content, or the file that holds it"""
    variables: dict[str, str]
    repository: source.Repository | None
    """that the Space fetches its weights from"""


def deploy(
    repo_id: str,
    *,
    weights: str,
    hardware: str | None,
    private: bool,
    dry_run: bool,
    title: str | None = None,
    examples: Path | None = None,
    package: Path = source.PACKAGE,
) -> str:
    """Create or update a Space with the program, wait until it runs, and print its address, which is returned.

    Weights on this machine are uploaded. Those on the Hub the Space fetches when it is built. `package`: the folder of the
    program's modules, in a checkout or installed. Raises UserError.
    """
    try:
        validate_repo_id(repo_id)
        user, _ = repo_id.split("/")
    except (HFValidationError, ValueError):
        raise UserError("{space} is not the name of a Space; write user/space.", space=repo_id) from None
    space = _collect(weights, title, examples, package)
    address = f"{constants.ENDPOINT}/spaces/{repo_id}"
    if dry_run:
        print(_describe(repo_id, space, hardware, private))
        return address
    if not get_token():
        raise UserError("There is no token on this machine; set HF_TOKEN to one that may write to {user}.", user=user)
    api = HfApi()
    try:
        with bounded_answers():
            if space.repository:
                _require(space.repository)
            commit = _upload(api, repo_id, space, hardware, private)
            print(f"{repo_id} has the files (commit {commit}); waiting until it runs.")
            _wait(api, repo_id, commit)
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise UserError("The token may not write to {space}; set HF_TOKEN to one that may.", space=repo_id) from None
        said = error.server_message.rstrip(".") if error.server_message else short_reason(error)
        raise UserError("The Hub refuses to make {space}: {error}.", space=repo_id, error=said) from None
    except (HubAwayError, HTTPError, OSError, ValueError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) else error  # the library's, around a file that failed
        why = error if isinstance(error, HubAwayError) else short_reason(cause)
        raise UserError("{space} could not be brought up to date: {error}; try again.", space=repo_id, error=why) from None
    print(f"Inside GoogLeNet is at {address}")
    return address


def _collect(weights: str, title: str | None, examples: Path | None, package: Path) -> SpaceFiles:
    """The files that the Space needs, and its variables. Raises UserError where a file is missing or a folder has no pictures."""
    files: dict[str, Path | bytes] = {name: path for name in _TOP_LEVEL if (path := source.shipped(name, package)).is_file()}
    root = package.resolve()
    for path in sorted(path for pattern in _CONTENTS for path in root.glob(pattern)):
        inside = path.relative_to(root)
        parts = inside.parts
        module = all((root / folder / "__init__.py").is_file() for folder in inside.parents) or path.suffix != ".py"
        # an installed package holds the Space's own files inside; they are added above
        if parts[0] != "space" and module and not any(map(is_hidden, parts)) and path.resolve() == path:  # no link
            files["/".join(("googlenet", *parts))] = path
    for name in (*_TOP_LEVEL, "googlenet/cli.py"):
        if name not in files:
            raise UserError("{file} of the program is missing; install it anew, or deploy from a checkout.", file=name)
    variables = {_TITLE: title} if title else {}
    if examples:
        examples_in(examples)  # raises here what the Space would raise later
        pictures, _ = find_pictures([examples])
        files |= {f"examples/{each.path.relative_to(examples).as_posix()}": each.path for each in pictures}
        variables[_EXAMPLES] = "examples"
    repository: source.Repository | None = None
    match source.parse_source(weights):
        case source.Folder(path) | source.File(path) as local:
            load(local)  # raises here what the Space would raise later
            files |= {f"weights/{name}": file for name, file in _weights_files(path).items()}
            if isinstance(local, source.File) and local.key:
                variables[_WEIGHTS] = f"weights/{path.name}:{local.key}"
        case source.Repository() as remote:
            repository, variables[_WEIGHTS] = remote, str(remote)
        case source.Torchvision():
            variables[_WEIGHTS] = source.TORCHVISION_SOURCE
    return SpaceFiles(
        files | {"README.md": _readme(source.shipped("README.md", package), title, repository)}, variables, repository
    )


def _require(repository: source.Repository) -> None:
    """Raises UserError where the Hub lacks the weights that the Space is to fetch."""
    try:
        names = [file.rfilename for file in fetch_listing(repository, None).siblings or []]
    except HubAwayError as away:
        raise UserError(
            "The Hub cannot say whether it holds {source}: {why}; try again.", source=repository.id, why=away
        ) from None
    if repository.file is None:
        source.choose(names, repository.id)
    elif repository.file not in names:
        raise UserError("{source} holds no file {file}.", source=repository.id, file=repository.file)


def _weights_files(path: Path) -> dict[str, Path]:
    """The files that a SOURCE on this machine consists of, by their names in its folder."""
    folder, name = (
        (path, source.choose([file.name for file in path.iterdir()], str(path))) if path.is_dir() else (path.parent, path.name)
    )
    beside = (CONFIG_FILE, CARD_FILE, *CHANNELS_FILES) if name.lower().endswith(".safetensors") else ()
    return {file: folder / file for file in (*beside, name) if (folder / file).is_file()}


def _readme(path: Path, title: str | None, repository: source.Repository | None) -> bytes:
    """README.md, whose header names the Space and the weights to fetch. It states no licence: the user chooses one."""
    text = path.read_text("utf-8")
    if not text.startswith("---\n"):
        raise UserError("{file} does not begin with the header of a Space.", file=path)
    card = RepoCard(text)
    for field in ("license", "models", "preload_from_hub"):
        card.data.pop(field, None)
    if title:
        card.data["title"] = title
    if repository:
        card.data["models"] = [repository.id]
        card.data["preload_from_hub"] = [_preload(repository)]
    return str(card).encode()


def _preload(repository: source.Repository) -> str:
    """`repository file,… [commit]`, the header's syntax for a download. Without files the Space downloads everything."""
    if repository.file:
        names = repository.file
    elif repository.revision:  # a commit must follow a list of files
        names = f"{CONFIG_FILE},{WEIGHTS_FILE}"
    else:
        return repository.id
    return f"{repository.id} {names}" + (f" {repository.revision}" if repository.revision else "")


def _describe(repo_id: str, space: SpaceFiles, hardware: str | None, private: bool) -> str:
    """What a dry run prints: one line for each variable, file and line of the header."""
    sizes = {name: len(c) if isinstance(c, bytes) else c.stat().st_size for name, c in space.files.items()}
    lines = [f"Space {repo_id}, {'private' if private else 'public'}, hardware {hardware or 'as it is (cpu-basic when new)'}"]
    lines += [f"variable {name}={value}" for name, value in space.variables.items()]
    lines += [f"file {name} ({sizes[name]:,} bytes)" for name in sorted(space.files)]
    header = space.files["README.md"]
    assert isinstance(header, bytes)
    lines += [f"header {line}" for line in header.decode().split("---\n")[1].splitlines()]
    lines.append(f"{len(sizes)} files, {sum(sizes.values()):,} bytes; nothing was sent.")
    return "\n".join(lines)


def _upload(api: HfApi, repo_id: str, space: SpaceFiles, hardware: str | None, private: bool) -> str:
    """Create the Space where there is none, set it up, and send the files in one commit. Returns the commit's hash."""
    api.create_repo(repo_id, repo_type="space", space_sdk="gradio", private=private or None, exist_ok=True)
    if private:  # an existing Space may be public
        api.update_repo_settings(repo_id, repo_type="space", private=True)
    for name in api.get_space_variables(repo_id).keys() & set(_VARIABLES) - space.variables.keys():
        api.delete_space_variable(repo_id, name)
    for name, value in space.variables.items():
        api.add_space_variable(repo_id, name, value)
    if hardware:
        api.request_space_hardware(repo_id, hardware)  # type: ignore[arg-type]  # the Hub may offer more names than the library lists
    there = set(api.list_repo_files(repo_id, repo_type="space")) - {".gitattributes"}
    changes: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(name, content) for name, content in space.files.items()
    ]
    changes += [CommitOperationDelete(name) for name in sorted(there - set(space.files))]
    return str(api.create_commit(repo_id, changes, commit_message="Bring up to date", repo_type="space").oid)


def _wait(api: HfApi, repo_id: str, commit: str) -> None:
    """Return when the Space runs this commit. Raises UserError with the last line of its log when it does not."""
    deadline = time.monotonic() + _BUILD_TIME
    try:
        while True:
            runtime = api.wait_for_space(repo_id, timeout=max(0.0, deadline - time.monotonic()), poll_interval=2)
            if runtime.stage != "RUNNING" or runtime.raw.get("sha", commit) == commit:
                break
            if time.monotonic() > deadline:  # the previous commit still runs
                raise TimeoutError
            time.sleep(2)
    except TimeoutError:
        raise UserError("{space} is still not running after half an hour; look at its log.", space=repo_id) from None
    if runtime.stage == "RUNNING":
        return
    try:
        found = api.fetch_space_logs(repo_id, build=runtime.stage == "BUILD_ERROR")
        log = [line.strip().rstrip(".") for line in found if line.strip()]
    except (HTTPError, OSError):
        log = []
    raise UserError(
        "{space} does not run ({stage}): {log}.", space=repo_id, stage=runtime.stage, log=log[-1] if log else "it left no log"
    )
