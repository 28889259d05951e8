"""The bootstrap with the real AWS CLI, against moto. Docker, Minikube, kubectl and Helm stay stubs.

Amazon Linux 2023 has version 2 of the AWS CLI, which is not on PyPI. Version 1 has the same commands, but does not read AWS_REGION.

What differs from AWS:
- moto does not check tag keys that are not allowed in instance metadata, or IAM policies. It accepts any credentials.
- A database of moto is available at once, and a new password is never pending.
- An instance of moto has no operating system, so the test does at a shutdown what EC2 does.
- Writes of moto are visible at once.
"""

import atexit
import datetime
import functools
import importlib.util
import json
import logging
import re
import shlex
import sys
import threading
import time
import unittest

from machine import DIGESTS, PHASES, STACK, Test, machine, rfc3339

MISSING = [package for package in ("awscli", "moto", "flask") if not importlib.util.find_spec(package)]
REGION = "eu-central-1"
# A start of the CLI takes half a second of a processor, which other tests want too.
TIMEOUT = 300
LOG_GROUP = "/hatchery/dev/environments"
DATABASE = {
    "DBInstanceIdentifier": "hatchery-dev-12",
    "DBInstanceClass": "db.t4g.small",
    "Engine": "postgres",
    "MasterUsername": "app",
    "MasterUserPassword": "of-the-source",
    "AllocatedStorage": 20,
}


STARTING = threading.Lock()


def client(service, url):
    import boto3

    # A session of its own, because threads must not share one.
    session = boto3.session.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
    return session.client(service, endpoint_url=url)


@functools.cache
def start_moto():
    """Starts a server with what a fleet has, and returns its URL and the secret's ARN."""
    from moto.server import ThreadedMotoServer

    # Not one line for each request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    atexit.register(server.stop)
    url = "http://{}:{}".format(*server.get_host_and_port())
    client("rds", url).create_db_instance(**DATABASE)
    client("logs", url).create_log_group(logGroupName=LOG_GROUP)
    text = json.dumps({"username": "app", "password": "s3cret", "host": "source", "port": 1})
    secret = client("secretsmanager", url).create_secret(Name="rds!db-1234", SecretString=text)["ARN"]
    client("s3", url).create_bucket(Bucket="charts", CreateBucketConfiguration={"LocationConstraint": REGION})
    client("s3", url).put_object(Bucket="charts", Key="services.yaml", Body=b"kind: List\n")
    return url, secret


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}; .ci/tools installs them")
class AwsCli(Test):
    def setUp(self):
        # The tests share one server, and each has its own instance.
        with STARTING:
            self.url, self.secret = start_moto()

    def client(self, service):
        return client(service, self.url)

    def instance(self, **tags):
        """A machine of an instance of moto. Its metadata has the tags of the instance."""
        m = machine(self, scale="500")
        # moto has tags of aws: only for its own resources.
        m.tags = {key: value for key, value in m.tags.items() if not key.startswith("aws:")} | tags
        [behaviour] = re.findall("InstanceInitiatedShutdownBehavior: (.*)", (STACK / "template.yaml").read_text())
        ec2 = self.client("ec2")
        [image, *_] = ec2.describe_images()["Images"]
        [launched] = ec2.run_instances(
            ImageId=image["ImageId"], MinCount=1, MaxCount=1, InstanceType="t3.2xlarge",
            InstanceInitiatedShutdownBehavior=behaviour,
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in m.tags.items()]}],
        )["Instances"]
        m.instance = launched["InstanceId"]
        m.tags = self.tags_of(m)
        m.settings["HATCHERY_DATABASE_SECRET"] = self.secret
        # As on an instance, credentials come from the metadata service, and no home has a configuration.
        m.environment = {"AWS_ENDPOINT_URL": self.url, "HOME": str(m.root)}
        role = "/latest/meta-data/iam/security-credentials/"
        expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=6)
        credentials = {
            "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIA1234", "SecretAccessKey": "key", "Token": "session",
            "LastUpdated": rfc3339(time.time()), "Expiration": rfc3339(expires.timestamp()),
        }
        m.pages = {role: "hatchery-dev", f"{role}hatchery-dev": json.dumps(credentials)}
        (m.bin / "aws").write_text(f'#!/bin/bash\nexec {shlex.quote(sys.executable)} -m awscli "$@"\n')
        return m

    def tags_of(self, m):
        [reservation] = self.client("ec2").describe_instances(InstanceIds=[m.instance])["Reservations"]
        return {tag["Key"]: tag["Value"] for tag in reservation["Instances"][0]["Tags"]}

    def state_of(self, m):
        [reservation] = self.client("ec2").describe_instances(InstanceIds=[m.instance])["Reservations"]
        return reservation["Instances"][0]["State"]["Name"]

    def shut_down(self, m):
        """What EC2 does when the operating system has shut down."""
        ec2 = self.client("ec2")
        attribute = ec2.describe_instance_attribute(InstanceId=m.instance, Attribute="instanceInitiatedShutdownBehavior")
        after = {"terminate": ec2.terminate_instances, "stop": ec2.stop_instances}
        after[attribute["InstanceInitiatedShutdownBehavior"]["Value"]](InstanceIds=[m.instance])

    def test_phases_and_digests_become_tags(self):
        m = self.instance()
        m.settings["HATCHERY_LOG_GROUP"] = LOG_GROUP
        before = self.tags_of(m)
        self.assertEqual(m.run(timeout=TIMEOUT), 0, m.log())
        tags = self.tags_of(m)
        self.assertEqual({key: tags[key] for key in before}, before)
        self.assertEqual(tags["hatchery:phase"], "ready", m.log())
        self.assertEqual(tags["hatchery:detail"], "all services are healthy")
        self.assertEqual([entry.split("=")[0] for entry in tags["hatchery:timeline"].split(" ")], PHASES)
        self.assertRegex(tags["hatchery:ready-at"], "^20.*Z$")
        self.assertEqual({key[len("hatchery:digest.") :]: tags[key] for key in tags if "digest" in key}, DIGESTS)
        [secret] = m.stdin_of("kubectl", "apply", "-f", "-")
        [database] = self.client("rds").describe_db_instances(DBInstanceIdentifier="hatchery-dev-12")["DBInstances"]
        data = json.loads(secret)["stringData"]
        self.assertEqual(data, {"username": "app", "password": "s3cret", "host": database["Endpoint"]["Address"], "port": "5432"})
        self.assertEqual([text.strip() != "" for text in m.stdin_of("docker", "login")], [True])
        events = self.client("logs").get_log_events(logGroupName=LOG_GROUP, logStreamName="dev-12/bootstrap", startFromHead=True)
        messages = [event["message"] for event in events["events"]]
        self.assertIn("ready: all services are healthy", messages)

    def test_a_new_password_is_set_and_manifests_are_downloaded(self):
        m = self.instance()
        m.settings |= {"HATCHERY_DATABASE_AUTH": "password", "HATCHERY_CHART": "s3://charts/services.yaml"}
        self.assertEqual(m.run(timeout=TIMEOUT), 0, m.log())
        self.assertEqual(self.tags_of(m)["hatchery:phase"], "ready", m.log())
        [secret] = m.stdin_of("kubectl", "apply", "-f", "-")
        self.assertRegex(json.loads(secret)["stringData"]["password"], "^[A-Za-z0-9_-]{28}$")
        self.assertEqual((m.state / "run/manifests/manifests.yaml").read_text(), "kind: List\n")

    def test_a_hostile_tag_fails_with_a_reason(self):
        m = self.instance(**{"hatchery:service.payments": "v1 $(touch owned), 'x\""})
        self.assertEqual(m.run(timeout=TIMEOUT), 1, m.log())
        tags = self.tags_of(m)
        self.assertEqual(tags["hatchery:phase"], "failed")
        self.assertEqual(tags["hatchery:detail"], "booting: the tag hatchery:service.payments is missing or invalid")
        self.assertEqual(list(m.root.rglob("owned")), [])
        self.assertEqual((m.calls("docker"), m.calls("shutdown"), self.state_of(m)), ([], [], "running"))

    def test_an_error_of_aws_is_the_reason(self):
        m = self.instance(**{"hatchery:database": "hatchery-dev-13"})
        m.scale = "200"
        self.assertEqual(m.run(timeout=TIMEOUT), 1, m.log())
        detail = self.tags_of(m)["hatchery:detail"]
        self.assertRegex(detail, r"^database: hatchery-dev-13 cannot be described; .*DBInstanceNotFound.*hatchery-dev-13")

    def test_an_expired_instance_is_terminated(self):
        for hours, state in ((-6, "running"), (-7, "terminated")):
            m = self.instance(**{"hatchery:expires-at": rfc3339(time.time() + hours * 3600)})
            self.assertEqual(m.run("dead-man", timeout=TIMEOUT), 0, m.output)
            for _ in m.calls("shutdown"):
                self.shut_down(m)
            self.assertEqual(self.state_of(m), state, m.output)
            self.assertEqual("no engine terminated it" in self.tags_of(m).get("hatchery:detail", ""), state == "terminated")
