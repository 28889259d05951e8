//! EC2 instances, and the images from which they are launched.

use aws_sdk_ec2::types::{
    Image as Ec2Image, ImageState, Instance as Ec2Instance, InstanceNetworkInterfaceSpecification,
    LaunchTemplateSpecification,
};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;

use super::call::{Access, Bucket, call};
use super::launch_templates::{filter, parse_pages, parse_tags};
use super::{AwsCloud, from_sdk_time};
use crate::cloud::{LaunchInstance, Observed, Page, Pages, Result, absent};
use crate::domain::instance::InstanceAttributes;
use crate::domain::tags::key;
use crate::domain::{
    CloudError, EnvironmentId, ErrorClass, FleetName, Image, ImageId, Instance, InstanceId, InstanceState,
    Record, SubnetId,
};

/// The maximum page size of `DescribeInstances`.
const PAGE: i32 = 1_000;

/// The only version of a record.
pub(super) const RECORD_VERSION: &str = "1";

impl AwsCloud {
    pub(super) fn list_ec2_instances(
        &self,
        filters: Vec<aws_sdk_ec2::types::Filter>,
    ) -> Pages<'_, Ec2Instance> {
        let pager = self
            .ec2
            .describe_instances()
            .set_filters(Some(filters))
            .max_results(PAGE)
            .into_paginator()
            .send();
        // The first error ends the stream. The pager alone would not: without credentials, it is not asked.
        let pages = futures::stream::try_unfold(pager, move |mut pager| async move {
            let next = async { pager.next().await.transpose() };
            let Observed { value, as_of } =
                call(&self.limits, Bucket::Describe, Access::Read, "DescribeInstances", next).await?;
            Ok(value.map(|page| {
                let reservations = page.reservations.unwrap_or_default().into_iter();
                let instances = reservations.flat_map(|r| r.instances.unwrap_or_default()).collect();
                (Page::new(instances, as_of), pager)
            }))
        });
        pages.boxed()
    }

    pub(super) fn instances<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Instance> {
        let filters = vec![filter(&format!("tag:{}", key::FLEET), [fleet.as_str()])];
        parse_pages(self.list_ec2_instances(filters), move |instance| parse(fleet, instance).map(Ok))
    }

    pub(super) async fn instances_of(&self, environment: &EnvironmentId) -> Result<Observed<Vec<Instance>>> {
        let id = environment.to_string();
        let filters = vec![filter(&format!("tag:{}", key::ENVIRONMENT), [id.as_str()])];
        self.all_of(&environment.fleet, filters).await
    }

    pub(super) async fn instance(
        &self,
        fleet: &FleetName,
        id: &InstanceId,
    ) -> Result<Observed<Option<Instance>>> {
        let found = self.all_of(fleet, vec![filter("instance-id", [id.as_str()])]).await?;
        Ok(Observed { value: found.value.into_iter().next(), as_of: found.as_of })
    }

    pub(super) async fn instance_of(&self, record: &Record) -> Result<Observed<Option<Instance>>> {
        let filter = match &record.instance {
            Some(id) => filter("instance-id", [id.as_str()]),
            None => filter(&format!("tag:{}", key::AWS_TEMPLATE_ID), [record.id.as_str()]),
        };
        let mut pages = self.list_ec2_instances(vec![filter]);
        let (mut found, mut as_of) = (Vec::new(), None);
        while let Some(page) = pages.next().await {
            let page = page?;
            as_of = as_of.or(page.as_of);
            for instance in &page.value {
                let Some(attributes) = attributes(instance) else { continue };
                found.push(Instance::parse_of(record, attributes, &parse_tags(instance.tags()))?);
            }
        }
        Ok(Observed { value: Instance::first(found), as_of })
    }

    async fn all_of(
        &self,
        fleet: &FleetName,
        filters: Vec<aws_sdk_ec2::types::Filter>,
    ) -> Result<Observed<Vec<Instance>>> {
        let mut all = Observed { value: Vec::new(), as_of: None };
        let mut pages =
            parse_pages(self.list_ec2_instances(filters), |instance| parse(fleet, instance).map(Ok));
        while let Some(page) = pages.next().await {
            let page = page?;
            all.as_of = all.as_of.or(page.as_of);
            all.value.extend(page.value);
        }
        Ok(all)
    }

    pub(super) async fn launch_instance(&self, request: &LaunchInstance) -> Result<InstanceId> {
        const OPERATION: &str = "RunInstances";
        let template = LaunchTemplateSpecification::builder()
            .launch_template_id(request.record.as_str())
            .version(RECORD_VERSION)
            .build();
        let mut run = self
            .ec2
            .run_instances()
            .launch_template(template)
            .client_token(&request.token)
            .min_count(1)
            .max_count(1)
            .set_instance_type(request.instance_type.as_deref().map(Into::into));
        if let Some(subnet) = &request.subnet {
            run = run.network_interfaces(self.interface_in(request, subnet).await?);
        }
        let response = call(&self.limits, Bucket::Run, Access::Write, OPERATION, run.send()).await?;
        let id = response.value.instances().first().and_then(|instance| instance.instance_id());
        id.map(InstanceId::new).ok_or_else(|| {
            CloudError::new(ErrorClass::Unknown, OPERATION, "BadResponse", "the response names no instance")
        })
    }

    /// Returns the template's network interface with another subnet, because an interface in the request replaces the template's.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>
    async fn interface_in(
        &self,
        request: &LaunchInstance,
        subnet: &SubnetId,
    ) -> Result<InstanceNetworkInterfaceSpecification> {
        let data = self.template_data(&request.record, RECORD_VERSION).await?.ok_or_else(|| {
            let message = format!("the record {} does not exist", request.record);
            CloudError::new(ErrorClass::NotFound, "RunInstances", "InvalidLaunchTemplateId.NotFound", message)
        })?;
        let interface = data.network_interfaces.unwrap_or_default().into_iter().next();
        let (groups, public) = interface
            .map(|interface| (interface.groups, interface.associate_public_ip_address))
            .unwrap_or_default();
        Ok(InstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .delete_on_termination(true)
            .subnet_id(subnet.as_str())
            .set_groups(groups.or(data.security_group_ids))
            .set_associate_public_ip_address(public)
            .build())
    }

    pub(super) async fn terminate_instance(&self, id: &InstanceId) -> Result<()> {
        let request = self.ec2.terminate_instances().instance_ids(id.as_str());
        let terminated =
            call(&self.limits, Bucket::Terminate, Access::Write, "TerminateInstances", request.send()).await;
        absent(terminated).map(|_| ())
    }

    pub(super) async fn latest_image(&self, tag: &str) -> Result<Option<Image>> {
        let mut pager = self
            .ec2
            .describe_images()
            .owners("self")
            .filters(filter(&format!("tag:{}", key::IMAGE), [tag]))
            .filters(filter("state", ["available"]))
            .into_paginator()
            .send();
        let mut latest: Option<Image> = None;
        loop {
            let next = async { pager.next().await.transpose() };
            let page = call(&self.limits, Bucket::Describe, Access::Read, "DescribeImages", next).await?;
            let Some(page) = page.value else { return Ok(latest) };
            for image in page.images().iter().filter_map(parse_image) {
                if latest.as_ref().is_none_or(|latest| latest.created_at < image.created_at) {
                    latest = Some(image);
                }
            }
        }
    }
}

fn parse(fleet: &FleetName, instance: &Ec2Instance) -> Option<Instance> {
    Instance::parse(fleet, attributes(instance)?, &parse_tags(instance.tags()))
}

fn attributes(instance: &Ec2Instance) -> Option<InstanceAttributes> {
    Some(InstanceAttributes {
        id: InstanceId::new(instance.instance_id()?),
        state: state_of(instance),
        state_reason: instance.state_reason().and_then(|reason| reason.message()).map(Into::into),
        instance_type: instance.instance_type().map(|kind| kind.as_str().into()).unwrap_or_default(),
        public_ip: instance.public_ip_address().map(Into::into),
        private_ip: instance.private_ip_address().map(Into::into),
        zone: instance.placement().and_then(|placement| placement.availability_zone()).map(Into::into),
        launched_at: instance.launch_time().and_then(from_sdk_time)?,
    })
}

fn state_of(instance: &Ec2Instance) -> InstanceState {
    let name = instance.state().and_then(|state| state.name()).map_or("", |name| name.as_str());
    name.parse().unwrap_or(InstanceState::Unknown)
}

fn parse_image(image: &Ec2Image) -> Option<Image> {
    let is_available = image.state().is_none_or(|state| *state == ImageState::Available);
    let created_at: DateTime<Utc> = image.creation_date()?.parse().ok()?;
    is_available.then_some(())?;
    Some(Image {
        id: ImageId::new(image.image_id()?),
        name: image.name().unwrap_or_default().into(),
        created_at,
        root_device: image.root_device_name().map(Into::into),
    })
}
