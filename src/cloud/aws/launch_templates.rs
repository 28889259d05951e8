//! Launch templates: fleets and records.

use aws_sdk_ec2::operation::describe_launch_templates::builders::DescribeLaunchTemplatesFluentBuilder;
use aws_sdk_ec2::types::{
    Filter, IamInstanceProfileSpecification, LaunchTemplate, LaunchTemplateBlockDeviceMappingRequest,
    LaunchTemplateEbsBlockDeviceRequest, LaunchTemplateHttpTokensState,
    LaunchTemplateIamInstanceProfileSpecificationRequest, LaunchTemplateInstanceMetadataEndpointState,
    LaunchTemplateInstanceMetadataOptionsRequest, LaunchTemplateInstanceMetadataTagsState,
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest, LaunchTemplateTagSpecificationRequest,
    RequestLaunchTemplateData, ResourceType, ResponseLaunchTemplateData, ShutdownBehavior, Tag,
    TagSpecification, VolumeType,
};
use base64::Engine as _;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::call::{Access, Bucket, call};
use super::{AwsCloud, base_template, from_sdk_time, launch_template_copy};
use crate::cloud::{BaseTemplate, Observed, Page, Pages, Result, Template, absent};
use crate::domain::tags::{key, role};
use crate::domain::{
    CloudError, EnvironmentId, ErrorClass, Fleet, FleetName, NewEnvironment, NewFleet, NewRecord, Parsed,
    Purpose, Record, RecordId, TagChanges, Tags,
};

/// The root device of Amazon Linux 2023 images.
/// <https://docs.aws.amazon.com/linux/al2023/ug/ec2.html>
const ROOT_DEVICE: &str = "/dev/xvda";

/// What a launch creates. A service control policy may demand tags on each.
pub(super) const LAUNCHED: [ResourceType; 3] =
    [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
/// The version of a fleet's base template that its records copy.
const DEFAULT_VERSION: &str = "$Default";

/// The maximum page size of `DescribeLaunchTemplates`.
const PAGE: i32 = 200;

impl AwsCloud {
    pub(super) fn list_templates(&self, filters: Vec<Filter>) -> Pages<'_, LaunchTemplate> {
        if self.is_emulator {
            return futures::stream::once(async move { self.moto_templates(&filters).await }).boxed();
        }
        let pager = self
            .ec2
            .describe_launch_templates()
            .set_filters(Some(filters))
            .max_results(PAGE)
            .into_paginator()
            .send();
        // The first error ends the stream. The pager alone would not: without credentials, it is not asked.
        let pages = futures::stream::try_unfold(pager, move |mut pager| async move {
            let next = async { pager.next().await.transpose() };
            let Observed { value, as_of } =
                call(&self.limits, Bucket::Describe, Access::Read, "DescribeLaunchTemplates", next).await?;
            Ok(value.map(|page| (Page::new(page.launch_templates.unwrap_or_default(), as_of), pager)))
        });
        pages.boxed()
    }

    pub(super) fn fleets(&self) -> Pages<'_, Fleet> {
        let filters = vec![filter(&format!("tag:{}", key::ROLE), [role::FLEET])];
        parse_pages(self.list_templates(filters), |template| parse_fleet(template).map(Ok))
    }

    /// Lists the templates by their names, because one that has lost its tags still claims its number.
    pub(super) fn templates<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Template> {
        let base = fleet.template_name();
        let filters = vec![filter("launch-template-name", [base.as_str(), &format!("{base}/*")])];
        parse_pages(self.list_templates(filters), move |template| {
            let base = || parse_fleet(template).filter(|found| found.name == *fleet);
            let record = parse_record(fleet, template);
            record
                .map(|record| record.map(|record| Template::Record(Box::new(record))))
                .or_else(|| base().map(|fleet| Ok(Template::Fleet(Box::new(fleet)))))
        })
    }

    pub(super) async fn fleet(&self, name: &FleetName) -> Result<Option<Fleet>> {
        let found = self.template_named(&name.template_name()).await?;
        Ok(found.value.as_ref().and_then(parse_fleet))
    }

    pub(super) async fn record(&self, fleet: &FleetName, id: &RecordId) -> Result<Observed<Option<Record>>> {
        let request = self.ec2.describe_launch_templates().launch_template_ids(id.as_str());
        let found = self.one_template(request).await?;
        let parsed = found.value.and_then(|template| parse_record(fleet, &template));
        Ok(Observed { value: readable("DescribeLaunchTemplates", parsed)?, as_of: found.as_of })
    }

    pub(super) async fn find_record(&self, environment: &EnvironmentId) -> Result<Observed<Option<Record>>> {
        let found = self.template_named(&environment.record_name()).await?;
        let parsed = found.value.and_then(|template| parse_record(&environment.fleet, &template));
        Ok(Observed { value: readable("DescribeLaunchTemplates", parsed)?, as_of: found.as_of })
    }

    async fn template_named(&self, name: &str) -> Result<Observed<Option<LaunchTemplate>>> {
        self.one_template(
            self.ec2.describe_launch_templates().filters(filter("launch-template-name", [name])),
        )
        .await
    }

    async fn one_template(
        &self,
        request: DescribeLaunchTemplatesFluentBuilder,
    ) -> Result<Observed<Option<LaunchTemplate>>> {
        let found =
            call(&self.limits, Bucket::Describe, Access::Read, "DescribeLaunchTemplates", request.send())
                .await;
        let Observed { value, as_of } = match found {
            Ok(found) => found,
            Err(error) if error.is(ErrorClass::NotFound) => return Ok(Observed { value: None, as_of: None }),
            Err(error) => return Err(error),
        };
        let mut template = value.launch_templates.unwrap_or_default().into_iter().next();
        if self.is_emulator
            && let Some(stale) = template
        {
            template = Some(self.with_current_tags(stale).await?);
        }
        Ok(Observed { value: template, as_of })
    }

    /// Returns the launch data of a version of a template, or `None` if the template does not exist.
    pub(super) async fn template_data(
        &self,
        id: &RecordId,
        version: &str,
    ) -> Result<Option<ResponseLaunchTemplateData>> {
        const OPERATION: &str = "DescribeLaunchTemplateVersions";
        let request =
            self.ec2.describe_launch_template_versions().launch_template_id(id.as_str()).versions(version);
        let found = call(&self.limits, Bucket::Describe, Access::Read, OPERATION, request.send()).await;
        let Some(found) = absent(found)? else { return Ok(None) };
        let versions = found.value.launch_template_versions.unwrap_or_default();
        let data = versions.into_iter().next().and_then(|version| version.launch_template_data);
        data.map(Some).ok_or_else(|| {
            // Reads can show a template before its version.
            let message = format!("the launch template {id} has no version {version}");
            CloudError::new(ErrorClass::Transient, OPERATION, "NoVersion", message)
        })
    }

    pub(super) async fn base_template(&self, id: &RecordId) -> Result<BaseTemplate> {
        let data = self.template_data(id, DEFAULT_VERSION).await?.ok_or_else(|| no_data(id))?;
        self.checked_bases.insert(id, &data);
        Ok(base_template::parse(data))
    }

    /// Returns the launch data of a base template as a launch has just checked it, or reads it.
    async fn base_data(&self, id: &RecordId) -> Result<ResponseLaunchTemplateData> {
        match self.checked_bases.get(id) {
            Some(data) => Ok(data),
            None => self.template_data(id, DEFAULT_VERSION).await?.ok_or_else(|| no_data(id)),
        }
    }

    pub(super) async fn create_record(&self, fleet: &Fleet, new: &NewRecord) -> Result<RecordId> {
        let base = self.base_data(&fleet.template).await?;
        let data = match &new.purpose {
            Purpose::Launch(environment) => {
                let mut data = launch_template_copy::launch_data(base);
                base_template::correct(&mut data);
                base_template::correct_credits(&mut data, &fleet.policy.fallback_instance_types);
                launch_data(data, environment, &new.identity_tags())
            }
            // EC2 rejects empty launch data. Without an image, nothing can be launched from it.
            Purpose::Retire { .. } | Purpose::Hold(_) | Purpose::Replace(_) => {
                RequestLaunchTemplateData::builder().set_instance_type(base.instance_type).build()
            }
        };
        let name = new.environment.record_name();
        Box::pin(self.create_template(&name, &new.claim, data, &new.tags())).await
    }

    pub(super) async fn create_fleet(&self, new: &NewFleet, gone: Option<&RecordId>) -> Result<RecordId> {
        // A user repeats the same request if the response was lost, and then gets the same fleet.
        let claim = gone.map_or(new.name.as_str(), RecordId::as_str);
        Box::pin(self.create_template(&new.name.template_name(), claim, fleet_data(new), &new.tags())).await
    }

    pub(super) async fn create_template(
        &self,
        name: &str,
        claim: &str,
        data: RequestLaunchTemplateData,
        tags: &Tags,
    ) -> Result<RecordId> {
        // The user data is redacted where the data is printed.
        let user_data = data.user_data().unwrap_or_default();
        // Repeated requests with the same token return the same template. EC2 refuses the token for a request with other data.
        let token = hex::encode(Sha256::digest(format!("{name} {claim} {tags:?} {data:?} {user_data}")));
        let request = self
            .ec2
            .create_launch_template()
            .launch_template_name(name)
            .launch_template_data(data)
            .client_token(token)
            .tag_specifications(specification(ResourceType::LaunchTemplate, tags));
        let created =
            call(&self.limits, Bucket::Change, Access::Write, "CreateLaunchTemplate", request.send()).await?;
        let id = created.value.launch_template.and_then(|template| template.launch_template_id);
        id.map(RecordId::new).ok_or_else(|| {
            let message = "the response names no launch template";
            CloudError::new(ErrorClass::Unknown, "CreateLaunchTemplate", "BadResponse", message)
        })
    }

    pub(super) async fn delete_record(&self, id: &RecordId) -> Result<()> {
        let request = self.ec2.delete_launch_template().launch_template_id(id.as_str());
        let deleted =
            call(&self.limits, Bucket::Change, Access::Write, "DeleteLaunchTemplate", request.send()).await;
        absent(deleted).map(|_| ())
    }

    /// Changes the tags of an EC2 resource. It sets tags before it removes others, so that a failure in between loses none.
    pub(super) async fn tag_ec2(&self, id: &str, changes: &TagChanges) -> Result<()> {
        if !changes.set.is_empty() {
            let request = self.ec2.create_tags().resources(id).set_tags(Some(ec2_tags(&changes.set)));
            call(&self.limits, Bucket::Tag, Access::Write, "CreateTags", request.send()).await?;
        }
        if !changes.remove.is_empty() {
            let tags = changes.remove.iter().map(|key| Tag::builder().key(key).build()).collect();
            let request = self.ec2.delete_tags().resources(id).set_tags(Some(tags));
            call(&self.limits, Bucket::Tag, Access::Write, "DeleteTags", request.send()).await?;
        }
        Ok(())
    }
}

/// Returns a record's launch data: the corrected base template's, with the environment's image, subnet and tags, encrypted volumes, and the required
/// metadata options.
fn launch_data(
    mut data: RequestLaunchTemplateData,
    new: &NewEnvironment,
    tags: &Tags,
) -> RequestLaunchTemplateData {
    data.image_id = Some(new.image.to_string());
    data.instance_initiated_shutdown_behavior = Some(ShutdownBehavior::Terminate);
    data.metadata_options = Some(metadata_options());
    if let Some(root) = &new.root_device {
        base_template::rename_root(data.block_device_mappings.as_deref_mut().unwrap_or_default(), root);
    }
    for device in data.block_device_mappings.iter_mut().flatten() {
        if let Some(ebs) = &mut device.ebs {
            ebs.encrypted = Some(true);
        }
    }
    let interfaces = data.network_interfaces.get_or_insert_default();
    if interfaces.is_empty() {
        // In a launch template, only a network interface can have a subnet, and then the security groups belong to it too.
        let groups = data.security_group_ids.take();
        interfaces.push(
            LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
                .device_index(0)
                .delete_on_termination(true)
                .set_groups(groups)
                .build(),
        );
    }
    if let Some(first) = interfaces.first_mut() {
        first.subnet_id = Some(new.subnet.to_string());
    }
    for kind in LAUNCHED {
        add_tags(data.tag_specifications.get_or_insert_default(), &kind, tags);
    }
    data
}

/// Adds the environment's tags, which override the base template's.
pub(super) fn add_tags(
    specifications: &mut Vec<LaunchTemplateTagSpecificationRequest>,
    kind: &ResourceType,
    tags: &Tags,
) {
    let mut all = Tags::new();
    for specification in specifications.iter().filter(|found| found.resource_type.as_ref() == Some(kind)) {
        all.extend(parse_tags(specification.tags()));
    }
    all.extend(tags.clone());
    specifications.retain(|found| found.resource_type.as_ref() != Some(kind));
    let specification = LaunchTemplateTagSpecificationRequest::builder()
        .resource_type(kind.clone())
        .set_tags(Some(ec2_tags(&all)));
    specifications.push(specification.build());
}

/// Requires `IMDSv2`, allows the hops of pods in Minikube, and exposes the instance's tags.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>
pub(super) fn metadata_options() -> LaunchTemplateInstanceMetadataOptionsRequest {
    LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::Enabled)
        .http_tokens(LaunchTemplateHttpTokensState::Required)
        .http_put_response_hop_limit(3)
        .instance_metadata_tags(LaunchTemplateInstanceMetadataTagsState::Enabled)
        .build()
}

fn fleet_data(new: &NewFleet) -> RequestLaunchTemplateData {
    let volume = LaunchTemplateEbsBlockDeviceRequest::builder()
        .encrypted(true)
        .delete_on_termination(true)
        .volume_type(VolumeType::Gp3)
        .set_volume_size(new.volume_gib.and_then(|gib| i32::try_from(gib).ok()))
        .build();
    let device =
        LaunchTemplateBlockDeviceMappingRequest::builder().device_name(ROOT_DEVICE).ebs(volume).build();
    let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .device_index(0)
        .delete_on_termination(true)
        .associate_public_ip_address(new.public_address)
        .set_groups(Some(new.security_groups.clone()))
        .set_subnet_id(new.policy.subnets.first().map(ToString::to_string))
        .build();
    let profile = new.instance_profile.as_ref().map(|profile| {
        let (arn, name) = profile_parts(profile);
        LaunchTemplateIamInstanceProfileSpecificationRequest::builder().set_arn(arn).set_name(name).build()
    });
    RequestLaunchTemplateData::builder()
        .instance_type(new.instance_type.as_str().into())
        .set_iam_instance_profile(profile)
        .set_key_name(new.key_name.clone())
        .set_user_data(
            new.user_data.as_ref().map(|text| base64::engine::general_purpose::STANDARD.encode(text)),
        )
        .block_device_mappings(device)
        .network_interfaces(interface)
        .metadata_options(metadata_options())
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .build()
}

fn profile_parts(profile: &str) -> (Option<String>, Option<String>) {
    if profile.starts_with("arn:") {
        (Some(profile.to_owned()), None)
    } else {
        (None, Some(profile.to_owned()))
    }
}

/// Converts the name or ARN of an instance profile.
pub(super) fn profile_of(profile: &str) -> IamInstanceProfileSpecification {
    let (arn, name) = profile_parts(profile);
    IamInstanceProfileSpecification::builder().set_arn(arn).set_name(name).build()
}

fn no_data(id: &RecordId) -> CloudError {
    let message = format!("the launch template {id} does not exist or has no default version");
    CloudError::new(ErrorClass::NotFound, "DescribeLaunchTemplateVersions", "NoData", message)
}

fn attributes(template: &LaunchTemplate) -> Option<(RecordId, &str, Tags)> {
    let id = RecordId::new(template.launch_template_id()?);
    Some((id, template.launch_template_name()?, parse_tags(template.tags())))
}

fn parse_fleet(template: &LaunchTemplate) -> Option<Fleet> {
    let (id, name, tags) = attributes(template)?;
    Fleet::parse(id, name, &tags)
}

fn parse_record(fleet: &FleetName, template: &LaunchTemplate) -> Parsed<Record> {
    let (id, name, tags) = attributes(template)?;
    Record::parse(fleet, id, name, from_sdk_time(template.create_time()?)?, &tags)
}

/// Parses the items of each page and leaves out those that are not the fleet's.
pub(super) fn parse_pages<'a, A: 'a, B: 'a>(
    pages: Pages<'a, A>,
    parse: impl Fn(&A) -> Parsed<B> + Send + 'a,
) -> Pages<'a, B> {
    pages.map(move |page| page.map(|page| Page::parse(&page.value, page.as_of, &parse))).boxed()
}

/// Converts the parsed resource of a read by id or name.
pub(super) fn readable<T>(operation: &'static str, parsed: Parsed<T>) -> Result<Option<T>> {
    parsed.transpose().map_err(|unreadable| unreadable.to_error(operation))
}

pub(super) fn filter<'v>(name: &str, values: impl IntoIterator<Item = &'v str>) -> Filter {
    let values = values.into_iter().map(str::to_owned).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

pub(super) fn parse_tags(tags: &[Tag]) -> Tags {
    tags.iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect()
}

fn ec2_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

pub(super) fn specification(kind: ResourceType, tags: &Tags) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(ec2_tags(tags))).build()
}
