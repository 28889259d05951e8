"""The command that proposes newer versions, against a server that stands in for its upstreams."""

import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

from machine import STACK

ROOT = STACK.parents[1]
COMMAND = ROOT / ".ci/newer-versions"
FILES = (
    "src/stack/base-image.yaml",
    "src/stack/minikube.flags",
    "src/stack/tools.yaml",
    ".ci/tools",
    "tests/support/ministack.rs",
    "tests/support/moto.rs",
    "tests/wire/first_hour.rs",
    "tests/wire/stack.rs",
)
BINARY = "/release/{}/bin/linux/amd64/kubectl.sha256"


def release(tag, **kind):
    return {"tag_name": tag, "prerelease": False, "draft": False, **kind}


def checksum(character):
    return character * 64


class Upstreams(http.server.ThreadingHTTPServer):
    """Serves pages by path. A registry's pages need a token, which the server issues."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.links = {}
        self.pages = {
            "/api.github.com/repos/kubernetes/minikube/releases?per_page=100": [
                release("v1.40.0-beta.0"), release("v1.41.0", prerelease=True), release("v1.42.0", draft=True), release("v1.9.2"),
                release("v1.39.0"), release("v1.38.1"),
            ],
            "/raw.githubusercontent.com/kubernetes/minikube/v1.39.0/pkg/minikube/constants/constants.go":
                '\tDefaultKubernetesVersion = "v1.36.2"\n\tNewestKubernetesVersion = "v1.37.0-rc.1"\n',
            "/github.com/kubernetes/minikube/releases/download/v1.39.0/minikube-linux-amd64.sha256": checksum("a") + "\n",
            "/api.github.com/repos/helm/helm/releases?per_page=100": [
                release("v4.0.1"), release("v3.20.0-rc.1"), release("v3.19.10"), release("v3.19.9"),
            ],
            "/get.helm.sh/helm-v3.19.10-linux-amd64.tar.gz.sha256sum": checksum("b") + "  helm-v3.19.10-linux-amd64.tar.gz\n",
            "/dl.k8s.io/release/stable.txt": "v1.39.0",
            "/dl.k8s.io/release/stable-1.37.txt": "v1.37.4",
            "/dl.k8s.io/release/v1.37.4/bin/linux/amd64/kubectl.sha256": checksum("c"),
        }
        self.repository("registry-1.docker.io", "kubernetesui/dashboard", ["v2.7.0", "v2.7.0-rc.1", "latest"])
        self.repository("registry-1.docker.io", "amir20/dozzle", ["v10.10.0", "v10.9.1", "v10", "v10.11", "v11.0.0", "v10.12.0-beta"])
        # 1.29 is not a stable version of nginx.
        self.repository("public.ecr.aws", "docker/library/nginx", ["1.28-alpine", "1.30-alpine", "1.31-alpine", "1.30-alpine-perl", "1.32"])
        fluent_bit = "/public.ecr.aws/v2/aws-observability/aws-for-fluent-bit/tags/list?n=1000"
        self.repository("public.ecr.aws", "aws-observability/aws-for-fluent-bit", ["2.34.3.20260623", "stable"])
        self.pages[f"{fluent_bit}&last=stable"] = {"tags": ["2.34.4.20260801", "arm64-2.34.5.20260801"]}
        self.links[fluent_bit] = f'<{fluent_bit.removeprefix("/public.ecr.aws")}&last=stable>; rel="next"'
        for crate in ("cargo-deny", "cargo-machete", "cargo-deb", "cargo-generate-rpm"):
            numbers = ["0.99.1", "3.99.1", "0.99.2-rc.1", "0.98.0", "3.98.0"]
            versions = [{"num": number, "yanked": False} for number in numbers] + [{"num": "0.100.0", "yanked": True}]
            self.pages[f"/crates.io/api/v1/crates/{crate}"] = {"versions": versions}
        versions = {"0.1.999": {}, "0.1.998": {}, "0.2.0": {"deprecated": "broken"}, "0.2.0-beta.1": {}}
        self.pages["/registry.npmjs.org/@cloud-copilot/iam-simulate"] = {"versions": versions}
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def repository(self, host, name, tags):
        self.pages[f"/{host}/v2/{name}/tags/list?n=1000"] = {"tags": tags}


class Handler(http.server.BaseHTTPRequestHandler):
    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        pages = self.server.pages
        if self.path.startswith("/token?"):
            return self.reply(200, json.dumps({"token": "anonymous"}).encode())
        if "/v2/" in self.path and self.headers.get("Authorization") != "Bearer anonymous":
            return self.reply(401, WWW_Authenticate=f'Bearer realm="{self.server.url}/token",service="registry"')
        if "/manifests/" in self.path:
            return self.reply(200, Docker_Content_Digest="sha256:" + checksum("d"))
        page = pages.get(self.path)
        if page is None and self.path.startswith("/pypi.org/pypi/"):
            file = {"yanked": False}
            page = {"releases": {"98.0": [file], "99.0.1": [file], "99.1": [{"yanked": True}], "100.0rc1": [file], "99.2": []}}
            # Below the major version of the pin as well.
            page["releases"] |= {f"{major}.999": [file] for major in range(98)}
        if page is None:
            return self.reply(404)
        text = page if isinstance(page, str) else json.dumps(page)
        link = self.server.links.get(self.path)
        return self.reply(200, text.encode(), **({"Link": link} if link else {}))

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


class NewerVersions(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="newer-versions-"))
        self.addCleanup(shutil.rmtree, self.root)
        for file in FILES:
            (self.root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, self.root / file)
        self.before = self.texts()
        self.upstreams = Upstreams()
        self.addCleanup(self.upstreams.server_close)
        self.addCleanup(self.upstreams.shutdown)

    def texts(self):
        return {file: (self.root / file).read_text() for file in FILES}

    def propose(self, *arguments, mirror=None):
        command = [sys.executable, str(COMMAND), "--root", str(self.root), "--mirror", mirror or self.upstreams.url, *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=50)
        self.assertEqual(done.stderr, "")
        head, *lines = [line.split(maxsplit=3) for line in done.stdout.splitlines()]
        self.assertEqual(head, ["what", "pinned", "newest", "checksum"])
        return done.returncode, {what: (newest, rest) for what, _, newest, rest in lines}

    def test_newer_versions_are_proposed(self):
        status, lines = self.propose()
        self.assertEqual(status, 0, lines)
        digest = "sha256:" + checksum("d")
        expected = {
            "minikube": ("v1.39.0", checksum("a")),
            "kubectl": ("v1.37.4", checksum("c")),
            "helm": ("v3.19.10", checksum("b") + " (v4.0.1 is a new major version)"),
            "kubernetesui/dashboard": ("v2.7.0", digest),
            "amir20/dozzle": ("v10.10.0", digest + " (v11.0.0 is a new major version)"),
            "docker/library/nginx": ("1.30-alpine", digest),
            "aws-observability/aws-for-fluent-bit": ("2.34.4.20260801", digest),
            "cargo-deny": ("0.99.1", "- (3.99.1 is a new major version)"),
            "cargo-deb": ("3.99.1", "-"),
            "@cloud-copilot/iam-simulate": ("0.1.999", "-"),
            "awscli": ("1.999", "- (99.0.1 is a new major version)"),
            "microburst": ("0.999", "- (99.0.1 is a new major version)"),
        }
        self.assertEqual({what: lines[what] for what in expected}, expected)
        self.assertEqual(self.texts(), self.before)

    def test_write_changes_the_pins_only(self):
        status, _ = self.propose("--write")
        self.assertEqual(status, 0)
        after = self.texts()
        base = after["src/stack/base-image.yaml"]
        for text in ("MinikubeVersion: { type: string, value: v1.39.0 }", f"MinikubeSha256: {{ type: string, value: {checksum('a')} }}",
                     "KubectlVersion: { type: string, value: v1.37.4 }", f"HelmSha256: {{ type: string, value: {checksum('b')} }}"):
            self.assertIn(text, base)
        self.assertIn("image: docker.io/amir20/dozzle:v10.10.0\n", after["src/stack/tools.yaml"])
        self.assertIn("cargo_tool cargo-deny 0.99.1\n", after[".ci/tools"])
        # moto is pinned in two files.
        self.assertRegex(after[".ci/tools"], r"moto\[[a-z0-9,]*server[a-z0-9,]*\]==5\.999[ \"]")
        self.assertRegex(after["tests/support/moto.rs"], r'moto\[server[a-z0-9,]*\]==5\.999"')
        for file in FILES:
            before, now = self.before[file].splitlines(), after[file].splitlines()
            self.assertEqual(len(before), len(now))
            changed = [line for line, other in zip(before, now) if line != other]
            self.assertEqual([line for line in changed if not any(char.isdigit() for char in line)], [])
        self.assertEqual(self.propose("--write")[0], 0)
        self.assertEqual(self.texts(), after)

    def test_an_upstream_that_fails_is_one_line(self):
        del self.upstreams.pages["/get.helm.sh/helm-v3.19.10-linux-amd64.tar.gz.sha256sum"]
        status, lines = self.propose("--write")
        self.assertEqual(status, 1)
        self.assertEqual(lines["helm"][0], "?")
        self.assertRegex(lines["helm"][1], r"/get\.helm\.sh/helm-v3\.19\.10-linux-amd64\.tar\.gz\.sha256sum answers 404$")
        self.assertEqual([what for what, (newest, _) in lines.items() if newest == "?"], ["helm"])
        base = self.texts()["src/stack/base-image.yaml"]
        self.assertIn("HelmVersion: { type: string, value: v3.19.0 }", base)
        self.assertIn("MinikubeVersion: { type: string, value: v1.39.0 }", base)

    def test_without_a_network_each_line_says_so(self):
        status, lines = self.propose("--write", mirror="http://127.0.0.1:9")
        self.assertEqual(status, 1)
        self.assertGreater(len(lines), 15)
        for what, (newest, reason) in lines.items():
            self.assertEqual(newest, "?", what)
            self.assertIn("the upstream cannot be reached", reason)
        self.assertEqual(self.texts(), self.before)

    def test_answers_that_do_not_fit_are_refused(self):
        pages = self.upstreams.pages
        minikube = "/api.github.com/repos/kubernetes/minikube/releases?per_page=100"
        pages["/get.helm.sh/helm-v3.19.10-linux-amd64.tar.gz.sha256sum"] = "<html>"
        pages["/registry.npmjs.org/@cloud-copilot/iam-simulate"] = {"versions": {'0.2.0"; touch owned': {}}}
        pages["/crates.io/api/v1/crates/cargo-deny"] = ["\x1b[31m"]
        pages["/crates.io/api/v1/crates/cargo-deb"] = {"versions": [{"num": "3.0.1", "yanked": False}]}
        # The pinned version with another checksum.
        pages[minikube] = [release("v1.38.1"), release("v1.39.0\nv1")]
        pages["/github.com/kubernetes/minikube/releases/download/v1.38.1/minikube-linux-amd64.sha256"] = checksum("e")
        status, lines = self.propose("--write")
        self.assertEqual(status, 1)
        reasons = {
            "helm": "has no SHA-256",
            "@cloud-copilot/iam-simulate": "the upstream has no stable version like 0.1.",
            "cargo-deny": "is not understood",
            "cargo-deb": "the newest version that fits is 3.0.1, which is older than the pinned one",
            "minikube": f"the checksum {checksum('e')} of the upstream differs from the pinned one",
            "kubectl": "answers 404",
        }
        for what, reason in reasons.items():
            self.assertEqual(lines[what][0], "?", what)
            self.assertIn(reason, lines[what][1])
        self.assertTrue(all(text.isprintable() for line in lines.values() for text in line))

    def test_kubectl_is_within_one_minor_of_the_cluster(self):
        def check(cluster, stable, expected):
            upstreams = Upstreams()
            self.addCleanup(upstreams.server_close)
            self.addCleanup(upstreams.shutdown)
            constants = "/raw.githubusercontent.com/kubernetes/minikube/v1.39.0/pkg/minikube/constants/constants.go"
            upstreams.pages[constants] = f'\tDefaultKubernetesVersion = "v{cluster}"\n'
            upstreams.pages["/dl.k8s.io/release/stable.txt"] = stable
            for minor in range(30, 45):
                upstreams.pages[f"/dl.k8s.io/release/stable-1.{minor}.txt"] = f"v1.{minor}.7"
                upstreams.pages["/dl.k8s.io" + BINARY.format(f"v1.{minor}.7")] = checksum("c")
            self.assertEqual(self.propose(mirror=upstreams.url)[1]["kubectl"][0], expected)

        cases = [("1.36.2", "v1.36.3", "v1.36.7"), ("1.36.2", "v1.37.0", "v1.37.7"), ("1.36.2", "v1.40.0", "v1.37.7")]
        cases += [("1.36.2", "v2.0.0", "?"), ("1.33.0", "v1.40.0", "?")]
        with ThreadPoolExecutor(max_workers=3) as pool:
            list(pool.map(lambda case: check(*case), cases))

    def test_a_pinned_kubernetes_version_counts(self):
        with (self.root / "src/stack/minikube.flags").open("a") as flags:
            flags.write(" --kubernetes-version=v1.35.2")
        self.upstreams.pages["/dl.k8s.io/release/stable-1.36.txt"] = "v1.36.9"
        self.upstreams.pages["/dl.k8s.io" + BINARY.format("v1.36.9")] = checksum("f")
        self.assertEqual(self.propose()[1]["kubectl"], ("v1.36.9", checksum("f")))
