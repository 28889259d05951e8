//! Translates recorded requests to the requests that IAM authorises: actions, resources and context keys.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html>

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::support::http::Request;
use crate::support::recorder::Call;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-west-1";
const USER_ID: &str = "AROAEXAMPLE:amy";

type Tags = BTreeMap<String, String>;

/// One authorisation: whether the principal may call the action on the resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Authorization {
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) context: BTreeMap<String, Value>,
}

impl Authorization {
    pub(crate) fn new(action: &str, resource: impl Into<String>) -> Self {
        Self { action: action.to_owned(), resource: resource.into(), context: BTreeMap::new() }
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.context.insert(key.to_owned(), value.into());
        self
    }

    /// The tags that the resource has.
    pub(crate) fn on(mut self, tags: &Tags) -> Self {
        self.context.extend(tags.iter().map(|(key, value)| (format!("aws:ResourceTag/{key}"), json!(value))));
        self
    }

    /// The tags that the request sets, or the keys that it removes.
    pub(crate) fn tagging(mut self, tags: &Tags) -> Self {
        self.context.extend(tags.iter().map(|(key, value)| (format!("aws:RequestTag/{key}"), json!(value))));
        if !tags.is_empty() {
            self.context.insert("aws:TagKeys".into(), tags.keys().cloned().collect());
        }
        self
    }
}

pub(crate) fn ec2(resource: &str) -> String {
    format!("arn:aws:ec2:{REGION}:{ACCOUNT}:{resource}")
}

pub(crate) fn rds(resource: &str) -> String {
    format!("arn:aws:rds:{REGION}:{ACCOUNT}:{resource}")
}

pub(crate) fn logs(resource: &str) -> String {
    format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{resource}")
}

pub(crate) fn pipeline(name: &str) -> String {
    format!("arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image-pipeline/{name}")
}

/// A session document of AWS. Its ARN has no account, but the simulator demands one; a policy's `*` matches both.
pub(crate) fn document(name: &str) -> String {
    format!("arn:aws:ssm:{REGION}:{ACCOUNT}:document/{name}")
}

pub(crate) fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Translates calls in order, because the tags of a resource come from earlier ones.
#[derive(Debug, Default)]
pub(crate) struct Translator {
    /// The tags of EC2 resources by their ids.
    tags: BTreeMap<String, Tags>,
    /// What a record says of its instance.
    launched: BTreeMap<String, Launch>,
}

/// An instance's tags, security group and subnet.
#[derive(Debug, Default, Clone)]
struct Launch {
    tags: Tags,
    group: String,
    subnet: String,
}

impl Translator {
    /// Starts with the tags of resources that exist already.
    pub(crate) fn new(tags: BTreeMap<String, Tags>) -> Self {
        Self { tags, launched: BTreeMap::new() }
    }

    pub(crate) fn translate(&mut self, call: &Call) -> Vec<Authorization> {
        let target = call.request.header("x-amz-target");
        if let Some((service, operation)) = target.rsplit_once('.') {
            let body = call.request.json();
            return match service {
                "secretsmanager" => {
                    vec![Authorization::new(&format!("secretsmanager:{operation}"), secret(&body))]
                }
                "AmazonSSM" => self.translate_ssm(operation, &body),
                service if service.starts_with("AmazonEC2ContainerRegistry") => {
                    vec![Authorization::new(&format!("ecr:{operation}"), repository(&body))]
                }
                service if service.starts_with("Logs") => translate_logs(operation, &body),
                _ => vec![Authorization::new(&format!("servicequotas:{operation}"), "*")],
            };
        }
        let form = Form::parse(&call.request.body);
        let scope = call.request.header("authorization");
        match () {
            () if scope.contains("/rds/") => translate_rds(&form),
            () if scope.contains("/imagebuilder/") => vec![translate_image_builder(&call.request)],
            () if scope.contains("/sns/") => {
                let action = format!("sns:{}", form.get("Action"));
                vec![Authorization::new(&action, form.get("TopicArn"))]
            }
            () if scope.contains("/sts/") => vec![Authorization::new("sts:GetCallerIdentity", "*")],
            () => self.translate_ec2(&form, &call.response),
        }
    }

    fn translate_ec2(&mut self, form: &Form, response: &str) -> Vec<Authorization> {
        let operation = form.get("Action");
        let action = format!("ec2:{operation}");
        match operation {
            "CreateLaunchTemplate" => {
                let tags = form.tags("TagSpecification.1.Tag");
                if let Some(id) = element(response, "launchTemplateId") {
                    let interface =
                        |key| form.get(&format!("LaunchTemplateData.NetworkInterface.1.{key}")).to_owned();
                    let launched = Launch {
                        tags: form.tags("LaunchTemplateData.TagSpecification.1.Tag"),
                        group: interface("SecurityGroupId.1"),
                        subnet: interface("SubnetId"),
                    };
                    self.launched.insert(id.to_owned(), launched);
                    self.tags.insert(id.to_owned(), tags.clone());
                }
                let resource = ec2("launch-template/lt-0123456789abcdef0");
                vec![
                    Authorization::new(&action, &resource).tagging(&tags),
                    Authorization::new("ec2:CreateTags", resource)
                        .tagging(&tags)
                        .with("ec2:CreateAction", operation),
                ]
            }
            "CreateTags" | "DeleteTags" => {
                let id = form.get("ResourceId.1");
                let tags = form.tags("Tag");
                let existing = self.tags.entry(id.to_owned()).or_default();
                let request = Authorization::new(&action, ec2(&resource_of(id))).on(existing).tagging(&tags);
                match operation {
                    "CreateTags" => existing.extend(tags),
                    _ => existing.retain(|key, _| !tags.contains_key(key)),
                }
                vec![request]
            }
            "DeleteLaunchTemplate" => {
                let id = form.get("LaunchTemplateId");
                vec![self.on(&action, id)]
            }
            "TerminateInstances" => vec![self.on(&action, form.get("InstanceId.1"))],
            "RunInstances" => self.run_instances(form, response),
            "GetManagedPrefixListEntries" => {
                vec![Authorization::new(&action, ec2(&format!("prefix-list/{}", form.get("PrefixListId"))))]
            }
            // Only the workaround for moto sends it.
            "DescribeTags" => Vec::new(),
            "" => panic!("not a request of EC2: {form:?}"),
            _ => vec![Authorization::new(&action, "*")],
        }
    }

    fn translate_ssm(&self, operation: &str, body: &Value) -> Vec<Authorization> {
        let action = format!("ssm:{operation}");
        match operation {
            "StartSession" => {
                let instance = body["Target"].as_str().unwrap();
                let instance = start_session(instance, self.tags.get(instance).unwrap_or(&Tags::new()));
                vec![instance, Authorization::new(&action, document(body["DocumentName"].as_str().unwrap()))]
            }
            "TerminateSession" => vec![on_session(&action, body["SessionId"].as_str().unwrap(), USER_ID)],
            _ => panic!("an operation of Systems Manager without a translation: {operation}"),
        }
    }

    fn on(&self, action: &str, id: &str) -> Authorization {
        Authorization::new(action, ec2(&resource_of(id))).on(self.tags.get(id).unwrap_or(&Tags::new()))
    }

    fn run_instances(&mut self, form: &Form, response: &str) -> Vec<Authorization> {
        let record = form.get("LaunchTemplate.LaunchTemplateId");
        let template = ec2(&format!("launch-template/{record}"));
        let own = self.on("ec2:RunInstances", record).with("ec2:LaunchTemplate", template.as_str());
        let Some(Launch { tags: instance_tags, group, subnet }) = self.launched.get(record).cloned() else {
            // Not a record, which is what the policies ask first.
            return vec![own];
        };
        let launch = |resource: String| {
            Authorization::new("ec2:RunInstances", resource).with("ec2:LaunchTemplate", template.as_str())
        };
        let mut requests = vec![
            own,
            launch(format!("arn:aws:ec2:{REGION}::image/ami-0123456789abcdef0"))
                .with("aws:ResourceTag/hatchery:image", "dev")
                .with("ec2:ResourceTag/hatchery:image", "dev"),
            launch(ec2(&format!("security-group/{group}"))),
            launch(ec2(&format!("subnet/{subnet}"))).with("ec2:SubnetID", subnet.as_str()),
            Authorization::new("iam:PassRole", format!("arn:aws:iam::{ACCOUNT}:role/hatchery-dev-instance"))
                .with("iam:PassedToService", "ec2.amazonaws.com"),
        ];
        if let Some(id) = element(response, "instanceId") {
            self.tags.insert(id.to_owned(), instance_tags.clone());
        }
        for resource in [
            "instance/i-0123456789abcdef0",
            "volume/vol-0123456789abcdef0",
            "network-interface/eni-0123456789abcdef0",
        ] {
            requests.push(launch(ec2(resource)).tagging(&instance_tags));
            let tag = Authorization::new("ec2:CreateTags", ec2(resource)).tagging(&instance_tags);
            requests.push(tag.with("ec2:CreateAction", "RunInstances"));
        }
        requests
    }
}

/// A session on an instance with a document that the user may use.
pub(crate) fn start_session(instance: &str, tags: &Tags) -> Authorization {
    let request = Authorization::new("ssm:StartSession", ec2(&format!("instance/{instance}")));
    let request = request.with("ssm:SessionDocumentAccessCheck", "true");
    tags.iter().fold(request, |request, (key, value)| {
        request.with(&format!("ssm:resourceTag/{key}"), value.as_str())
    })
}

/// An action of the user [`USER_ID`] on a session of a user.
pub(crate) fn on_session(action: &str, id: &str, of: &str) -> Authorization {
    let session = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:session/{id}");
    let request = Authorization::new(action, session).with("aws:userid", USER_ID);
    request.with("ssm:resourceTag/aws:ssmmessages:session-id", of)
}

/// The ARN of a secret, which a request may name without it.
fn secret(body: &Value) -> String {
    let id = body["SecretId"].as_str().unwrap();
    if id.starts_with("arn:") {
        id.to_owned()
    } else {
        format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{id}")
    }
}

/// The ARN of a repository. AWS checks a list of all against `repository/*`.
fn repository(body: &Value) -> String {
    let name = body["repositoryName"].as_str().unwrap_or("*");
    format!("arn:aws:ecr:{REGION}:{}:repository/{name}", body["registryId"].as_str().unwrap_or(ACCOUNT))
}

fn translate_rds(form: &Form) -> Vec<Authorization> {
    let operation = form.get("Action");
    let action = format!("rds:{operation}");
    let database = rds(&format!("db:{}", form.get("DBInstanceIdentifier")));
    match operation {
        "RestoreDBInstanceFromDBSnapshot" => {
            let tags = form.tags("Tags.Tag");
            let others = [
                format!("snapshot:{}", form.get("DBSnapshotIdentifier")),
                format!("subgrp:{}", form.get("DBSubnetGroupName")),
                format!("pg:{}", form.get("DBParameterGroupName")),
                "og:default:postgres-17".to_owned(),
            ];
            let mut requests = vec![Authorization::new(&action, &database).tagging(&tags)];
            requests.extend(others.iter().map(|other| Authorization::new(&action, rds(other))));
            requests.push(Authorization::new("rds:AddTagsToResource", database).tagging(&tags));
            requests
        }
        "AddTagsToResource" | "RemoveTagsFromResource" => {
            // moto's ARNs have the account and the Region of these tests.
            vec![Authorization::new(&action, form.get("ResourceName"))]
        }
        "DescribeDBInstances" if form.get("DBInstanceIdentifier").is_empty() => {
            vec![Authorization::new(&action, rds("db:*"))]
        }
        "DescribeDBInstances" | "DeleteDBInstance" => vec![Authorization::new(&action, database)],
        "DescribeDBSnapshots" => vec![Authorization::new(&action, rds("snapshot:*"))],
        "DescribeDBSubnetGroups" => vec![Authorization::new(&action, rds("subgrp:*"))],
        "DescribeDBParameterGroups" => {
            vec![Authorization::new(&action, rds(&format!("pg:{}", form.get("DBParameterGroupName"))))]
        }
        "DescribeOrderableDBInstanceOptions" => vec![Authorization::new(&action, "*")],
        _ => panic!("an operation of RDS without a translation: {operation}"),
    }
}

fn translate_image_builder(request: &Request) -> Authorization {
    let (_, operation) = request.route().split_once('/').unwrap();
    let pipeline = request.json()["imagePipelineArn"].as_str().unwrap_or("*").to_owned();
    Authorization::new(&format!("imagebuilder:{operation}"), pipeline)
}

fn translate_logs(operation: &str, body: &Value) -> Vec<Authorization> {
    let action = format!("logs:{operation}");
    let group = body["logGroupName"].as_str().unwrap_or_default();
    let resource = match operation {
        "DescribeLogGroups" => "*".to_owned(),
        "PutLogEvents" | "CreateLogStream" => {
            logs(&format!("{group}:log-stream:{}", body["logStreamName"].as_str().unwrap()))
        }
        "FilterLogEvents" => logs(group),
        // AWS checks it against the group, whose ARN ends with `:*` in policies.
        "DescribeLogStreams" => logs(&format!("{group}:log-stream:")),
        "StartLiveTail" => body["logGroupIdentifiers"][0].as_str().unwrap().to_owned(),
        _ => panic!("an operation of CloudWatch Logs without a translation: {operation}"),
    };
    vec![Authorization::new(&action, resource)]
}

fn resource_of(id: &str) -> String {
    match id.split_once('-').map(|(kind, _)| kind) {
        Some("lt") => format!("launch-template/{id}"),
        Some("i") => format!("instance/{id}"),
        _ => panic!("an id without a translation: {id:?}"),
    }
}

/// The text of the first element with this name.
fn element<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    let rest = xml.split_once(&format!("<{name}>"))?.1;
    rest.split_once('<').map(|(text, _)| text)
}

/// The parameters of the query protocols.
#[derive(Debug)]
struct Form(BTreeMap<String, String>);

impl Form {
    fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The tags with a prefix: `<prefix>.1.Key`, `<prefix>.1.Value` …
    fn tags(&self, prefix: &str) -> Tags {
        (1..)
            .map_while(|index| {
                let key = self.0.get(&format!("{prefix}.{index}.Key"))?;
                Some((key.clone(), self.get(&format!("{prefix}.{index}.Value")).to_owned()))
            })
            .collect()
    }
}
