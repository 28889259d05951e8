//! Base templates that a person or a stack made, with settings that an environment must not have.

use aws_sdk_ec2::types::{
    AddPrefixListEntry, CreditSpecificationRequest, InstanceInterruptionBehavior, IpPermission,
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateInstanceMarketOptionsRequest, LaunchTemplateInstanceNetworkInterfaceSpecificationRequest,
    LaunchTemplatePlacementRequest, LaunchTemplateSpotMarketOptionsRequest,
    LaunchTemplateTagSpecificationRequest, MarketType, PrefixListId, RequestLaunchTemplateData, ResourceType,
    ResponseLaunchTemplateData, SpotInstanceType, Tag,
};

use crate::support::account::{Account, init, init_arguments};
use crate::support::binary::hatchery;
use crate::support::moto::Moto;

/// A server with a fleet whose base template has these data.
async fn fleet_with(data: RequestLaunchTemplateData) -> Moto {
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0", "--fallback-instance-types", "m6i.2xlarge"]).await;
    set_base_template(&moto, data).await;
    moto
}

/// Makes these data the default version of the base template.
async fn set_base_template(moto: &Moto, data: RequestLaunchTemplateData) {
    let ec2 = moto.ec2().await;
    let id = Account::new(moto).await.template_id("hatchery/dev").await;
    let created =
        ec2.create_launch_template_version().launch_template_id(&id).launch_template_data(data).send().await;
    let version = created.unwrap().launch_template_version.unwrap().version_number.unwrap();
    ec2.modify_launch_template()
        .launch_template_id(&id)
        .default_version(version.to_string())
        .send()
        .await
        .unwrap();
}

/// The launch data of the first environment's record.
async fn record_data(moto: &Moto) -> ResponseLaunchTemplateData {
    let id = Account::new(moto).await.template_id("hatchery/dev/1").await;
    let ec2 = moto.ec2().await;
    let request = ec2.describe_launch_template_versions().launch_template_id(id).versions("$Default");
    let versions = request.send().await.unwrap().launch_template_versions.unwrap();
    versions.into_iter().next().unwrap().launch_template_data.unwrap()
}

fn interface(group: &str) -> LaunchTemplateInstanceNetworkInterfaceSpecificationRequest {
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .device_index(0)
        .groups(group)
        .build()
}

fn tags(kind: ResourceType, keys: &[&str]) -> LaunchTemplateTagSpecificationRequest {
    let tags = keys.iter().map(|key| Tag::builder().key(*key).value("x").build()).collect();
    LaunchTemplateTagSpecificationRequest::builder().resource_type(kind).set_tags(Some(tags)).build()
}

#[tokio::test]
async fn records_correct_the_base_template() {
    let spot = LaunchTemplateSpotMarketOptionsRequest::builder()
        .spot_instance_type(SpotInstanceType::Persistent)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Stop);
    let market = LaunchTemplateInstanceMarketOptionsRequest::builder()
        .market_type(MarketType::Spot)
        .spot_options(spot.build());
    let disk = LaunchTemplateEbsBlockDeviceRequest::builder().volume_size(80).build();
    let disk = LaunchTemplateBlockDeviceMappingRequest::builder().device_name("/dev/xvda").ebs(disk);
    let data = RequestLaunchTemplateData::builder()
        .instance_type("t3.2xlarge".into())
        .disable_api_termination(true)
        .disable_api_stop(true)
        .instance_market_options(market.build())
        .placement(LaunchTemplatePlacementRequest::builder().availability_zone("eu-west-1b").build())
        .credit_specification(CreditSpecificationRequest::builder().cpu_credits("standard").build())
        .block_device_mappings(disk.build())
        .tag_specifications(tags(ResourceType::Instance, &["team", "Cost Center"]))
        .tag_specifications(tags(ResourceType::Volume, &["Cost Center"]));
    let moto = Moto::start();
    init(&moto, "dev", &["--spare", "0", "--fallback-instance-types", "m6i.2xlarge"]).await;
    let group = moto.seed_of("dev").security_group;
    set_base_template(&moto, data.network_interfaces(interface(&group)).build()).await;

    let doctor = hatchery(&moto, &["doctor"]).out;
    for part in ["termination protection", "stop protection", "Spot", "Availability Zone", "\"Cost Center\""]
    {
        assert!(doctor.contains(part), "{part:?} in {doctor}");
    }
    hatchery(&moto, &["launch", "checkout-fix"]).ok();
    let record = record_data(&moto).await;
    assert_ne!(record.disable_api_termination, Some(true), "{record:#?}");
    assert_ne!(record.disable_api_stop, Some(true));
    let spot = record.instance_market_options.as_ref().and_then(|market| market.spot_options()).unwrap();
    assert_eq!(spot.spot_instance_type, Some(SpotInstanceType::OneTime));
    assert_eq!(spot.instance_interruption_behavior, None);
    assert_eq!(record.placement.as_ref().and_then(|placement| placement.availability_zone()), None);
    assert_eq!(record.credit_specification, None, "the fallback type has no credits");
    let image = moto.seed_of("dev").image;
    let images = moto.ec2().await.describe_images().image_ids(image).send().await.unwrap();
    // moto's images call it /dev/sda1, whatever they were registered with.
    let root = images.images()[0].root_device_name();
    assert!(root.is_some_and(|root| root != "/dev/xvda"), "{images:#?}");
    assert_eq!(record.block_device_mappings()[0].device_name(), root);
    let keys = |kind: ResourceType| -> Vec<&str> {
        let all =
            record.tag_specifications().iter().filter(|found| found.resource_type == Some(kind.clone()));
        all.flat_map(|found| found.tags().iter().filter_map(Tag::key)).collect()
    };
    let on_instance = keys(ResourceType::Instance);
    assert!(on_instance.contains(&"team") && !on_instance.contains(&"Cost Center"), "{on_instance:?}");
    assert!(keys(ResourceType::Volume).contains(&"Cost Center"));
    for kind in [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface] {
        assert!(keys(kind.clone()).contains(&"hatchery:fleet"), "{kind}");
    }
}

#[tokio::test]
async fn unusable_base_templates_are_refused() {
    let usable = || RequestLaunchTemplateData::builder().instance_type("t3.2xlarge".into());
    for (data, sentence) in [
        (RequestLaunchTemplateData::builder().key_name("k").build(), "names no instance type"),
        (usable().security_groups("default").build(), "names security groups by name; use their ids"),
    ] {
        let moto = Box::pin(fleet_with(data)).await;
        hatchery(&moto, &["launch", "x"])
            .fails(5, &["cannot launch", "hatchery/dev", sentence, "new version"]);
        let state = Account::new(&moto).await.inspect().await;
        assert!(state.records.is_empty() && state.databases.is_empty(), "{state:#?}");
        let doctor = hatchery(&moto, &["doctor"]);
        assert!(doctor.code == 1 && doctor.out.contains(sentence), "{doctor:#?}");
    }
}

/// Opens the seeded security group to the ranges of a new prefix list, and returns the list's id.
async fn allow_prefix_list(moto: &Moto, ranges: &[&str]) -> String {
    let ec2 = moto.ec2().await;
    let entries = ranges.iter().map(|range| AddPrefixListEntry::builder().cidr(*range).build()).collect();
    let created = ec2
        .create_managed_prefix_list()
        .prefix_list_name("vpn")
        .address_family("IPv4")
        .max_entries(10)
        .set_entries(Some(entries));
    let list = created.send().await.unwrap().prefix_list.unwrap().prefix_list_id.unwrap();
    let rule = IpPermission::builder()
        .ip_protocol("tcp")
        .from_port(443)
        .to_port(443)
        .prefix_list_ids(PrefixListId::builder().prefix_list_id(&list).build());
    let group = moto.seed_of("dev").security_group;
    let allow = ec2.authorize_security_group_ingress().group_id(group).ip_permissions(rule.build());
    allow.send().await.unwrap();
    list
}

#[tokio::test]
async fn groups_open_by_halves_or_lists_are_open() {
    let moto = Moto::start();
    let seed = moto.seed("dev").await;
    allow_prefix_list(&moto, &["198.51.100.0/24"]).await;
    let arguments = init_arguments(&seed, "dev", &["--spare", "0"]);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    hatchery(&moto, &arguments).ok();
    moto.allow_ingress(&seed.security_group, "0.0.0.0/1").await;
    moto.allow_ingress(&seed.security_group, "128.0.0.0/1").await;
    hatchery(&moto, &["launch", "x"]).fails(5, &["cannot launch", "admits 0.0.0.0/1 and 128.0.0.0/1"]);

    let moto = Moto::start();
    let seed = moto.seed("dev").await;
    allow_prefix_list(&moto, &["0.0.0.0/2", "64.0.0.0/2", "203.0.113.0/24"]).await;
    let arguments = init_arguments(&seed, "dev", &["--spare", "0"]);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    hatchery(&moto, &arguments).fails(5, &["admits 0.0.0.0/2", "64.0.0.0/2", "nothing was written"]);
}
