"""Services that plain manifests in S3 deploy instead of a chart."""

import json
import shutil
import subprocess
import unittest

from machine import Test, in_parallel, machine

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "payments"},
    "spec": {"template": {"spec": {"containers": []}}},
}


def with_manifests(case):
    m = machine(case)
    m.settings["HATCHERY_CHART"] = "s3://bucket/manifests/shop.yaml"
    return m


class Manifests(Test):
    def test_manifests_are_applied_with_the_tags_under_test(self):
        m = with_manifests(self)
        self.assertEqual(m.run(), 0, m.log())
        [download] = m.calls("aws", "s3", "cp")
        self.assertEqual(download[3:], ["s3://bucket/manifests/shop.yaml", f"{m.state}/run/manifests/manifests.yaml"])
        [applied] = m.calls("kubectl", "apply", "--kustomize")
        self.assertEqual(applied[3], f"{m.state}/run/manifests")
        [kustomization] = map(json.loads, m.stdin_of("kubectl", "apply", "--kustomize"))
        registry = m.settings["HATCHERY_REGISTRY"]
        self.assertEqual(kustomization["resources"], ["manifests.yaml"])
        self.assertCountEqual(
            kustomization["images"],
            [{"name": f"{registry}/payments", "newTag": "f-123"}, {"name": f"{registry}/web-shop", "newTag": "v1.2.3_rc"}],
        )
        self.assertEqual(m.calls("helm"), [])
        self.assert_ready(m)

    @unittest.skipUnless(shutil.which("kubectl"), "kubectl is not installed")
    def test_kubectl_sets_the_tags(self):
        m = with_manifests(self)
        registry = m.settings["HATCHERY_REGISTRY"]
        # A number would be YAML's.
        m.tags["hatchery:service.payments"] = "1.20"
        m.pods[:2] = []
        images = [f"{registry}/payments:main", f"{registry}/payments-worker:main", f"{registry}/web-shop", "docker.io/library/redis:8"]
        deployment = json.loads(json.dumps(DEPLOYMENT))
        deployment["spec"]["template"]["spec"]["containers"] = [{"name": f"c{n}", "image": image} for n, image in enumerate(images)]
        m.manifests = json.dumps(deployment)
        m.run()
        rendered = subprocess.run(
            ["kubectl", "kustomize", m.state / "run/manifests"], capture_output=True, text=True, check=True
        ).stdout
        found = {line.split("image: ")[1] for line in rendered.splitlines() if "image: " in line}
        self.assertEqual(found, {f"{registry}/payments:1.20", images[1], f"{registry}/web-shop:v1.2.3_rc", images[3]})

    def test_a_failure_fails_the_services(self):
        def check(command, reason):
            m = with_manifests(self)
            m.faults = {command: "fail"}
            self.assertEqual(m.run(), 1, m.log())
            self.assert_failed(m, f"^services: {reason}; boom from")

        in_parallel(
            check,
            [("aws s3", "cannot download s3://bucket/manifests/shop.yaml"), ("kubectl apply --kustomize", "cannot apply the manifests")],
        )

    def test_a_reboot_applies_nothing(self):
        m = with_manifests(self)
        self.assertEqual(m.run(), 0, m.log())
        m.boot = 2
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(len(m.calls("kubectl", "apply", "--kustomize")), 1)
