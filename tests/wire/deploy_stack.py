"""Deploys the template on stdin to the emulator at AWS_ENDPOINT_URL, and prints the policies that it created, by their names, as JSON."""

import ast
import io
import json
import sys
import zipfile

import boto3

STACK = "hatchery-dev"


def upload(bucket, objects):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    for key, body in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)


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


request = json.load(sys.stdin)
parameters = request["parameters"]
bucket = parameters["ArtifactBucket"]
upload(bucket, {"hatchery-lambda-aarch64.zip": function(), "hatchery.yaml": request["template"]})
cloudformation = boto3.client("cloudformation")
cloudformation.create_stack(
    StackName=STACK,
    # Templates over 51,200 bytes must be in a bucket.
    TemplateURL=f"https://{bucket}.s3.amazonaws.com/hatchery.yaml",
    Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    Capabilities=["CAPABILITY_NAMED_IAM"],
)
stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
if stack["StackStatus"] != "CREATE_COMPLETE":
    sys.exit(f"{stack['StackStatus']}: {stack.get('StackStatusReason')}")
print(json.dumps(dict(policies())))
