"""The switch that shuts an expired instance down."""

import time

from machine import INSTANCE, UNREACHABLE, Test, in_parallel, machine, rfc3339


class DeadMan(Test):
    LIMIT = 900 + 6 * 3600

    def dead_man(self, expired=None, value=None, age=30, **settings):
        m = machine(self, scale="10")
        if expired is not None:
            value = rfc3339(time.time() - expired)
        m.tags["hatchery:expires-at"] = value
        if value is None:
            del m.tags["hatchery:expires-at"]
        m.launched = time.time() - age
        m.settings.update(settings)
        self.assertEqual(m.run("dead-man"), 0, m.output)
        return m

    def test_before_and_after_the_expiry(self):
        for expired, down in ((-3600, False), (60, False), (self.LIMIT - 60, False), (self.LIMIT + 60, True)):
            with self.subTest(expired=expired):
                m = self.dead_man(expired)
                self.assertEqual(m.calls("shutdown"), [["shutdown", "-h", "now"]] if down else [], m.output)
                if down:
                    calls = [call[:3] for call in m.calls()]
                    self.assertEqual(calls, [["aws", "ec2", "create-tags"], ["shutdown", "-h", "now"]])
                    self.assertRegex(m.published()[0]["hatchery:detail"], "^shutting down: expired at 20.*, and no engine")

    def test_the_hard_cap(self):
        m = self.dead_man(-3600, age=604800 + 60)
        self.assertEqual(m.published()[0], {"hatchery:detail": "shutting down: older than 604800 s"})
        self.assertEqual(len(m.calls("shutdown")), 1)

    def test_an_unreadable_expiry_leaves_the_hard_cap(self):
        hostile = [None, "", "soon", "$(touch owned)", "2020-01-01", "2020-13-45T99:00:00Z", "a[$(touch owned)]", "2020-01-01T00:00:00Z\nx"]

        def check(value, age, down):
            m = self.dead_man(value=value, age=age)
            self.assertEqual(len(m.calls("shutdown")), down, (value, m.output))
            self.assertEqual([file for file in m.root.rglob("owned")], [])

        in_parallel(check, [(value, age, down) for value in hostile for age, down in ((3600, 0), (604800 + 60, 1))])

    def test_damaged_settings_leave_the_defaults(self):
        damaged = {"HATCHERY_HARD_CAP": "x[$(touch owned)]", "HATCHERY_GRACE": "", "HATCHERY_CHART": "", "HATCHERY_REGISTRY": ""}
        self.assertEqual(self.dead_man(self.LIMIT - 60, **damaged).calls("shutdown"), [])
        self.assertEqual(len(self.dead_man(self.LIMIT + 60, **damaged).calls("shutdown")), 1)
        self.assertEqual(len(self.dead_man(-3600, age=691200 + 60, **damaged).calls("shutdown")), 1)

    def test_leading_zeros_are_decimal(self):
        self.assertEqual(len(self.dead_man(-3600, age=100, HATCHERY_HARD_CAP="0000099").calls("shutdown")), 1)

    def test_durations_have_units(self):
        self.assertEqual(len(self.dead_man(-3600, age=7 * 86400 + 60, HATCHERY_HARD_CAP="7d").calls("shutdown")), 1)
        self.assertEqual(self.dead_man(-3600, age=7 * 86400 - 60, HATCHERY_HARD_CAP="7d").calls("shutdown"), [])
        self.assertEqual(len(self.dead_man(7 * 3600 + 60, HATCHERY_GRACE="1h").calls("shutdown")), 1)
        self.assertEqual(self.dead_man(7 * 3600 - 60, HATCHERY_GRACE="60m").calls("shutdown"), [])

    def test_a_failing_publication_does_not_prevent_the_shutdown(self):
        for fault in ("fail", "hang"):
            m = machine(self, scale="10")
            m.tags["hatchery:expires-at"] = rfc3339(time.time() - self.LIMIT - 60)
            m.faults = {"aws": fault}
            m.run("dead-man")
            self.assertEqual(len(m.calls("shutdown")), 1, m.output)

    def test_without_metadata_the_first_launch_counts(self):
        for age, down in ((3600, 0), (604800 + 60, 1)):
            m = machine(self, scale="1")
            (m.state / "launched").write_text(str(int(time.time() - age)))
            (m.state / "instance").write_text(INSTANCE)
            m.endpoint = UNREACHABLE
            m.run("dead-man")
            self.assertEqual(len(m.calls("shutdown")), down, m.output)

    def test_a_restart_does_not_move_the_hard_cap(self):
        m = machine(self)
        (m.state / "launched").write_text(str(int(time.time() - 604800 - 60)))
        (m.state / "instance").write_text(INSTANCE)
        m.run("dead-man")
        self.assertEqual(len(m.calls("shutdown")), 1, m.output)

    def test_an_unknown_subcommand_is_refused(self):
        m = machine(self)
        self.assertEqual(m.run("dead-mn"), 2)
        self.assertEqual(m.calls(), [])
