"""A small HTTP server that speaks as much of the Hub's protocol as its client uses here, and misbehaves when told to.

Reading: model info, resolve (HEAD and GET), a store of large files under another host name, ranges. Writing: create, preupload,
LFS batch, upload, verify, commit, and a Space's variables, hardware, runtime and build log.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_secretsecretsecret"
LARGE = 1_000_000
"""Files from this size up are stored apart, as Git LFS does."""


def git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repo:
    """A repository: commits by name, branches and tags, and how the server treats it."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    fault: str = ""
    """what goes wrong: see `Handler`"""
    claimed_size: int | None = None
    """what the listing says of the weights' size"""
    space: dict[str, Any] = field(default_factory=dict)
    """what a Space was created with, its variables and its stages to come"""

    def commit(self, files: dict[str, bytes]) -> str:
        name = hashlib.sha1(json.dumps([len(self.commits), sorted(files)]).encode() + b"".join(files.values())).hexdigest()
        self.commits[name] = files
        self.refs["main"] = name
        return name

    def resolve(self, revision: str) -> str | None:
        return self.refs.get(revision, revision if revision in self.commits else None)


class HubServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[tuple[str, str], Repo] = {}
        self.lfs: dict[str, bytes] = {}
        self.log: list[tuple[str, str, bool]] = []
        """(method, path, whether a token came along) of every request"""
        self.fault = ""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def model(self, name: str, files: dict[str, bytes], **options: Any) -> Repo:
        """A new model repository with one commit."""
        repo = self.repos["models", name] = Repo(**options)
        repo.commit(files)
        return repo

    def files_of(self, kind: str, name: str) -> dict[str, bytes]:
        repo = self.repos[kind, name]
        return repo.commits[repo.refs["main"]]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    """Faults of a repository:
    info-500, info-slow, info-html, no-commit, other-commit; resolve-500, revoked, gone; cut, once-cut, longer, shorter, endless,
    wrong-bytes, slow-file."""

    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *_: Any) -> None:
        pass

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def json(self, found: Any, status: int = 200, **headers: str) -> None:
        self.reply(status, json.dumps(found).encode(), Content_Type="application/json", **headers)

    def error(self, status: int, code: str, message: str = "") -> None:
        self.json({"error": message or code}, status, X_Error_Code=code, X_Error_Message=message or code)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    @property
    def trusted(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.log.append((self.command, path, "Authorization" in self.headers))
        if self.server.fault == "hang-up":
            self.close_connection = True
            return
        if found := re.fullmatch(r"/api/(models|spaces)/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self.info(found[1], found[2], found[3] or "main")
        elif found := re.fullmatch(r"/api/(models|spaces)/([^/]+/[^/]+)/tree/([^/]+)/?", path):
            self.tree(found[1], found[2], found[3])
        elif found := re.fullmatch(r"/api/spaces/([^/]+/[^/]+)/runtime", path):
            stages = self.server.repos["spaces", found[1]].space["stages"]
            self.json({"stage": stages.pop(0) if len(stages) > 1 else stages[0], "hardware": {"current": "cpu-basic"}})
        elif found := re.fullmatch(r"/api/spaces/([^/]+/[^/]+)/logs/(build|run)", path):
            event = {"data": "ERROR: No matching distribution found for nonsense\n", "timestamp": "2026-01-01T00:00:00Z"}
            self.reply(200, f"data: {json.dumps(event)}\n\n".encode(), Content_Type="text/event-stream")
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(found[1], found[2], found[3])
        elif found := re.fullmatch(r"/store/([^/]+/[^/]+)/([0-9a-f]+)", path):
            self.store(found[1], found[2])
        else:
            self.error(404, "NotFound", path)

    def allowed(self, repo: Repo | None) -> bool:
        """Answer for a repository that is not there, or that the token does not open: the Hub says the same of both."""
        if self.headers.get("Authorization") and not self.trusted:
            self.json({"error": "Unauthorized"}, 401, X_Error_Message="Invalid credentials in Authorization header")
            return False
        if repo is None or (repo.private and not self.trusted):
            if self.trusted:
                self.error(404, "RepoNotFound", "Repository not found")
            else:
                self.json({"error": "Invalid username or password."}, 401, X_Error_Message="Invalid username or password.")
            return False
        return True

    def info(self, kind: str, name: str, revision: str) -> None:
        repo = self.server.repos.get((kind, name))
        if not self.allowed(repo):
            return
        assert repo is not None
        commit = repo.resolve(revision)
        if repo.fault == "info-500":
            return self.error(500, "InternalError")
        if repo.fault == "info-slow":
            time.sleep(3)
        if repo.fault == "info-html":
            return self.reply(200, b"<html>Welcome to the hotel!</html>", Content_Type="text/html")
        if commit is None:
            return self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        siblings = []
        for path, data in repo.commits[commit].items():
            sibling: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": git_digest(data)}
            if len(data) >= LARGE:
                sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
                sibling["size"] = repo.claimed_size or len(data)
            siblings.append(sibling)
        said = {"no-commit": "", "other-commit": "0" * 40}.get(repo.fault, commit)
        self.json({"id": name, "modelId": name, "sha": said, "private": repo.private, "siblings": siblings, "tags": []}
                  | {"gated": "manual" if repo.gated else False})  # fmt: skip

    def tree(self, kind: str, name: str, revision: str) -> None:
        repo = self.server.repos[kind, name]
        files = repo.commits[repo.resolve(revision) or ""] if repo.commits else {}
        self.json([{"type": "file", "path": p, "size": len(d), "oid": git_digest(d)} for p, d in files.items()])

    def resolve(self, name: str, revision: str, path: str) -> None:
        repo = self.server.repos.get(("models", name))
        if not self.allowed(repo):
            return
        assert repo is not None
        if repo.gated and not self.trusted:
            return self.error(401, "GatedRepo", "Access to this model is restricted")
        if repo.fault == "revoked":
            return self.error(403, "GatedRepo", "Access to this model is restricted")
        if repo.fault == "resolve-500":
            return self.error(501, "InternalError")  # a number that the client does not try again for half a minute
        commit = repo.resolve(revision)
        if commit is None:
            return self.error(404, "RevisionNotFound")
        data = repo.commits[commit].get(path)
        if data is None or repo.fault == "gone":
            return self.error(404, "EntryNotFound")
        if len(data) < LARGE:
            return self.reply(200, data, X_Repo_Commit=commit, ETag=f'"{git_digest(data)}"')
        digest = hashlib.sha256(data).hexdigest()
        self.server.lfs[digest] = data
        said = {"X_Linked_Size": str(len(data)), "X_Linked_Etag": f'"{digest}"', "X_Repo_Commit": commit}
        if repo.fault == "endless":
            del said["X_Linked_Size"]
        self.reply(302, Location=f"http://localhost:{self.server.server_port}/store/{name}/{digest}", **said)

    def store(self, name: str, digest: str) -> None:
        """The large files' store: another host name, so that a token must not come along."""
        repo, data = self.server.repos["models", name], self.server.lfs[digest]
        if repo.fault == "wrong-bytes":
            data = data[:-1000] + bytes(1000)
        if repo.fault == "endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(bytes(1 << 20))
        start = int(found[1]) if (found := re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        part = data[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        length = len(part) + {"longer": 1000, "shorter": -1000}.get(repo.fault, 0)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if repo.fault in ("cut", "once-cut"):
            repo.fault = "" if repo.fault == "once-cut" else repo.fault
            part = part[: len(part) * 9 // 10]
            self.close_connection = True
        if repo.fault == "slow-file":
            self.wfile.write(part[:1000])
            time.sleep(4)
        self.wfile.write(part[:length])
        if repo.fault == "longer":
            self.close_connection = True

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self.body()
        self.server.log.append(("POST", path, "Authorization" in self.headers))
        if path == "/api/validate-yaml":
            return self.json({"warnings": [], "errors": []})
        if not self.trusted:
            return self.json({"error": "Unauthorized"}, 401, X_Error_Message="Invalid username or password.")
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if found := re.fullmatch(r"/api/(models|spaces)/([^/]+/[^/]+)/preupload/([^/]+)", path):
            present = self.files(found[1], found[2])
            files = [
                {"path": f["path"], "uploadMode": "lfs" if f["size"] >= LARGE else "regular", "shouldIgnore": False}
                | {"oid": git_digest(present[f["path"]]) if f["path"] in present else None}
                for f in json.loads(body)["files"]
            ]
            return self.json({"files": files})
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = []
            for asked in json.loads(body)["objects"]:
                actions = {"upload": {"href": f"{self.server.url}/put/{asked['oid']}"}}
                actions["verify"] = {"href": f"{self.server.url}/verify"}
                known = asked["oid"] in self.server.lfs
                objects.append({"oid": asked["oid"], "size": asked["size"]} | ({} if known else {"actions": actions}))
            return self.json({"transfer": "basic", "objects": objects})
        if path == "/verify":
            asked = json.loads(body)
            return self.reply(200 if len(self.server.lfs.get(asked["oid"], b"")) == asked["size"] else 404)
        if found := re.fullmatch(r"/api/(models|spaces)/([^/]+/[^/]+)/commit/([^/]+)", path):
            return self.take(found[1], found[2], [json.loads(line) for line in body.splitlines()])
        if found := re.fullmatch(r"/api/spaces/([^/]+/[^/]+)/(variables|hardware)", path):
            space, sent = self.server.repos["spaces", found[1]].space, json.loads(body)
            if found[2] == "variables":
                space.setdefault("variables", {})[sent["key"]] = sent["value"]
                return self.json({key: {"value": value} for key, value in space["variables"].items()})
            space["hardware"] = sent["flavor"]
            return self.json({"stage": "BUILDING"})
        return self.error(404, "NotFound", path)

    def do_DELETE(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self.body()
        self.server.log.append(("DELETE", path, "Authorization" in self.headers))
        found = re.fullmatch(r"/api/spaces/([^/]+/[^/]+)/variables", path)
        assert found
        variables = self.server.repos["spaces", found[1]].space.setdefault("variables", {})
        variables.pop(json.loads(body)["key"], None)
        self.json({key: {"value": value} for key, value in variables.items()})

    def do_PUT(self) -> None:
        body = self.body()
        digest = hashlib.sha256(body).hexdigest()
        self.server.log.append(("PUT", self.path, "Authorization" in self.headers))
        if self.path != f"/put/{digest}":
            return self.reply(400)
        self.server.lfs[digest] = body
        self.reply(200)

    def files(self, kind: str, name: str) -> dict[str, bytes]:
        return self.server.files_of(kind, name)

    def create(self, asked: dict[str, Any]) -> None:
        kind, name = asked.get("type", "model") + "s", f"{asked['organization']}/{asked['name']}"
        url = f"{self.server.url}/{'spaces/' if kind == 'spaces' else ''}{name}"
        if (kind, name) in self.server.repos:
            return self.json({"error": "You already created this repo", "url": url}, 409)
        repo = self.server.repos[kind, name] = Repo(private=asked.get("visibility") == "private", space=dict(asked))
        repo.space["stages"] = ["BUILDING", "APP_STARTING", "RUNNING"]
        repo.space["variables"] = {v["key"]: v["value"] for v in asked.get("variables", [])}
        repo.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n", "old.txt": b"stale"})
        self.json({"url": url, "name": name})

    def take(self, kind: str, name: str, lines: list[dict[str, Any]]) -> None:
        """A commit, as lines of JSON: files inline, large files by digest, deletions."""
        files = dict(self.files(kind, name))
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.lfs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        commit = self.server.repos[kind, name].commit(files)
        self.json({"success": True, "commitOid": commit, "commitUrl": f"{self.server.url}/{name}/commit/{commit}"})
