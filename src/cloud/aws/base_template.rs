//! What a base template may bring that a short-lived instance must not have. Records leave it out where that is safe; otherwise the
//! template is refused. EC2 checks most of it only when an instance is launched or terminated, which is too late.

use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateInstanceMarketOptionsRequest,
    RequestLaunchTemplateData, ResourceType, ResponseLaunchTemplateData, SpotInstanceType, Tag,
};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::launch_template_copy;
use crate::cloud::BaseTemplate;
use crate::domain::{text, user_data};

/// The names that images give to their root devices.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html>
const ROOT_DEVICES: [&str; 3] = ["/dev/xvda", "/dev/sda1", "/dev/sda"];

/// Reads the parts of a base template that checks need.
pub(super) fn parse(data: ResponseLaunchTemplateData) -> BaseTemplate {
    let mut data = launch_template_copy::launch_data(data);
    let problems = problems(&data);
    let corrections = correct(&mut data);
    let on_interfaces =
        data.network_interfaces.iter().flatten().flat_map(|interface| interface.groups.iter().flatten());
    let profile = data.iam_instance_profile.as_ref();
    BaseTemplate {
        instance_type: data.instance_type.as_ref().map(|kind| kind.as_str().into()),
        security_groups: data
            .security_group_ids
            .iter()
            .flatten()
            .chain(on_interfaces)
            .map(|id| id.as_str().into())
            .collect(),
        instance_profile: profile
            .and_then(|profile| profile.arn.clone().or(profile.name.clone()))
            .map(Into::into),
        key_name: data.key_name.map(Into::into),
        corrections,
        problems,
    }
}

/// Returns why no instance can be launched from a template, one sentence each.
fn problems(data: &RequestLaunchTemplateData) -> Vec<String> {
    let mut problems = Vec::new();
    // Requirements give way to the type that a launch names, but a template with requirements has no type.
    if data.instance_type.is_none() {
        problems.push("it names no instance type, which type requirements do not replace".to_owned());
    }
    // Names could be resolved, but only in one VPC, and a group that is created again has the same name and other rules.
    if data.security_groups.as_ref().is_some_and(|groups| !groups.is_empty()) {
        problems.push("it names security groups by name; use their ids".to_owned());
    }
    // An interface or an address of the template could belong to one instance only.
    let is_fixed =
        |interface: &aws_sdk_ec2::types::LaunchTemplateInstanceNetworkInterfaceSpecificationRequest| {
            interface.network_interface_id.is_some() || interface.private_ip_address.is_some()
        };
    if data.network_interfaces.iter().flatten().any(is_fixed) {
        problems.push(
            "it names a network interface or a private address, which only one instance can have".to_owned(),
        );
    }
    // EC2 accepts Base64 only. Without user data, the image brings the bootstrap.
    let user_data = data.user_data.as_ref().and_then(|encoded| STANDARD.decode(encoded).ok());
    if let Some(Err((problem, hint))) = user_data.map(|user_data| user_data::check(&user_data)) {
        problems.push(format!("cloud-init ignores its user data: {problem} ({hint})"));
    }
    problems
}

/// Removes what an environment must not have. Returns what was removed, one sentence each.
///
/// Each correction keeps a promise of hatchery that the setting breaks: an environment ends when it expires, and it starts in the subnet of
/// its database. What a user could want in a feature environment, such as Spot itself, stays.
pub(super) fn correct(data: &mut RequestLaunchTemplateData) -> Vec<String> {
    let mut corrections = Vec::new();
    // EC2 refuses to terminate a protected instance, and its database would wait with it.
    if data.disable_api_termination.take() == Some(true) {
        corrections.push("termination protection, because environments end".to_owned());
    }
    if data.disable_api_stop.take() == Some(true) {
        corrections.push("stop protection, because environments end".to_owned());
    }
    if data.instance_market_options.as_mut().is_some_and(request_spot_once) {
        corrections
            .push("the persistent Spot request, which launches again after each termination".to_owned());
    }
    if data.instance_requirements.take().is_some() {
        corrections.push("the type requirements, because a launch names its type".to_owned());
    }
    if let Some(placement) = &mut data.placement
        && (placement.availability_zone.take().is_some() | placement.availability_zone_id.take().is_some())
    {
        corrections.push("the Availability Zone, because a launch names its subnet".to_owned());
    }
    corrections.extend(move_groups(data));
    // EC2 fails the launch of an instance whose metadata cannot list its tags. Volumes and interfaces may keep the keys.
    for specification in data.tag_specifications.iter_mut().flatten() {
        if specification.resource_type != Some(ResourceType::Instance) {
            continue;
        }
        let tags = specification.tags.get_or_insert_default();
        let (kept, dropped) = std::mem::take(tags).into_iter().partition(|tag| is_metadata_key(key_of(tag)));
        *tags = kept;
        corrections.extend(dropped.iter().map(|tag: &Tag| {
            let key = text::sanitize(key_of(tag));
            format!("the instances' tag {key:?}, whose key the instances' metadata cannot have")
        }));
    }
    data.tag_specifications
        .iter_mut()
        .for_each(|all| all.retain(|found| found.tags.as_ref().is_some_and(|tags| !tags.is_empty())));
    corrections
}

/// Makes a persistent Spot request a single one. Returns whether it was persistent.
fn request_spot_once(market: &mut LaunchTemplateInstanceMarketOptionsRequest) -> bool {
    let Some(spot) = &mut market.spot_options else { return false };
    if spot.spot_instance_type != Some(SpotInstanceType::Persistent) {
        return false;
    }
    spot.spot_instance_type = Some(SpotInstanceType::OneTime);
    // Both are for persistent requests only.
    spot.valid_until = None;
    spot.instance_interruption_behavior = None;
    true
}

/// EC2 refuses security groups beside network interfaces, so those of the instance become the first interface's.
fn move_groups(data: &mut RequestLaunchTemplateData) -> Option<String> {
    let first = data.network_interfaces.as_mut()?.first_mut()?;
    let groups = data.security_group_ids.take().filter(|groups| !groups.is_empty())?;
    let own = first.groups.get_or_insert_default();
    own.extend(groups);
    own.sort_unstable();
    own.dedup();
    Some("security groups of the instance beside its network interface, which gets them".to_owned())
}

/// Whether a tag of this key may be in the metadata of an instance.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
fn is_metadata_key(key: &str) -> bool {
    let allows = |c: char| c.is_alphanumeric() || "+-=.,_:@".contains(c);
    key.chars().all(allows) && !matches!(key, "." | ".." | "_index")
}

fn key_of(tag: &Tag) -> &str {
    tag.key().unwrap_or_default()
}

/// Leaves out the mode of CPU credits unless all of the instance types have it, because EC2 refuses it for the others.
pub(super) fn correct_credits(data: &mut RequestLaunchTemplateData, fallbacks: &[String]) {
    let own = data.instance_type.as_ref().map_or("", |kind| kind.as_str());
    if !fallbacks.iter().map(String::as_str).chain([own]).all(is_burstable) {
        data.credit_specification = None;
    }
}

fn is_burstable(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or_default();
    family.strip_prefix('t').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Gives the mapping of the root volume the name that the image has for it. A mapping of another name would be a second disk.
pub(super) fn rename_root(devices: &mut [LaunchTemplateBlockDeviceMappingRequest], root: &str) {
    let is_named = |device: &LaunchTemplateBlockDeviceMappingRequest, name: &str| {
        device.device_name.as_deref() == Some(name)
    };
    if devices.iter().any(|device| is_named(device, root)) {
        return;
    }
    let find = |name: &&str| devices.iter().position(|device| is_named(device, name) && device.ebs.is_some());
    if let Some(index) = ROOT_DEVICES.iter().find_map(find) {
        devices[index].device_name = Some(root.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types as ec2;
    use rstest::rstest;

    use super::*;

    fn tags(kind: ResourceType, keys: &[&str]) -> ec2::LaunchTemplateTagSpecificationRequest {
        let tags = keys.iter().map(|key| Tag::builder().key(*key).value("x").build()).collect();
        ec2::LaunchTemplateTagSpecificationRequest::builder().resource_type(kind).set_tags(Some(tags)).build()
    }

    fn keys(data: &RequestLaunchTemplateData, kind: &ResourceType) -> Vec<String> {
        let all = data.tag_specifications.iter().flatten();
        let found = all.filter(|found| found.resource_type.as_ref() == Some(kind));
        found.flat_map(|found| found.tags().iter().map(|tag| key_of(tag).to_owned())).collect()
    }

    #[test]
    fn protection_is_left_out() {
        let mut data =
            RequestLaunchTemplateData::builder().disable_api_termination(true).disable_api_stop(true).build();
        let corrections = correct(&mut data);
        assert_eq!((data.disable_api_termination, data.disable_api_stop), (None, None));
        assert_eq!(corrections.len(), 2, "{corrections:?}");
    }

    #[test]
    fn persistent_spot_becomes_one_time() {
        let spot = ec2::LaunchTemplateSpotMarketOptionsRequest::builder()
            .spot_instance_type(SpotInstanceType::Persistent)
            .max_price("0.1")
            .valid_until(aws_smithy_types::DateTime::from_secs(1))
            .instance_interruption_behavior(ec2::InstanceInterruptionBehavior::Stop)
            .build();
        let market = LaunchTemplateInstanceMarketOptionsRequest::builder()
            .market_type(ec2::MarketType::Spot)
            .spot_options(spot)
            .build();
        let mut data = RequestLaunchTemplateData::builder().instance_market_options(market).build();
        assert_eq!(correct(&mut data).len(), 1);
        let market = data.instance_market_options.clone().unwrap();
        assert_eq!(market.market_type, Some(ec2::MarketType::Spot), "Spot itself stays");
        let spot = market.spot_options.unwrap();
        assert_eq!(spot.spot_instance_type, Some(SpotInstanceType::OneTime));
        assert_eq!((spot.valid_until, spot.instance_interruption_behavior), (None, None));
        assert_eq!(spot.max_price.as_deref(), Some("0.1"));
        assert_eq!(correct(&mut data), Vec::<String>::new(), "a single request is right");
    }

    #[test]
    fn zone_and_requirements_are_left_out() {
        let placement = ec2::LaunchTemplatePlacementRequest::builder()
            .availability_zone("eu-west-1a")
            .availability_zone_id("euw1-az1")
            .tenancy(ec2::Tenancy::Dedicated)
            .build();
        let mut data = RequestLaunchTemplateData::builder()
            .placement(placement)
            .instance_requirements(ec2::InstanceRequirementsRequest::builder().build())
            .build();
        assert_eq!(correct(&mut data).len(), 2);
        let placement = data.placement.unwrap();
        assert_eq!((placement.availability_zone, placement.availability_zone_id), (None, None));
        assert_eq!(placement.tenancy, Some(ec2::Tenancy::Dedicated));
        assert_eq!(data.instance_requirements, None);
    }

    #[test]
    fn keys_that_metadata_cannot_have_leave_the_instances() {
        let all = ["team", "Cost Center", "kubernetes.io/cluster", "a+b-c=d.e,f_g:h@i", "Straße", "_index"];
        let mut data = RequestLaunchTemplateData::builder()
            .tag_specifications(tags(ResourceType::Instance, &all))
            .tag_specifications(tags(ResourceType::Volume, &all))
            .build();
        let corrections = correct(&mut data);
        assert_eq!(keys(&data, &ResourceType::Instance), ["team", "a+b-c=d.e,f_g:h@i", "Straße"]);
        assert_eq!(keys(&data, &ResourceType::Volume), all);
        assert!(corrections.len() == 3 && corrections[0].contains("\"Cost Center\""), "{corrections:?}");
        // EC2 refuses specifications without tags.
        let mut data =
            RequestLaunchTemplateData::builder().tag_specifications(tags(ResourceType::Instance, &["a b"]));
        data = data.tag_specifications(tags(ResourceType::Volume, &[]));
        let mut data = data.build();
        correct(&mut data);
        assert_eq!(data.tag_specifications, Some(Vec::new()));
    }

    #[test]
    fn groups_move_to_the_interface() {
        let interface = ec2::LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
            .device_index(0)
            .groups("sg-2");
        let mut data = RequestLaunchTemplateData::builder()
            .network_interfaces(interface.build())
            .security_group_ids("sg-1")
            .security_group_ids("sg-2")
            .build();
        assert_eq!(correct(&mut data).len(), 1);
        assert_eq!(data.network_interfaces()[0].groups(), ["sg-1", "sg-2"]);
        assert_eq!(data.security_group_ids, None);
    }

    #[test]
    fn unusable_templates_are_refused() {
        let usable = || RequestLaunchTemplateData::builder().instance_type("t3.large".into());
        assert_eq!(problems(&usable().build()), Vec::<String>::new());
        assert!(problems(&RequestLaunchTemplateData::builder().build())[0].contains("no instance type"));
        assert!(problems(&usable().security_groups("default").build())[0].contains("use their ids"));
        let interface = ec2::LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder();
        for fixed in
            [interface.clone().network_interface_id("eni-1"), interface.private_ip_address("10.0.0.7")]
        {
            assert!(
                problems(&usable().network_interfaces(fixed.build()).build())[0]
                    .contains("only one instance")
            );
        }
        for (user_data, problem) in
            [("#!/bin/sh\n", None), ("echo up\n", Some("cloud-init ignores its user data"))]
        {
            let found = problems(&usable().user_data(STANDARD.encode(user_data)).build());
            assert_eq!(found.len(), usize::from(problem.is_some()));
            assert!(problem.is_none_or(|problem| found[0].starts_with(problem)), "{found:?}");
        }
    }

    #[rstest]
    #[case("t3.large", &[], true)]
    #[case("t3.large", &["t3a.large", "t4g.large"], true)]
    #[case("t3.large", &["m6i.large"], false)]
    #[case("m6i.large", &["t3.large"], false)]
    #[case("trn1.2xlarge", &[], false)]
    fn credits(#[case] own: &str, #[case] fallbacks: &[&str], #[case] stay: bool) {
        let credit = ec2::CreditSpecificationRequest::builder().cpu_credits("unlimited").build();
        let data =
            RequestLaunchTemplateData::builder().instance_type(own.into()).credit_specification(credit);
        let mut data = data.build();
        correct_credits(&mut data, &fallbacks.iter().map(|&kind| kind.to_owned()).collect::<Vec<_>>());
        assert_eq!(data.credit_specification.is_some(), stay);
    }

    #[rstest]
    #[case(&["/dev/xvda", "/dev/sdb"], "/dev/sda1", &["/dev/sda1", "/dev/sdb"])]
    #[case(&["/dev/sdb", "/dev/sda1"], "/dev/xvda", &["/dev/sdb", "/dev/xvda"])]
    #[case(&["/dev/xvda", "/dev/sda1"], "/dev/sda1", &["/dev/xvda", "/dev/sda1"])]
    #[case(&["/dev/sdf"], "/dev/xvda", &["/dev/sdf"])]
    fn root(#[case] from: &[&str], #[case] image: &str, #[case] to: &[&str]) {
        let mapping = |name: &&str| {
            let ebs = ec2::LaunchTemplateEbsBlockDeviceRequest::builder().volume_size(80).build();
            LaunchTemplateBlockDeviceMappingRequest::builder().device_name(*name).ebs(ebs).build()
        };
        let mut devices: Vec<_> = from.iter().map(mapping).collect();
        rename_root(&mut devices, image);
        let names: Vec<_> = devices.iter().filter_map(|device| device.device_name()).collect();
        assert_eq!(names, to);
    }
}
