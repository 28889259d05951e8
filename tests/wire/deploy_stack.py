"""Deploys the template on stdin to the emulator at AWS_ENDPOINT_URL, and prints the policies that it created, by their names, as JSON.

The argument is the emulator's name. AWS creates the whole template, and cfn-lint checks it against AWS's schemas; the emulators do not
have everything. With `restrict`, the script prints the template without what the emulator lacks. What each of them lacks is in LEFT_OUT and IGNORED, and the script fails unless these lists are exact: everything else
is created, and what is on them is in the template and is not. Of the properties, only those of `properties` are looked at.
"""

import ast
import io
import json
import sys
import zipfile

import boto3
import yaml
from botocore.exceptions import ClientError, WaiterError

STACK = "hatchery-dev"
# Neither emulator has it.
IMAGE_BUILDER = dict.fromkeys(
    [
        "AWS::ImageBuilder::Component",
        "AWS::ImageBuilder::DistributionConfiguration",
        "AWS::ImageBuilder::ImagePipeline",
        "AWS::ImageBuilder::ImageRecipe",
        "AWS::ImageBuilder::InfrastructureConfiguration",
        "AWS::ImageBuilder::LifecyclePolicy",
    ],
    "has no Image Builder, so no image is built from what the stack says; tests/stack runs the scripts",
)

# Types that the emulator cannot create, with what it has instead. Their resources are removed from the template.
LEFT_OUT = {
    "moto": {
        "AWS::CloudWatch::Alarm": "has alarms, but not in stacks",
        "AWS::EC2::SecurityGroupEgress": "has no egress rules in stacks, so groups allow all egress",
        **IMAGE_BUILDER,
        "AWS::Lambda::EventInvokeConfig": "has the settings of invocations, but not in stacks",
        "AWS::Scheduler::Schedule": "has schedules, but not in stacks, and runs none",
    },
    "ministack": {
        "AWS::EC2::SecurityGroupEgress": "has rules inside of their group only",
        "AWS::EC2::SecurityGroupIngress": "has rules inside of their group only, so the environments' group admits nothing",
        **IMAGE_BUILDER,
        "AWS::SSM::Document": "has no session documents, and no sessions",
    },
}

# Properties that the emulator accepts and does not apply, with what it does instead.
IGNORED = {
    "moto": {
        "BaseImageParameter.Value": "stores the reference to another parameter instead of its value",
        "EngineFunction.Architectures": "has x86_64 for each function of a stack",
        "EngineFunction.DeadLetterConfig": "has no dead-letter queues",
        "EngineFunction.LoggingConfig": "has no log group of a function",
        "EngineRole.ManagedPolicyArns": "attaches no policies in stacks",
        "EnvironmentSecurityGroup.SecurityGroupEgress": "allows all egress",
    },
    "ministack": {
        "EngineFunction.DeadLetterConfig": "has dead-letter queues, but not in stacks",
        "EngineFunction.ReservedConcurrentExecutions": "has reserved concurrency, but not in stacks",
        "FleetTemplate.LaunchTemplateData": "has no DeleteOnTermination of interfaces, which AWS sets for those of a launch anyway",
    },
}


def properties():
    """Yields properties with the value that AWS would have and a function that reads the emulator's."""
    ec2, aws_lambda = boto3.client("ec2"), boto3.client("lambda")

    def egress_ports():
        named = [{"Name": "tag:Name", "Values": ["hatchery-dev-environments"]}]
        rules = ec2.describe_security_groups(Filters=named)["SecurityGroups"][0]["IpPermissionsEgress"]
        return sorted(rule.get("FromPort", 0) for rule in rules)

    def function(key):
        return aws_lambda.get_function_configuration(FunctionName="hatchery-dev").get(key)

    def attached():
        policies = boto3.client("iam").list_attached_role_policies(RoleName="hatchery-dev-engine")["AttachedPolicies"]
        return sorted(policy["PolicyName"] for policy in policies)

    def base_image():
        parameter = boto3.client("ssm").get_parameter(Name="/imagebuilder/hatchery/dev/base")
        return parameter["Parameter"]["Value"].startswith("ami-")

    def concurrency():
        return aws_lambda.get_function_concurrency(FunctionName="hatchery-dev").get("ReservedConcurrentExecutions")

    def interface():
        found = ec2.describe_launch_template_versions(LaunchTemplateName="hatchery/dev", Versions=["$Default"])
        interface = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]["NetworkInterfaces"][0]
        return interface["AssociatePublicIpAddress"], interface.get("DeleteOnTermination")

    queue = "arn:aws:sqs:eu-west-1:123456789012:hatchery-dev-dead-letters"
    names = ["hatchery-dev-engine", "hatchery-dev-launch", "hatchery-dev-read"]
    yield "BaseImageParameter.Value", True, base_image
    yield "EngineFunction.Architectures", ["arm64"], lambda: function("Architectures")
    yield "EngineFunction.DeadLetterConfig", {"TargetArn": queue}, lambda: function("DeadLetterConfig")
    yield "EngineFunction.LoggingConfig", "/aws/lambda/hatchery-dev", lambda: (function("LoggingConfig") or {}).get("LogGroup")
    yield "EngineFunction.ReservedConcurrentExecutions", 5, concurrency
    yield "EngineRole.ManagedPolicyArns", names, attached
    yield "EnvironmentSecurityGroup.SecurityGroupEgress", [80, 443], egress_ports
    yield "FleetTemplate.LaunchTemplateData", (True, True), interface


class Loader(yaml.SafeLoader):
    """Turns YAML's short forms of functions, such as !Ref, into the long ones, which are all that JSON has."""

    def function(self, name, node):
        if isinstance(node, yaml.ScalarNode):
            value = self.construct_scalar(node)
            value = value.split(".", 1) if name == "GetAtt" else value
        elif isinstance(node, yaml.SequenceNode):
            value = self.construct_sequence(node, deep=True)
        else:
            value = self.construct_mapping(node, deep=True)
        return {name if name in ("Condition", "Ref") else f"Fn::{name}": value}


Loader.add_multi_constructor("!", Loader.function)


def evaluate(node, conditions, parameters):
    """The value of a condition. The emulators evaluate conditions too; this says whether they do so rightly."""

    def value(node):
        return evaluate(node, conditions, parameters)

    if isinstance(node, list):
        return [value(item) for item in node]
    if not isinstance(node, dict):
        return str(node)
    [(function, argument)] = node.items()
    if function == "Ref":
        return str(parameters[argument])
    if function == "Condition":
        return value(conditions[argument])
    if function == "Fn::Equals":
        return value(argument[0]) == value(argument[1])
    if function == "Fn::Not":
        return not value(argument[0])
    if function == "Fn::And":
        return all(value(argument))
    if function == "Fn::Or":
        return any(value(argument))
    if function == "Fn::Select":
        return value(argument[1])[int(argument[0])]
    if function == "Fn::Split":
        return value(argument[1]).split(argument[0])
    sys.exit(f"conditions use {function}, which this script does not evaluate")


def restricted(template, wanted):
    """The template with the resources of the wanted types only."""
    resources = {id: resource for id, resource in template["Resources"].items() if wanted(resource["Type"])}
    return {**template, "Resources": resources}


class Deployment:
    def __init__(self, emulator, template, parameters):
        self.left_out, self.ignored = LEFT_OUT[emulator], IGNORED[emulator]
        self.template, self.parameters = yaml.load(template, Loader), parameters
        self.bucket = parameters["ArtifactBucket"]
        self.cloudformation = boto3.client("cloudformation")
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": self.s3.meta.region_name}
        )

    def create(self, stack, wanted):
        """Creates a stack of the resources that are wanted, and returns the logical ids of what it has."""
        template = restricted(self.template, wanted)
        if stack != STACK:
            del template["Outputs"]
        # Templates over 51,200 bytes must be in a bucket. ministack finds it in the path only.
        self.s3.put_object(Bucket=self.bucket, Key=f"{stack}.json", Body=json.dumps(template))
        self.cloudformation.create_stack(
            StackName=stack,
            TemplateURL=f"https://s3.{self.s3.meta.region_name}.amazonaws.com/{self.bucket}/{stack}.json",
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        try:
            waiter = self.cloudformation.get_waiter("stack_create_complete")
            waiter.wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        except WaiterError as error:
            events = self.cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
            failed = [event for event in events if event.get("ResourceStatus", "").endswith("FAILED")]
            sys.exit(f"{error}: {failed}")
        pages = self.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
        found = [resource for page in pages for resource in page["StackResourceSummaries"]]
        # moto lists nameless resources for those that it skips: an unknown type, or a condition that is false.
        return {resource["LogicalResourceId"] for resource in found if resource.get("LogicalResourceId")}

    def run(self):
        created = self.create(STACK, lambda kind: kind not in self.left_out)
        assert created == self.expected(), f"not created or not wanted: {created ^ self.expected()}"

    def expected(self):
        """Logical ids of what is not left out and has no condition or one that is true."""
        defaults = {name: parameter.get("Default") for name, parameter in self.template["Parameters"].items()}
        conditions, parameters = self.template["Conditions"], {**defaults, **self.parameters}
        return {
            id
            for id, resource in self.template["Resources"].items()
            if resource["Type"] not in self.left_out
            and ("Condition" not in resource or evaluate(conditions[resource["Condition"]], conditions, parameters))
        }

    def check_left_out(self):
        """Fails if a type on the list is not in the template, or can be created after all."""
        types = {resource["Type"] for resource in self.template["Resources"].values()}
        assert types >= set(self.left_out), f"not in the template: {set(self.left_out) - types}"
        for number, kind in enumerate(self.left_out):
            try:
                created = self.create(f"probe-{number}", lambda other: other == kind)
            except ClientError as error:
                created = set() if "Unrecognized resource types" in str(error) else error
            assert not created, f"{kind} need not be left out: {created}"

    def check_ignored(self):
        """Fails if a property on the list is not in the template or is applied, or one that is not on it is not applied."""
        for path, wanted, read in properties():
            id, name = path.split(".")
            assert name in self.template["Resources"][id]["Properties"], f"not in the template: {path}"
            value = read()
            assert (value != wanted) == (path in self.ignored), f"{path} is {value}, and {wanted} on AWS"
        unknown = set(self.ignored) - {path for path, *_ in properties()}
        assert not unknown, f"never looked at: {unknown}"


def function():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("bootstrap", "not run")
    return archive.getvalue()


def policies():
    iam = boto3.client("iam")
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
        yield policy["PolicyName"], version["PolicyVersion"]["Document"]
    for role in iam.list_roles()["Roles"]:
        for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
            # moto returns the inline policies of a stack as the text of a Python object.
            yield f"{role['RoleName']}/{name}", ast.literal_eval(document) if isinstance(document, str) else document


if "restrict" in sys.argv:
    template = yaml.load(sys.stdin, Loader)
    print(json.dumps(restricted(template, lambda kind: kind not in LEFT_OUT[sys.argv[1]])))
    sys.exit()
request = json.load(sys.stdin)
deployment = Deployment(sys.argv[1], request["template"], request["parameters"])
deployment.s3.put_object(Bucket=deployment.bucket, Key="hatchery-lambda-aarch64.zip", Body=function())
deployment.run()
if "check" in sys.argv:
    deployment.check_left_out()
    deployment.check_ignored()
print(json.dumps(dict(policies())))
