"""A small HTTP server that speaks the Hub's protocol for writing: repositories made, files sent in commits, Spaces set up."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"
LARGE = 1_000_000
"""Files from this size up go the way of Git LFS."""


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def oid(data: bytes) -> str:
    """What the Hub calls a file's content by: Git's digest, or that of Git LFS."""
    return hashlib.sha256(data).hexdigest() if len(data) >= LARGE else git_sha1(data)


@dataclass
class Repo:
    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0
    sdk: str | None = None
    hardware: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    stages: list[str] = field(default_factory=lambda: ["BUILDING", "APP_STARTING", "RUNNING"])
    """what the Space says of itself, one word for each time it is asked; the last one stays;
    `RUNNING old` is the commit before"""


class UploadServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Repo] = {}
        """`spaces/user/name` or `models/user/name` → what is there"""
        self.large: dict[str, bytes] = {}
        self.log: list[tuple[str, str]] = []
        self.faults: dict[str, int] = {}
        """pattern of a path → status that is answered instead"""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: UploadServer

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, found: Any = None, status: int = 200, **headers: str) -> None:
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def handle_one(self, routes: dict[str, str]) -> None:
        """Read the request, turn away whoever has no token, and call the method whose pattern the path matches."""
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        self.server.log.append((self.command, path))
        needs_token = not path.startswith(("/api/validate-yaml", "/put/"))
        if needs_token and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "Invalid username or password."}, 401)
        for pattern, status in self.server.faults.items():
            if re.search(pattern, path):
                return self.answer({"error": "so the tests want it"}, status)
        for pattern, method in routes.items():
            if found := re.fullmatch(pattern, path):
                return getattr(self, method)(body, *found.groups())
        return self.answer({"error": f"{self.command} {path} is unknown here"}, 404)

    def do_GET(self) -> None:
        self.handle_one(
            {
                r"/api/((?:models|spaces)/[^/]+/[^/]+)/tree/[^/]+": "tree",
                r"/api/((?:models|spaces)/[^/]+/[^/]+)(?:/revision/([^/]+))?": "info",
                r"/api/(spaces/[^/]+/[^/]+)/variables": "list_variables",
                r"/api/(spaces/[^/]+/[^/]+)/runtime": "runtime",
                r"/api/(spaces/[^/]+/[^/]+)/logs/(build|run)": "logs",
            }
        )

    def do_POST(self) -> None:
        self.handle_one(
            {
                r"/api/validate-yaml": "validate",
                r"/api/repos/create": "create",
                r"/api/((?:models|spaces)/[^/]+/[^/]+)/preupload/[^/]+": "preupload",
                r"/(?:spaces/)?[^/]+/[^/]+\.git/info/lfs/objects/batch": "batch",
                r"/verify": "verify",
                r"/api/((?:models|spaces)/[^/]+/[^/]+)/commit/[^/]+": "commit",
                r"/api/(spaces/[^/]+/[^/]+)/variables": "set_variable",
                r"/api/(spaces/[^/]+/[^/]+)/hardware": "set_hardware",
            }
        )

    def do_PUT(self) -> None:
        self.handle_one({r"/put/([0-9a-f]+)": "put", r"/api/(spaces/[^/]+/[^/]+)/settings": "settings"})

    def do_DELETE(self) -> None:
        self.handle_one({r"/api/(spaces/[^/]+/[^/]+)/variables": "delete_variable"})

    def tree(self, _: bytes, name: str) -> None:
        files = self.server.repos[name].files.items()
        self.answer([{"type": "file", "path": path, "size": len(data), "oid": oid(data)} for path, data in files])

    def info(self, _: bytes, name: str, revision: str | None) -> None:
        if name not in self.server.repos:
            return self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        repo = self.server.repos[name]
        commit = revision if revision and len(revision) == 40 else f"{repo.commits:040x}"
        self.answer({"id": name.partition("/")[2], "sha": commit, "siblings": [{"rfilename": f} for f in repo.files]})

    def list_variables(self, _: bytes, name: str) -> None:
        self.answer({key: {"value": value} for key, value in self.server.repos[name].variables.items()})

    def runtime(self, _: bytes, name: str) -> None:
        repo = self.server.repos[name]
        stage, _, old = (repo.stages.pop(0) if len(repo.stages) > 1 else repo.stages[0]).partition(" ")
        commit = "0" * 40 if old else f"{repo.commits:040x}"
        self.answer({"stage": stage, "sha": commit, "hardware": {"current": "cpu-basic", "requested": repo.hardware}})

    def logs(self, _: bytes, name: str, kind: str) -> None:
        lines = ["Collecting nonsense\n", f"ERROR: the {kind} of {name} failed\n"]
        events = "".join(f"data: {json.dumps({'data': line, 'timestamp': '2026-01-01T00:00:00Z'})}\n\n" for line in lines)
        self.answer(events.encode(), Content_Type="text/event-stream")

    def validate(self, body: bytes) -> None:
        self.answer({"warnings": [], "errors": []})

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked.get('type', 'model')}s/{asked['organization']}/{asked['name']}"
        url = f"{self.server.url}/{name.removeprefix('models/')}"
        if name in self.server.repos:
            return self.answer({"error": "You already created this repo", "url": url}, 409)
        files = {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n", "old.txt": b"stale"}
        self.server.repos[name] = Repo(asked.get("visibility") == "private", files, sdk=asked.get("sdk"))
        return self.answer({"url": url})

    def preupload(self, body: bytes, name: str) -> None:
        present = self.server.repos[name].files
        self.answer(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["size"] >= LARGE else "regular",
                        "shouldIgnore": False,
                        "oid": oid(present[file["path"]]) if file["path"] in present else None,
                    }
                    for file in json.loads(body)["files"]
                ]
            }
        )

    def batch(self, body: bytes) -> None:
        objects = []
        for asked in json.loads(body)["objects"]:
            put, verify = {"href": f"{self.server.url}/put/{asked['oid']}"}, {"href": f"{self.server.url}/verify"}
            missing = asked["oid"] not in self.server.large
            objects.append(asked | ({"actions": {"upload": put, "verify": verify}} if missing else {}))
        self.answer({"transfer": "basic", "objects": objects})

    def put(self, body: bytes, digest: str) -> None:
        if hashlib.sha256(body).hexdigest() != digest:
            return self.answer({"error": "not what was announced"}, 400)
        self.server.large[digest] = body
        return self.answer()

    def verify(self, body: bytes) -> None:
        asked = json.loads(body)
        self.answer(None, 200 if len(self.server.large.get(asked["oid"], b"")) == asked["size"] else 404)

    def commit(self, body: bytes, name: str) -> None:
        repo = self.server.repos[name]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repo.files[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del repo.files[value["path"]]
        repo.commits += 1
        commit = f"{repo.commits:040x}"
        self.answer({"success": True, "commitOid": commit, "commitUrl": f"{self.server.url}/{name}/commit/{commit}"})

    def set_variable(self, body: bytes, name: str) -> None:
        sent = json.loads(body)
        self.server.repos[name].variables[sent["key"]] = sent["value"]
        self.list_variables(body, name)

    def delete_variable(self, body: bytes, name: str) -> None:
        del self.server.repos[name].variables[json.loads(body)["key"]]
        self.list_variables(body, name)

    def set_hardware(self, body: bytes, name: str) -> None:
        flavor = json.loads(body)["flavor"]
        if flavor not in ("cpu-basic", "t4-small"):
            return self.answer({"error": f"Invalid hardware flavor: {flavor}"}, 400)
        self.server.repos[name].hardware = flavor
        return self.answer({"stage": "BUILDING"})

    def settings(self, body: bytes, name: str) -> None:
        self.server.repos[name].private = json.loads(body)["visibility"] == "private"
        self.answer({})
