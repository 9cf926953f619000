"""A Hugging Face Space with this page, made or brought up to date in one command."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from googlenet.checkpoints import load
from googlenet.checkpoints.card import read_card
from googlenet.checkpoints.checkpoint import CARD_FILE, CHANNELS_FILES, CONFIG_FILE, WEIGHTS_FILE
from googlenet.checkpoints.hub import PLAIN_HTTP, HubAwayError, fetch_listing, short_reason
from googlenet.checkpoints.source import PACKAGE, Repository, choose, parse_repository, shipped
from googlenet.errors import UserError

VARIABLE = "GOOGLENET_WEIGHTS"
TOP_LEVEL = ("app.py", "requirements.txt", "LICENSE")
BUILD_TIME = 30 * 60.0
"""Seconds that a Space may take to build and start: installing PyTorch takes about five minutes."""


@dataclass(frozen=True)
class Plan:
    """What a Space is to hold."""

    files: dict[str, Path | bytes]
    """path in the Space → where the content is, or the content"""
    variables: dict[str, str]


def deploy(repo_id: str, *, weights: str, hardware: str | None, private: bool, dry_run: bool, package: Path = PACKAGE) -> str:
    """Make or update the Space `user/space` with the program, wait until it runs, print and return its address.

    `package` is the folder of the program's modules, in a checkout or installed.
    Weights on this machine travel along; weights on the Hub are named in the Space's variable and fetched when it is built. A
    dry run prints what would be done and needs neither token nor network. Raises UserError, in one sentence, for whatever a
    person can mend, the Space's own build error among it.
    """
    try:
        validate_repo_id(repo_id)
        user, _ = repo_id.split("/")
    except (HFValidationError, ValueError):
        raise UserError("{space} is not the name of a Space; write user/space.", space=repo_id) from None
    plan = make_plan(weights, package)
    address = f"{constants.ENDPOINT}/spaces/{repo_id}"
    if dry_run:
        print(describe(repo_id, plan, hardware, private))
        return address
    if not get_token():
        raise UserError("There is no token on this machine; set HF_TOKEN to one that may write to {user}.", user=user)
    api = HfApi()
    try:
        require(plan)
        commit = upload(api, repo_id, plan, hardware, private)
        print(f"{repo_id} has the files (commit {commit}); waiting until it runs.")
        wait(api, repo_id, commit)
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise UserError("The token may not write to {space}; set HF_TOKEN to one that may.", space=repo_id) from None
        said = error.server_message.rstrip(".") if error.server_message else short_reason(error)
        raise UserError("The Hub refuses to make {space}: {error}.", space=repo_id, error=said) from None
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) else error  # the library's, around a file that failed
        raise UserError(
            "{space} could not be brought up to date: {error}; try again.", space=repo_id, error=short_reason(cause)
        ) from None
    print(f"Inside GoogLeNet is at {address}")
    return address


def make_plan(weights: str, package: Path) -> Plan:
    """Exactly the files that the Space needs, and its variables."""
    files: dict[str, Path | bytes] = {name: shipped(name, package) for name in TOP_LEVEL}
    for path in sorted(package.rglob("*")):
        parts = path.relative_to(package).parts
        # what an installed package holds of the Space's own files and of the weights goes where a checkout has it
        if path.is_file() and parts[0] not in ("space", "weights") and "__pycache__" not in parts and parts[-1][0] != ".":
            files["/".join(("googlenet", *parts))] = path
    lacking = [name for name, path in files.items() if isinstance(path, Path) and not path.is_file()]
    if lacking:
        raise UserError("{file} of the program is missing; install it anew, or deploy from a checkout.", file=lacking[0])
    card = shipped("README.md", package)
    if os.path.exists(weights):
        load(weights)  # what does not load here would not load there
        files |= {f"weights/{name}": path for name, path in weights_files(Path(weights)).items()}
        return Plan(files | {"README.md": readme(card, None)}, {})
    repository = parse_repository(weights)
    return Plan(files | {"README.md": readme(card, repository)}, {VARIABLE: str(repository)})


def require(plan: Plan) -> None:
    """Raises UserError where the Hub lacks the weights that the Space is to fetch."""
    if VARIABLE in plan.variables:
        repository = parse_repository(plan.variables[VARIABLE])
        try:
            names = [file.rfilename for file in fetch_listing(repository, None).siblings or []]
        except HubAwayError as away:
            raise UserError(
                "The Hub cannot say whether it holds {source}: {why}; try again.", source=repository.id, why=away.why
            ) from None
        if repository.file is None:
            choose(names, repository.id)
        elif repository.file not in names:
            raise UserError("{source} holds no file {file}.", source=repository.id, file=repository.file)


def weights_files(path: Path) -> dict[str, Path]:
    """The files that a SOURCE on this machine consists of, by their names in its folder."""
    folder, name = (
        (path, choose([file.name for file in path.iterdir()], str(path))) if path.is_dir() else (path.parent, path.name)
    )
    beside = (CONFIG_FILE, CARD_FILE, *CHANNELS_FILES) if name.lower().endswith(".safetensors") else ()
    return {file: folder / file for file in (*beside, name) if (folder / file).is_file()}


def readme(path: Path, repository: Repository | None) -> bytes:
    """README.md with the header that Spaces read: the program's own, and the weights to fetch while the Space is built."""
    card = read_card(path)
    if card is None:
        raise UserError("{file} does not begin with the header of a Space.", file=path)
    card.data.pop("preload_from_hub", None)
    if repository:
        card.data["models"] = list(dict.fromkeys([*card.data.get("models", []), repository.id]))
        card.data["preload_from_hub"] = [preload(repository)]
    return str(card).encode()


def preload(repository: Repository) -> str:
    """`repository file,… [commit]`, as Spaces want it; without files the whole repository is fetched."""
    if repository.file:
        names = repository.file
    elif repository.revision:  # the commit's place is the third
        names = f"{CONFIG_FILE},{WEIGHTS_FILE}"
    else:
        return repository.id
    return f"{repository.id} {names}" + (f" {repository.revision}" if repository.revision else "")


def describe(repo_id: str, plan: Plan, hardware: str | None, private: bool) -> str:
    """The dry run: one line for each thing that would be done."""
    sizes = {name: len(c) if isinstance(c, bytes) else c.stat().st_size for name, c in plan.files.items()}
    lines = [f"Space {repo_id}, {'private' if private else 'public'}, hardware {hardware or 'as it is (cpu-basic when new)'}"]
    lines += [f"variable {name}={value}" for name, value in plan.variables.items()]
    lines += [f"file {name} ({sizes[name]:,} bytes)" for name in sorted(plan.files)]
    header = plan.files["README.md"]
    assert isinstance(header, bytes)
    lines += [f"header {line}" for line in header.decode().split("---\n")[1].splitlines()]
    lines.append(f"{len(sizes)} files, {sum(sizes.values()):,} bytes; nothing was sent.")
    return "\n".join(lines)


def upload(api: HfApi, repo_id: str, plan: Plan, hardware: str | None, private: bool) -> str:
    """Create the Space or find it, set it up, and send the files in one commit, whose name is returned."""
    api.create_repo(repo_id, repo_type="space", space_sdk="gradio", private=private or None, exist_ok=True)
    if private:  # one that was there already may be public
        api.update_repo_settings(repo_id, repo_type="space", private=True)
    if VARIABLE in api.get_space_variables(repo_id) and VARIABLE not in plan.variables:
        api.delete_space_variable(repo_id, VARIABLE)
    for name, value in plan.variables.items():
        api.add_space_variable(repo_id, name, value)
    if hardware:
        api.request_space_hardware(repo_id, hardware)  # type: ignore[arg-type]  # newer names than the library knows
    there = set(api.list_repo_files(repo_id, repo_type="space")) - {".gitattributes"}
    changes: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(name, content) for name, content in plan.files.items()
    ]
    changes += [CommitOperationDelete(name) for name in sorted(there - set(plan.files))]
    with PLAIN_HTTP:
        return str(api.create_commit(repo_id, changes, commit_message="Bring up to date", repo_type="space").oid)


def wait(api: HfApi, repo_id: str, commit: str) -> None:
    """Return when the Space runs this commit. Raises UserError with the last line of its log when it does not."""
    deadline = time.monotonic() + BUILD_TIME
    try:
        runtime = api.wait_for_space(repo_id, timeout=BUILD_TIME, poll_interval=2)
        while runtime.stage == "RUNNING" and runtime.raw.get("sha", commit) != commit:  # the one before, for a moment yet
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(2)
            runtime = api.wait_for_space(repo_id, timeout=max(0.0, deadline - time.monotonic()), poll_interval=2)
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
