"""The policy documents of a CloudFormation template, with plausible values instead of its functions."""

import re

from cfnlint.decode import decode

REGION, ACCOUNT = "eu-west-1", "123456789012"
PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT,
    "AWS::NoValue": None,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::URLSuffix": "amazonaws.com",
}
# Of the parameters in policies that have no default or an empty one.
PARAMETERS = {
    "Chart": "s3://charts/services/chart.tgz",
    "DatabaseSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:integration-a1b2c3",
    "EncryptionKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0a1b2c3d-1111-2222-3333-444455556666",
    "KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0a1b2c3d-7777-8888-9999-444455556666",
    "NotifySecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:slack-a1b2c3",
    "NotifyTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:news",
    "Registry": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/services",
    "SubnetIds": ["subnet-0a1b2c3d4e5f60718", "subnet-0b1b2c3d4e5f60718"],
}
# The property with the name of a resource, and the attributes made from the name.
ATTRIBUTES = {
    "AWS::EC2::SecurityGroup": ("GroupDescription", {"GroupId": "sg-0a1b2c3d4e5f60718"}),
    "AWS::IAM::Role": ("RoleName", {"Arn": f"arn:aws:iam::{ACCOUNT}:role/{{}}"}),
    "AWS::Lambda::Function": ("FunctionName", {"Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}"}),
    "AWS::Logs::LogGroup": ("LogGroupName", {"Arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*"}),
    "AWS::SQS::Queue": ("QueueName", {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}"}),
}


class Resolver:
    """Evaluates the functions of a template whose conditions all are true, or all false."""

    def __init__(self, template, conditions):
        self.template, self.conditions = template, conditions

    def resolve(self, value):
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self.call(name, argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not None}

    def call(self, function, argument):
        if function == "Ref":
            return self.reference(argument)
        if function == "Fn::GetAtt":
            return self.attribute(*argument)
        if function == "Fn::Sub":
            return self.substitute(*([argument, {}] if isinstance(argument, str) else argument))
        if function == "Fn::If":
            return self.resolve(argument[1 if self.conditions else 2])
        if function == "Fn::Base64":
            return self.resolve(argument)
        first, second = map(self.resolve, argument)
        if function == "Fn::Select":
            return second[int(first)]
        if function == "Fn::Split":
            return second.split(first)
        if function == "Fn::Join":
            return first.join(second)
        raise ValueError(f"{function} is not supported")

    def reference(self, name):
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in self.template["Resources"]:
            return name
        value = PARAMETERS.get(name, self.template["Parameters"][name].get("Default", ""))
        if value == "":
            raise ValueError(f"the parameter {name} needs a plausible value")
        return value

    def attribute(self, resource, attribute):
        declaration = self.template["Resources"][resource]
        name, formats = ATTRIBUTES[declaration["Type"]]
        return formats[attribute].format(self.resolve(declaration["Properties"][name]))

    def substitute(self, text, variables):
        def value(match):
            name = match[1]
            if name in variables:
                return str(self.resolve(variables[name]))
            return str(self.attribute(*name.split(".", 1)) if "." in name else self.reference(name))

        return re.sub(r"\$\{([^!}][^}]*)\}", value, text).replace("${!", "${")


def policy_documents(path):
    """Yields the name and the document of each policy: identity policies, trust policies and those of resources."""
    template, errors = decode(path)
    if errors:
        raise ValueError(f"the template cannot be parsed: {errors}")
    for conditions in (True, False):
        resolver = Resolver(template, conditions)
        for name, resource in template["Resources"].items():
            if conditions or "Condition" not in resource:
                for place, document in find(resource.get("Properties", {}), (name,)):
                    yield "/".join(place), with_resource(resolver, name, resolver.resolve(document))


def find(value, path):
    """Yields all policy documents in the value, whatever the property is called."""
    if isinstance(value, list):
        for item in value:
            yield from find(item, path)
    elif isinstance(value, dict) and "Statement" in value:
        yield path, value
    elif isinstance(value, dict):
        inner = (*path, value["PolicyName"]) if "PolicyName" in value else path
        for key, item in value.items():
            yield from find(item, (*path, "trust") if key == "AssumeRolePolicyDocument" else inner)


def with_resource(resolver, name, document):
    """Adds the resource of a trust policy, which is its role: without it, the linters reject the policy."""
    for statement in document["Statement"]:
        if "Principal" in statement and "Resource" not in statement:
            statement["Resource"] = resolver.attribute(name, "Arn")
    return document
