"""The kubeconfig of a developer."""

import base64
import json

from machine import Test, in_parallel, machine

TOKEN = ("kubectl", "create", "token", "developer")


class Kubeconfig(Test):
    def test_the_kubeconfig_has_an_expiring_token(self):
        m = machine(self)
        self.assertEqual(m.run("kubeconfig"), 0, m.output)
        config = json.loads(m.output)
        [cluster], [user], [context] = config["clusters"], config["users"], config["contexts"]
        self.assertEqual((config["apiVersion"], config["kind"]), ("v1", "Config"))
        self.assertEqual(cluster["cluster"]["server"], "https://hatchery.internal:8443")
        self.assertEqual(base64.b64decode(cluster["cluster"]["certificate-authority-data"]), b"certificate\n")
        self.assertEqual(user["user"], {"token": "header.payload.signature"})
        self.assertEqual(context["context"], {"cluster": cluster["name"], "user": user["name"], "namespace": "default"})
        self.assertEqual(config["current-context"], context["name"])
        [call] = m.calls(*TOKEN)
        self.assertEqual(call[call.index("--duration") + 1], "28800s")
        self.assertEqual([argument for call in m.calls() for argument in call if "signature" in argument], [])
        self.assertEqual(m.published(), [])

    def test_the_lifetime_is_bounded(self):
        def check(seconds, status):
            m = machine(self)
            self.assertEqual(m.run("kubeconfig", seconds), status, m.output)
            durations = [call[call.index("--duration") + 1] for call in m.calls(*TOKEN)]
            self.assertEqual(durations, [] if status else [f"{seconds}s"])
            if status:
                self.assertIn("600 to 43200", m.output)
            self.assertEqual([file for file in m.root.rglob("owned")], [])

        valid = [(seconds, 0) for seconds in ("600", "3600", "43200")]
        invalid = ["599", "43201", "0", "-1", "", "1h", "0600", "999999999999999999999", "a[$(touch owned)]", "600\n", "--help"]
        in_parallel(check, valid + [(seconds, 2) for seconds in invalid])

    def test_a_failure_prints_no_kubeconfig(self):
        def check(command):
            m = machine(self)
            m.faults = {command: "fail"}
            self.assertEqual(m.run("kubeconfig"), 1, m.output)
            self.assertIn("boom from kubectl", m.output)
            self.assertIn("cannot create the kubeconfig", m.output)
            self.assertNotIn("apiVersion", m.output)

        in_parallel(check, [("kubectl get configmap",), (" ".join(TOKEN),)])
