"""ministack, corrected where it deviates from AWS in what a fleet needs.

It also differs in what these corrections leave as it is: a restored database is `available` and a deleted one gone at once, RDS takes
tags that AWS refuses, and an instance never boots and cannot be protected. moto_rules.py models these.
"""

import asyncio
import os
import re
import time

OPTIONS = {
    # How long launches do not find a launch template after its creation.
    "write_lag": 0.0,
}
os.environ.update(
    MINISTACK_ACCOUNT_ID="123456789012",
    # Listeners on fixed ports, of services that no test uses.
    IOT_MTLS_ENABLED="0",
    SFTP_ENABLED="0",
)

import hypercorn.asyncio
from hypercorn.config import Config
from ministack.app import app
from ministack.services import ec2, rds
from ministack.services.cloudformation import changesets, engine, handlers, stacks

# --- CloudFormation


def split(node, parameters):
    """Resolves Fn::Split, which AWS evaluates in conditions too.

    cfn-lint, which knows what AWS accepts, allows it there.
    """
    if isinstance(node, list):
        return [split(item, parameters) for item in node]
    if not isinstance(node, dict):
        return node
    if "Fn::Split" not in node:
        return {key: split(value, parameters) for key, value in node.items()}
    delimiter, text = node["Fn::Split"]
    if isinstance(text, dict):
        text = parameters[text["Ref"]]["Value"]
    return text.split(delimiter)


def evaluate_conditions(template, parameters, evaluate=engine._evaluate_conditions):
    conditions = split(template.get("Conditions", {}), parameters)
    return evaluate({**template, "Conditions": conditions}, parameters)


for module in changesets, engine, handlers, stacks:
    module._evaluate_conditions = evaluate_conditions

# --- EC2

# ministack boots images that were registered in its Docker. AWS boots any.
ec2._registered_image = lambda image: None


NOT_FOUND = "InvalidLaunchTemplateId.NotFound"


def error(code, message, status=400, error=ec2._error):
    """Answers with AWS's code for a missing launch template; ministack has that of a missing name for both.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    return error(NOT_FOUND if code == NOT_FOUND + "Exception" else code, message, status)


ec2._error = error


def zone(subnet):
    return ec2._subnets.get(subnet, {}).get("AvailabilityZone")


def once_per_token(action):
    """Acts once per client token, which ministack ignores, and refuses a token with other parameters.

    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    used = {}

    def answer(request):
        token = ec2._p(request, "ClientToken")
        parameters = {name: value for name, value in request.items() if name != "ClientToken"}
        if token not in used:
            before = set(ec2._instances)
            response = action(request)
            if token and response[0] == 200:
                used[token] = parameters, response, set(ec2._instances) - before
            return response
        first, response, instances = used[token]
        if parameters != first:
            message = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
            return error("IdempotentParameterMismatch", message)
        if any(ec2._instances.get(id, {}).get("State", {}).get("Name", "terminated") == "terminated" for id in instances):
            return error("IdempotentInstanceTerminated", "The client token was used for an instance that is terminated.")
        return response

    return answer


def create_launch_template(request, create=ec2._create_launch_template):
    before = set(ec2._launch_templates)
    response = create(request)
    for id in set(ec2._launch_templates) - before:
        created[id] = time.monotonic()
    return response


# When each launch template was created.
created = {}


def run_instances(request, run=ec2._run_instances):
    """Launches from a launch template, which ministack ignores.

    What the request says replaces what the template says, and a network interface of the request replaces the template's.
    AWS tags the instance with the template's id and version.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    names = "LaunchTemplateId", "LaunchTemplateName", "Version"
    data, template, missing = ec2._resolve_launch_template_data(
        {name: ec2._p(request, f"LaunchTemplate.{name}") for name in names}
    )
    if missing:
        return missing
    if template and time.monotonic() - created[template["LaunchTemplateId"]] < OPTIONS["write_lag"]:
        return error(NOT_FOUND, "The specified launch template does not exist.")
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    defaults = {name: data.get(name) for name in ("ImageId", "InstanceType", "KeyName", "UserData")}
    defaults["IamInstanceProfile.Arn"] = data.get("IamInstanceProfile", {}).get("Arn")
    defaults["SubnetId"] = ec2._p(request, "NetworkInterface.1.SubnetId") or interface.get("SubnetId")
    groups = ec2._parse_member_list(request, "NetworkInterface.1.SecurityGroupId")
    for number, group in enumerate(groups or interface.get("Groups") or data.get("SecurityGroupIds") or [], 1):
        defaults[f"SecurityGroupId.{number}"] = group
    if template:
        own = [
            {"Key": "aws:ec2launchtemplate:id", "Value": template["LaunchTemplateId"]},
            {"Key": "aws:ec2launchtemplate:version", "Value": str(template["DefaultVersionNumber"])},
        ]
        kinds = {spec["ResourceType"]: spec["Tags"] for spec in data.get("TagSpecifications", [])}
        for number, tag in enumerate(kinds.get("instance", []) + own, 1):
            defaults["TagSpecification.1.ResourceType"] = "instance"
            defaults[f"TagSpecification.1.Tag.{number}.Key"] = tag["Key"]
            defaults[f"TagSpecification.1.Tag.{number}.Value"] = tag["Value"]
    before = set(ec2._instances)
    response = run({**{name: value for name, value in defaults.items() if value}, **request})
    for id in set(ec2._instances) - before:
        instance = ec2._instances[id]
        # ministack has all instances in the first zone. AWS launches them in their subnet's.
        instance["Placement"]["AvailabilityZone"] = zone(instance["SubnetId"])
    return response


def matches_filters(instance, filters, matches=ec2._matches_filters):
    """Filters by ids too; ministack ignores the filter."""
    return instance["InstanceId"] in filters.get("instance-id", [instance["InstanceId"]]) and matches(instance, filters)


ec2._matches_filters = matches_filters


def create_tags(request, create=ec2._create_tags):
    """Refuses to tag what does not exist, which ministack allows."""
    for id in ec2._parse_member_list(request, "ResourceId"):
        if id.startswith("lt-") and id not in ec2._launch_templates:
            return error(NOT_FOUND, f"The specified launch template, with template ID {id}, does not exist.")
        if id.startswith("i-") and id not in ec2._instances:
            return error("InvalidInstanceID.NotFound", f"The instance ID '{id}' does not exist")
    return create(request)


def launch_template_data(data, render=ec2._lt_data_xml):
    """Names the security groups of a template's interfaces as AWS does, because the SDK for Rust skips elements of another name.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LaunchTemplateInstanceNetworkInterfaceSpecification.html
    """
    return re.sub("<groupSet>.*?</groupSet>", lambda groups: groups[0].replace("item>", "groupId>"), render(data))


ec2._lt_data_xml = launch_template_data


def describe_images(request, describe=ec2._describe_images):
    """Adds the times of creation, which AWS always returns: that of the server's start, because ministack does not know them.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html
    """
    status, headers, body = describe(request)
    return status, headers, body.replace(b"<imageState>", b"<creationDate>%b</creationDate><imageState>" % OPTIONS["started"])


def describe_instance_type_offerings(request):
    """Offers the requested types in each zone with a subnet; ministack does not have the action.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html
    """
    zones = sorted({zone(subnet) for subnet in ec2._subnets})
    items = "".join(
        f"<item><instanceType>{kind}</instanceType><locationType>availability-zone</locationType><location>{zone}</location></item>"
        for kind in ec2._parse_filters(request).get("instance-type", [])
        for zone in zones
    )
    return ec2._xml(
        200, "DescribeInstanceTypeOfferingsResponse", f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>"
    )


def with_dry_run(action):
    """Answers dry runs, which ministack carries out.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
    """

    def answer(request):
        if ec2._p(request, "DryRun") == "true":
            return ec2._error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        return action(request)

    return answer


ec2._ACTION_MAP |= {
    "RunInstances": once_per_token(run_instances),
    "CreateLaunchTemplate": once_per_token(create_launch_template),
    "CreateTags": create_tags,
    "DescribeImages": describe_images,
    "DescribeInstanceTypeOfferings": describe_instance_type_offerings,
}
ec2._ACTION_MAP |= {name: with_dry_run(action) for name, action in ec2._ACTION_MAP.items()}

# --- RDS


def restore(request):
    """Restores a snapshot with what the request says; ministack ignores tags, subnet, security and parameter groups.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html
    """
    id = rds._p(request, "DBSnapshotIdentifier")
    snapshot = rds._snapshots.get(id)
    if not snapshot:
        return rds._error("DBSnapshotNotFound", f"DBSnapshot {id} not found.", 404)
    names = "Engine", "EngineVersion", "MasterUsername", "AllocatedStorage", "StorageType"
    created = rds._create_db_instance({**{name: str(snapshot[name]) for name in names}, **request})
    status, headers, body = created
    return status, headers, body.replace(b"CreateDBInstanceRe", b"RestoreDBInstanceFromDBSnapshotRe")


rds._ACTION_MAP["RestoreDBInstanceFromDBSnapshot"] = restore


def describe_orderable_options(request, describe=rds._describe_orderable_options):
    """Offers the classes of db.t4g too, as AWS does; ministack knows a few older ones."""
    wanted = rds._p(request, "DBInstanceClass")
    if not wanted.startswith("db.t4g."):
        return describe(request)
    status, headers, body = describe({**request, "DBInstanceClass": "db.t3.small"})
    return status, headers, body.replace(b"db.t3.small", wanted.encode())


rds._ACTION_MAP["DescribeOrderableDBInstanceOptions"] = describe_orderable_options


def start(request, start=rds._ACTION_MAP["StartDBInstance"]):
    """Refuses to start what is not stopped, which ministack allows.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_StartDBInstance.html
    """
    id = rds._p(request, "DBInstanceIdentifier")
    if rds._instances.get(id, {}).get("DBInstanceStatus", "stopped") != "stopped":
        return rds._error("InvalidDBInstanceState", f"Instance {id} is not stopped, it cannot be started.", 400)
    return start(request)


rds._ACTION_MAP["StartDBInstance"] = start


def describe_parameter_groups(request, describe=rds._describe_param_groups):
    """Knows the default groups, which RDS creates when a database needs them.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.html
    """
    name = rds._p(request, "DBParameterGroupName")
    if name and name.startswith("default.") and name not in rds._param_groups:
        family = name.removeprefix("default.")
        rds._create_param_group({"DBParameterGroupName": name, "DBParameterGroupFamily": family})
    return describe(request)


rds._ACTION_MAP["DescribeDBParameterGroups"] = describe_parameter_groups


def serve(listener, options):
    OPTIONS.update(options, started=time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()).encode())
    os.environ["GATEWAY_PORT"] = str(listener.getsockname()[1])
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    asyncio.run(hypercorn.asyncio.serve(app, config))
