"""What AWS delays and refuses and moto does not: the states of a restore, deletions, protection, tags, client tokens, new templates.

Each is strict where AWS may be: what AWS's documentation leaves open is refused, because the binary must be right either way.
"""

import re
import time
import unicodedata
from datetime import timedelta

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidLaunchTemplateIdNotFound, InvalidLaunchTemplateNameNotFoundWithNameError
from moto.ec2.models.instances import MetadataOptions
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.responses.tags import TagResponse
from moto.rds.exceptions import RDSClientError
from moto.rds.models import DBInstance, RDSBackend, rds_backends

# A test may set others.
OPTIONS = {
    # The durations of a restored database's statuses, before it is `available`.
    "creating": 0.5,
    "modifying": 0.2,
    # How long its volume is loaded after that.
    "initializing": 1.0,
    "deleting": 0.3,
    # Whether RDS refuses to tag a database while it is created or deleted, which its documentation leaves open.
    "refuses_tags": False,
    # How long writes do not find a launch template or an instance after its creation.
    "write_lag": 0.0,
    "honours_tokens": True,
}


def since(began):
    return time.monotonic() - began


# --- RDS

BUSY = "modifying", "backing-up"


def stage(database):
    """Returns the status of a restored database by its age, and `None` once it has reached `available` or has been changed.

    A restore with backups begins with the first one.
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status
    """
    restored = vars(database).get("restored")
    if restored is None or vars(database)["stored_status"] != "available":
        return None
    if since(restored) < OPTIONS["creating"]:
        return "creating"
    if since(restored) < OPTIONS["creating"] + OPTIONS["modifying"]:
        return "backing-up" if database.backup_retention_period else "modifying"
    return None


def creation_time(database):
    """Returns the time of the end of `creating`; a database has none before.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html
    """
    if stage(database) == "creating":
        return None
    requested = vars(database)["stored_time"]
    return requested + timedelta(seconds=OPTIONS["creating"]) if "restored" in vars(database) else requested


def progress(database):
    """Returns how many percent of a restored volume are loaded, and `None` before it is `available` and once it is complete."""
    restored = vars(database).get("restored")
    if restored is None or database.status != "available":
        return None
    loaded = since(restored) - OPTIONS["creating"] - OPTIONS["modifying"]
    return int(100 * loaded / OPTIONS["initializing"]) if loaded < OPTIONS["initializing"] else None


def endpoint(database, endpoint=DBInstance.endpoint.fget):
    return None if stage(database) == "creating" else endpoint(database)


DBInstance.status = property(
    lambda database: stage(database) or vars(database)["stored_status"],
    lambda database, status: vars(database).update(stored_status=status),
)
DBInstance.instance_create_time = property(creation_time, lambda database, at: vars(database).update(stored_time=at))
DBInstance.endpoint = property(endpoint)
DBInstance.storage_operation_status = property(lambda database: None if progress(database) is None else "Initializing")
DBInstance.storage_operation_percent_progress = property(progress)


def restore(backend, snapshot, request, restore=RDSBackend.restore_db_instance_from_db_snapshot):
    """Restores with what the request says; moto overlooks what is false or zero, and copies the source's protection.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html
    """
    check_tags(request.get("tags") or [])
    zone, group = request.get("availability_zone"), request.get("db_subnet_group_name")
    if zone and group:
        subnets = backend.describe_db_subnet_groups(group)[0].subnets
        if zone not in [subnet["SubnetAvailabilityZone"]["Name"] for subnet in subnets]:
            message = f"The DB subnet group doesn't meet Availability Zone coverage requirement: it has no subnet in {zone}."
            raise RDSClientError("InvalidVPCNetworkStateFault", message)
    database = restore(backend, snapshot, request)
    for name in "deletion_protection", "publicly_accessible", "auto_minor_version_upgrade", "backup_retention_period":
        if name in request:
            setattr(database, name, request[name])
        elif name == "deletion_protection":
            database.deletion_protection = False
    vars(database)["restored"] = time.monotonic()
    return database


def find(backend, id):
    return backend.describe_db_instances(id)[0]


def refuse(database, what):
    message = f"Instance {database.db_instance_identifier} cannot be {what} while it is {database.status}."
    raise RDSClientError("InvalidDBInstanceState", message)


def delete(backend, db_instance_identifier, delete=RDSBackend.delete_db_instance, **how):
    """Lists the database as `deleting` for a while.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBInstance.html
    """
    database = find(backend, db_instance_identifier)
    if database.status == "deleting":
        raise RDSClientError("InvalidDBInstanceState", f"Instance {db_instance_identifier} is already being deleted.")
    if database.status in ("creating", *BUSY):
        refuse(database, "deleted")
    delete(backend, db_instance_identifier, **how)
    vars(database)["deleted"] = time.monotonic()
    backend.databases[database.db_instance_identifier] = database
    return database


def finish_deletions():
    """Removes the databases whose deletion has ended."""
    for account in rds_backends.values():
        for backend in account.values():
            for id, database in list(backend.databases.items()):
                deleted = vars(database).get("deleted")
                if deleted is not None and since(deleted) >= OPTIONS["deleting"]:
                    del backend.databases[id]


def check_tags(tags):
    """Refuses tags as RDS does.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Tag.html
    """
    for tag in tags:
        for name, limit in ("Key", 128), ("Value", 256):
            text = tag.get(name) or ""
            # Letters, separators and digits.
            is_valid = all(unicodedata.category(c)[0] in "LZN" or c in "_.:/=+-@" for c in text)
            if not is_valid or len(text) > limit or re.match("(?i)(aws|rds):", text):
                raise RDSClientError("InvalidParameterValue", f"Tag {name.lower()} is invalid: {text}")


def check_taggable(backend, arn):
    id = arn.rpartition(":")[2]
    database = backend.databases.get(id)
    if database and OPTIONS["refuses_tags"] and database.status in ("creating", "deleting"):
        refuse(database, "tagged")


def add_tags(backend, arn, tags, add=RDSBackend.add_tags_to_resource):
    check_tags(tags)
    check_taggable(backend, arn)
    if len({tag["Key"] for tag in backend.list_tags_for_resource(arn) + tags}) > 50:
        raise RDSClientError("InvalidParameterValue", "A resource has at most 50 tags.")
    return add(backend, arn, tags)


def remove_tags(backend, arn, keys, remove=RDSBackend.remove_tags_from_resource):
    check_taggable(backend, arn)
    return remove(backend, arn, keys)


RDSBackend.restore_db_instance_from_db_snapshot = restore
RDSBackend.delete_db_instance = delete
RDSBackend.add_tags_to_resource = add_tags
RDSBackend.remove_tags_from_resource = remove_tags

# --- EC2

# When each launch template and instance was created.
created = {}


def check_visible(id, error):
    if since(created.get(id, float("-inf"))) < OPTIONS["write_lag"]:
        raise error


def check_ec2_tags(tags, is_in_metadata=False):
    """Refuses tags as EC2 does; tags in the metadata of an instance are parts of a path.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
    """
    for key, value in tags.items():
        if re.match("(?i)aws:", key):
            message = "Tag keys starting with 'aws:' are reserved for internal use"
        elif not key or len(key) > 127 or len(value or "") > 256:
            message = f"Tag value exceeds the maximum length: '{key}'"
        elif is_in_metadata and (not re.fullmatch(r"[0-9a-zA-Z\-_+=,.@:]{1,255}", key) or key in (".", "..", "_index")):
            message = (
                f"'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), "
                "and must not be a reserved name ('.', '..', '_index')"
            )
        else:
            continue
        raise EC2ClientError("InvalidParameterValue", message)


def has_metadata_tags(options):
    return options.get("InstanceMetadataTags") == "enabled"


def find_template(response):
    """Returns the launch template of a request, and `None` if it has none; moto fails if it does not exist."""
    named, backend = response._get_param("LaunchTemplate", {}), response.ec2_backend
    id, name = named.get("LaunchTemplateId"), named.get("LaunchTemplateName")
    if id:
        check_visible(id, InvalidLaunchTemplateIdNotFound(id))
        return backend.get_launch_template(id)
    if name:
        template = backend.get_launch_template_by_name(name)
        check_visible(template.id, InvalidLaunchTemplateNameNotFoundWithNameError(name))
        return template
    return None


def launch(response, run, template):
    version = template and template.get_version(response._get_param("LaunchTemplate").get("Version", "$Default"))
    data = version.data if version else {}
    metadata = response._get_param("MetadataOptions", {}) or data.get("MetadataOptions") or {}
    tags = {**(version.instance_tags if version else {}), **response._parse_tag_specification().get("instance", {})}
    check_ec2_tags(tags, has_metadata_tags(metadata))
    # Dry runs check these too.
    for interface in response._get_param("NetworkInterfaces", []):
        if interface.get("SubnetId"):
            response.ec2_backend.get_subnet(interface["SubnetId"])
    reservation = run(response)
    for instance in reservation.result.instances:
        created[instance.id] = time.monotonic()
        protection = response._get_bool_param("DisableApiTermination")
        instance.disable_api_termination = data.get("DisableApiTermination", False) if protection is None else protection
        instance.metadata_options = MetadataOptions(metadata)
    return reservation


def once(response, kind, act, used={}):
    """Acts once per client token, and refuses a token with other parameters.

    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    token = response._get_param("ClientToken")
    if not token or not OPTIONS["honours_tokens"] or response._get_param("DryRun"):
        return act().result
    request = {name: value for name, value in response.data.items() if name != "ClientToken"}
    if (kind, token) not in used:
        used[kind, token] = request, act().result
    first, result = used[kind, token]
    if request != first:
        message = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
        raise EC2ClientError("IdempotentParameterMismatch", message)
    return result


def run_instances(response, run=InstanceResponse.run_instances):
    template = find_template(response)
    reservation = once(response, "instance", lambda: launch(response, run, template))
    if any(instance.state == "terminated" for instance in reservation.instances):
        message = "The client token was used for an instance that is terminated."
        raise EC2ClientError("IdempotentInstanceTerminated", message)
    return ActionResult(reservation)


def create_launch_template(response, create=LaunchTemplates.create_launch_template):
    def act():
        check_ec2_tags(response._parse_tag_specification().get("launch-template", {}))
        answer = create(response)
        created[answer.result["LaunchTemplate"]["LaunchTemplateId"]] = time.monotonic()
        return answer

    return ActionResult(once(response, "launch template", act))


def create_tags(response, create=TagResponse.create_tags):
    tags = {tag["Key"]: tag.get("Value") for tag in response._get_param("Tags", [])}
    check_ec2_tags(tags)
    for id in response._get_param("Resources", []):
        if id.startswith("lt-"):
            response.ec2_backend.get_launch_template(id)
            check_visible(id, InvalidLaunchTemplateIdNotFound(id))
        elif id.startswith("i-"):
            instance = response.ec2_backend.get_instance(id)
            check_visible(id, EC2ClientError("InvalidInstanceID.NotFound", f"The instance ID '{id}' does not exist"))
            check_ec2_tags(tags, instance.metadata_options.instance_metadata_tags == "enabled")
    return create(response)


InstanceResponse.run_instances = run_instances
LaunchTemplates.create_launch_template = create_launch_template
TagResponse.create_tags = create_tags
