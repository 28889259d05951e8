"""The digests of the images that the services under test run."""

from machine import DIGESTS, Test, in_parallel, machine, pod


class Digests(Test):
    def test_running_digests_are_published_with_readiness(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        *before, ready = m.published()
        for service, digest in DIGESTS.items():
            self.assertEqual(ready[f"hatchery:digest.{service}"], digest)
        self.assertEqual([key for tags in before for key in tags if "digest" in key], [])
        self.assertEqual(len([key for key in ready if "digest" in key]), 2)

    def test_a_service_that_does_not_run_its_tag_fails(self):
        registry = machine(self).settings["HATCHERY_REGISTRY"]
        tagged, digest = f"{registry}/payments:f-123", f"docker-pullable://{registry}/payments@{DIGESTS['payments']}"
        other = digest.replace("a1", "c3")

        def check(pods, reason):
            m = machine(self)
            m.pods[:2] = pods
            self.assertEqual(m.run(), 1, m.log())
            self.assert_failed(m, f"^services: {reason}$")

        in_parallel(
            check,
            [
                ([], "no pod runs payments"),
                ([pod("app", f"{registry}/payments:main", digest)], "payments runs main instead of f-123"),
                ([pod("app", f"{registry}/payments", digest)], "payments runs latest instead of f-123"),
                ([pod("app", tagged, digest), pod("app", f"{registry}/payments:a", digest)], "payments runs a, f-123 instead of f-123"),
                ([pod("app", "elsewhere/payments:f-123", digest)], "no pod runs payments"),
                ([pod("app", f"{registry}/payments:f-123-debug", digest)], "payments runs f-123-debug instead of f-123"),
                ([pod("app", tagged, digest, phase="Pending")], "no pod runs payments"),
                ([pod("app", tagged, digest), pod("app", tagged, other)], "the pods of payments run images of several digests"),
                ([pod("app", tagged, digest), {**pod("app", tagged, digest), "status": {"phase": "Running"}}], "the pods of payments run .*"),
                ([{**pod("app", tagged, digest), "status": {"phase": "Running"}}], "the digest of payments is unknown"),
                ([pod("app", tagged, "docker://sha256:" + "a" * 64)], "the digest of payments is unknown"),
                ([pod("app", tagged, digest + "0")], "the digest of payments is unknown"),
                ([pod("app", tagged, digest + "\n$(touch owned)")], "the digest of payments is unknown"),
                ([pod("app", f"{registry}/payments:$(touch owned)", digest)], "payments runs .* instead of f-123"),
            ],
        )

    def test_a_pod_that_is_being_replaced_does_not_count(self):
        m = machine(self)
        registry = m.settings["HATCHERY_REGISTRY"]
        m.pods.append(pod("app", f"{registry}/payments:old", "", deletionTimestamp="2026-01-01T00:00:00Z"))
        self.assertEqual(m.run(), 0, m.log())

    def test_a_reboot_keeps_the_digests(self):
        m = machine(self)
        self.assertEqual(m.run(), 0, m.log())
        first = m.published()[-1]
        # A developer may deploy another image later.
        m.pods, m.boot = [], 2
        self.assertEqual(m.run(), 0, m.log())
        self.assertEqual(m.published()[-1], first)
