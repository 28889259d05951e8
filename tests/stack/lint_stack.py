"""Checks a rendered template with checkov, cloudsplaining and parliament: lint_stack.py TEMPLATE

Every finding needs an answer in src/stack/findings.toml, and every answer a finding; otherwise the exit code is 1. No AWS account and no
network are used.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import tomllib

import parliament
from cloudsplaining.output.policy_finding import PolicyFinding
from cloudsplaining.scan.policy_document import PolicyDocument
from policy_documents import policy_documents

# A wildcard in a policy has hundreds of findings.
SHOWN = 50
ANSWERS = pathlib.Path(__file__).resolve().parents[2] / "src/stack/findings.toml"

# The resource is a resource of the template, or `<policy>/<statement> <action>`.
Finding = collections.namedtuple("Finding", "tool check resource")


def checkov(template):
    """Yields the findings of checkov, also those that a comment in the template skips."""
    command = [sys.executable, "-m", "checkov.main", "--file", template, "--framework", "cloudformation"]
    options = ["--output", "json", "--compact", "--soft-fail", "--skip-download"]
    with tempfile.TemporaryDirectory() as home:
        # Without the user's settings and keys, whose findings would differ from those of others.
        environment = {"PATH": os.environ["PATH"], "HOME": home, "LOG_LEVEL": "ERROR"}
        process = subprocess.run(command + options, check=False, cwd=home, env=environment, capture_output=True, text=True)
    if process.returncode != 0:
        sys.exit(f"checkov failed: {process.stderr}")
    report = json.loads(process.stdout)
    results = report.get("results", {})
    if not results.get("passed_checks") or results["parsing_errors"]:
        sys.exit(f"checkov did not read the template: {report}")
    for result in results["failed_checks"] + results["skipped_checks"]:
        yield Finding("checkov", result["check_id"], result["resource"].rpartition(".")[2])


def cloudsplaining(name, document):
    """Yields the findings of cloudsplaining in a policy of an identity."""
    if any("Principal" in statement for statement in document["Statement"]):
        return
    for check, result in PolicyFinding(PolicyDocument(document)).results.items():
        # The other value is a list of services.
        if isinstance(result, dict):
            for found in result["findings"]:
                subject = found["type"] if isinstance(found, dict) else found
                yield Finding("cloudsplaining", check, f"{name} {subject}")


def parliament_findings(name, document):
    """Yields the findings of parliament, with its additional auditors, in a policy."""
    policy = parliament.analyze_policy_string(json.dumps(document), include_community_auditors=True)
    groups = [(name, policy._findings)]
    for number, statement in enumerate(policy.statements, 1):
        groups.append((f"{name}/{statement.sid or number}", statement.findings))
    for place, findings in groups:
        for finding in findings:
            for subject in subjects(finding):
                yield Finding("parliament", finding.issue, f"{place} {subject}".rstrip())


def subjects(finding):
    """Returns what a finding of parliament is about: actions, the way to escalate privileges, or a text."""
    if "type" in finding.location:
        return [finding.location["type"]]
    if "actions" in finding.location:
        actions = finding.location["actions"]
        return [actions] if isinstance(actions, str) else actions
    if isinstance(finding.detail, list):
        return [item["action"] if isinstance(item, dict) else item for item in finding.detail]
    return [finding.detail or ""]


def answered(path):
    """Returns the findings that the file answers."""
    findings = set()
    for answer in tomllib.loads(path.read_text())["answers"]:
        if not answer["reason"].strip().endswith("."):
            sys.exit(f"the reason of an answer is a sentence: {answer}")
        findings |= {Finding(answer["tool"], answer["check"], resource) for resource in answer["resources"]}
    return findings


def main(template):
    findings = set(checkov(template))
    documents = list(policy_documents(template))
    for name, document in documents:
        findings |= {*cloudsplaining(name, document), *parliament_findings(name, document)}
    answers = answered(ANSWERS)
    for title, difference in [("not answered", findings - answers), ("answered, but not found", answers - findings)]:
        for finding in sorted(difference)[:SHOWN]:
            print(f"{title}: {' '.join(finding)}")
        if len(difference) > SHOWN:
            print(f"{title}: {len(difference) - SHOWN} more")
    if findings != answers:
        sys.exit(f"Mend the template, or update {ANSWERS.name}.")
    policies = {name for name, _ in documents}
    print(f"{len(findings)} findings in the template and its {len(policies)} policies, all answered")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
