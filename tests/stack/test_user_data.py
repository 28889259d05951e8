"""The user data of the launch template: cloud-init's own schema accepts it, and it writes the settings and the script."""

import base64
import gzip
import re
import shutil
import subprocess
import tempfile
import textwrap
import unittest

from machine import NAMESPACE, SCRIPT, STACK, TOOLS_FILE, Test, machine

try:
    import yaml
except ImportError:
    yaml = None

PARAMETERS = {
    "Registry": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team",
    "Chart": "oci://123456789012.dkr.ecr.eu-central-1.amazonaws.com/charts/shop:1.4.0",
    "DatabaseSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-0a1b2c3d-x7Yz",
    "DatabaseAuth": "iam",
    "FleetName": "dev",
    "HardCap": "8d",
}

# Runs a command on a disk of its own: /etc and /var/lib are the machine's, and changes to them are lost with the mount namespace.
OWN_DISK = r"""
root=$1 path=$PATH PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir "$root/changes" && mount -t tmpfs tmpfs "$root/changes" || exit 77
for directory in /etc /var/lib; do
    mkdir -p "$root/changes$directory/"{upper,work}
    mount -t overlay -o "lowerdir=$directory,upperdir=$root/changes$directory/upper,workdir=$root/changes$directory/work" \
        overlay "$directory" || exit 77
done
mkdir -p /etc/systemd/system && mount -t tmpfs tmpfs /etc/systemd/system || exit 77
cp -r "$root/disk/." /
unset HATCHERY_STATE_DIR HATCHERY_FLEET_ENV HATCHERY_MINIKUBE_FLAGS_FILE HATCHERY_TOOLS_FILE HATCHERY_UNIT_DIR
PATH=$path "${@:2}"
status=$?
mkdir "$root/after"
cp -r /var/lib/hatchery /etc/systemd/system/hatchery* "$root/after"
exit "$status"
"""


def without_comments():
    """The script as the template has it."""
    return re.sub(r"^ *#(?!!).*\n", "", SCRIPT.read_text(), flags=re.MULTILINE)


def user_data():
    """The text that an instance gets: CloudFormation substitutes the parameters, the binary the script."""
    template = (STACK / "template.yaml").read_text()
    [block] = re.findall(r"^        UserData:\n          Fn::Base64: !Sub \|\n((?: {12}.*\n|\n)+)", template, re.MULTILINE)
    script = base64.b64encode(gzip.compress(without_comments().encode(), 9)).decode()
    text = textwrap.dedent(block).replace("@bootstrap.sh@", script)
    return re.sub(r"\$\{(\w+)\}", lambda name: PARAMETERS[name[1]], text)


# Amazon Linux 2023 has cloud-init 22.2. The version here is the one that the distribution has, which is 22.4 or later.
@unittest.skipUnless(shutil.which("cloud-init"), "cloud-init is not on the PATH; .ci/tools installs it where there is apt-get")
class Schema(unittest.TestCase):
    def validate(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            command = ["cloud-init", "schema", "--config-file", file.name]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
        return done.returncode, done.stdout

    def test_cloud_init_accepts_the_user_data(self):
        status, output = self.validate(user_data())
        self.assertEqual(status, 0, output)
        self.assertNotRegex(output, "deprecated|deprecations")

    def test_cloud_init_refuses_broken_user_data(self):
        text = user_data()
        for good, bad, reason in (
            ('permissions: "0700"', "permissions: 0700", "permissions"),
            ("encoding: gz+b64", "encoding: zstd", "encoding"),
            ("- path: /etc/hatchery/fleet.env", "- file: /etc/hatchery/fleet.env", "path"),
            ("- [bash, ", "- [7, ", "runcmd"),
            ("#cloud-config", "# cloud-config", "cloud-config"),
        ):
            with self.subTest(bad):
                self.assertIn(good, text)
                status, output = self.validate(text.replace(good, bad, 1))
                self.assertNotEqual(status, 0)
                self.assertIn(reason, output)


@unittest.skipUnless(yaml, "PyYAML is not installed")
class UserData(Test):
    def setUp(self):
        self.text = user_data()
        self.files = {file["path"]: file for file in yaml.safe_load(self.text)["write_files"]}

    def test_the_script_is_intact_and_executed(self):
        file = self.files["/var/lib/hatchery/bootstrap.sh"]
        self.assertEqual(gzip.decompress(base64.b64decode(file["content"])).decode(), without_comments())
        self.assertEqual(int(file["permissions"], 8), 0o700)
        self.assertEqual(yaml.safe_load(self.text)["runcmd"], [["bash", "/var/lib/hatchery/bootstrap.sh"]])

    def test_it_is_within_the_limit_of_ec2(self):
        # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html
        self.assertLessEqual(len(self.text.encode()), 16 * 1024)

    def test_the_bootstrap_accepts_the_settings(self):
        m = machine(self)
        m.settings = dict(line.split("=", 1) for line in self.files["/etc/hatchery/fleet.env"]["content"].splitlines())
        self.assertEqual(m.settings["HATCHERY_HARD_CAP"], "8d")
        self.assertEqual(m.run(), 0, m.log())
        self.assert_ready(m)

    @unittest.skipUnless(NAMESPACE, "there is no mount namespace for a disk of the test's own")
    def test_an_instance_uses_the_files_at_their_paths(self):
        m = machine(self)
        for path, file in self.files.items():
            content = file["content"]
            content = gzip.decompress(base64.b64decode(content)).decode() if file.get("encoding") == "gz+b64" else content
            self.write(m, path, content)
        # These are in the image.
        self.write(m, "/etc/hatchery/minikube.flags", "--driver=docker --static-ip=192.168.7.7")
        self.write(m, "/etc/hatchery/tools.yaml", TOOLS_FILE.read_text())
        m.script = yaml.safe_load(self.text)["runcmd"][0][1]
        m.wrapper = ["/bin/bash", "-c", OWN_DISK, "own-disk", str(m.root)]
        status = m.run()
        if status == 77:
            self.skipTest(f"overlay file systems cannot be mounted: {m.output}")
        after = m.root / "after"
        log = (after / "hatchery/bootstrap.log").read_text()
        self.assertEqual(status, 0, m.output + log)
        self.assert_ready(m)
        self.assertEqual(m.calls("minikube", "start"), [["minikube", "start", "--driver=docker", "--static-ip=192.168.7.7"]])
        self.assertIn(TOOLS_FILE.read_text(), "".join(m.stdin_of("kubectl", "apply", "-f", "-")))
        self.assertIn("ExecStart=/bin/bash /var/lib/hatchery/bootstrap.sh %i\n", (after / "hatchery@.service").read_text())
        self.assertEqual((m.survivors(), list(m.state.glob("[!b]*"))), ([], []))

    def write(self, m, path, text):
        file = m.root / "disk" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
