//! Copies the launch data of a base template into a record, so that any engine can finish a launch from the record alone.
//!
//! EC2's types of responses and requests differ. The macro lists each field of each pair of types once, copies it, and keeps the list of
//! names. A test compares the list with the SDK's types, so that a field in a new version of the SDK cannot be lost unnoticed.

#![allow(deprecated)] // responses still have accelerators that EC2 no longer offers

use aws_sdk_ec2::types as ec2;

macro_rules! copy {
    ($name:ident: $from:ident => $to:ident { $($plain:ident),* $(,)? }) => {
        copy!($name: $from => $to { $($plain),*; each {}; lists {}; dropped {} });
    };
    ($name:ident: $from:ident => $to:ident {
        $($plain:ident),* $(,)?
        ; each { $($each:ident: $copy_each:ident),* $(,)? }
        ; lists { $($list:ident: $copy_item:ident),* $(,)? }
        ; dropped { $($dropped:ident),* $(,)? }
    }) => {
        pub(super) fn $name(from: ec2::$from) -> ec2::$to {
            let mut to = ec2::$to::builder().build();
            $(to.$plain = from.$plain;)*
            $(to.$each = from.$each.map($copy_each);)*
            $(to.$list = from.$list.map(|items| items.into_iter().map($copy_item).collect());)*
            to
        }

        #[cfg(test)]
        mod $name {
            use super::ec2;

            pub(super) fn names() -> super::tests::Pair {
                super::tests::Pair {
                    from: format!("{:?}", ec2::$from::builder().build()),
                    to: format!("{:?}", ec2::$to::builder().build()),
                    copied: vec![$(stringify!($plain),)* $(stringify!($each),)* $(stringify!($list),)*],
                    dropped: vec![$(stringify!($dropped),)*],
                }
            }
        }
    };
}

copy!(launch_data: ResponseLaunchTemplateData => RequestLaunchTemplateData {
    kernel_id, ebs_optimized, image_id, instance_type, key_name, ram_disk_id, disable_api_termination,
    instance_initiated_shutdown_behavior, user_data, security_group_ids, security_groups, disable_api_stop;
    each {
        iam_instance_profile: instance_profile, monitoring: monitoring, placement: placement,
        instance_market_options: market_options, credit_specification: credit, cpu_options: cpu_options,
        capacity_reservation_specification: capacity_reservation, hibernation_options: hibernation,
        metadata_options: metadata_options, enclave_options: enclave,
        instance_requirements: instance_requirements, private_dns_name_options: private_dns_name,
        maintenance_options: maintenance, operator: operator, network_performance_options: network_performance,
    };
    lists {
        block_device_mappings: block_device, network_interfaces: network_interface,
        tag_specifications: tag_specification, elastic_gpu_specifications: elastic_gpu,
        elastic_inference_accelerators: inference_accelerator, license_specifications: license,
        secondary_interfaces: secondary_interface,
    };
    dropped {}
});

copy!(instance_profile: LaunchTemplateIamInstanceProfileSpecification
    => LaunchTemplateIamInstanceProfileSpecificationRequest { arn, name });
copy!(monitoring: LaunchTemplatesMonitoring => LaunchTemplatesMonitoringRequest { enabled });
copy!(placement: LaunchTemplatePlacement => LaunchTemplatePlacementRequest {
    availability_zone, availability_zone_id, affinity, group_name, host_id, tenancy, spread_domain,
    host_resource_group_arn, partition_number, group_id,
});
copy!(block_device: LaunchTemplateBlockDeviceMapping => LaunchTemplateBlockDeviceMappingRequest {
    device_name, virtual_name, no_device; each { ebs: ebs }; lists {}; dropped {}
});
copy!(ebs: LaunchTemplateEbsBlockDevice => LaunchTemplateEbsBlockDeviceRequest {
    encrypted, delete_on_termination, iops, kms_key_id, snapshot_id, volume_size, volume_type, throughput,
    volume_initialization_rate, ebs_card_index,
});
copy!(network_interface: LaunchTemplateInstanceNetworkInterfaceSpecification
    => LaunchTemplateInstanceNetworkInterfaceSpecificationRequest {
    associate_carrier_ip_address, associate_public_ip_address, delete_on_termination, description, device_index,
    groups, interface_type, ipv6_address_count, network_interface_id, private_ip_address, private_ip_addresses,
    secondary_private_ip_address_count, subnet_id, network_card_index, ipv4_prefix_count, ipv6_prefix_count,
    primary_ipv6, ena_queue_count;
    each { ena_srd_specification: ena_srd, connection_tracking_specification: connection_tracking };
    lists { ipv6_addresses: ipv6_address, ipv4_prefixes: ipv4_prefix, ipv6_prefixes: ipv6_prefix };
    dropped {}
});
copy!(ena_srd: LaunchTemplateEnaSrdSpecification => EnaSrdSpecificationRequest {
    ena_srd_enabled; each { ena_srd_udp_specification: ena_srd_udp }; lists {}; dropped {}
});
copy!(ena_srd_udp: LaunchTemplateEnaSrdUdpSpecification => EnaSrdUdpSpecificationRequest { ena_srd_udp_enabled });
copy!(connection_tracking: ConnectionTrackingSpecification => ConnectionTrackingSpecificationRequest {
    tcp_established_timeout, udp_timeout, udp_stream_timeout,
});
copy!(ipv6_address: InstanceIpv6Address => InstanceIpv6AddressRequest {
    // Requests mark the primary address by the interface's `primary_ipv6`.
    ipv6_address; each {}; lists {}; dropped { is_primary_ipv6 }
});
copy!(ipv4_prefix: Ipv4PrefixSpecificationResponse => Ipv4PrefixSpecificationRequest { ipv4_prefix });
copy!(ipv6_prefix: Ipv6PrefixSpecificationResponse => Ipv6PrefixSpecificationRequest { ipv6_prefix });
copy!(tag_specification: LaunchTemplateTagSpecification => LaunchTemplateTagSpecificationRequest {
    resource_type, tags,
});
copy!(elastic_gpu: ElasticGpuSpecificationResponse => ElasticGpuSpecification { r#type });
copy!(inference_accelerator: LaunchTemplateElasticInferenceAcceleratorResponse
    => LaunchTemplateElasticInferenceAccelerator { r#type, count });
copy!(market_options: LaunchTemplateInstanceMarketOptions => LaunchTemplateInstanceMarketOptionsRequest {
    market_type; each { spot_options: spot_options }; lists {}; dropped {}
});
copy!(spot_options: LaunchTemplateSpotMarketOptions => LaunchTemplateSpotMarketOptionsRequest {
    max_price, spot_instance_type, block_duration_minutes, valid_until, instance_interruption_behavior,
});
copy!(credit: CreditSpecification => CreditSpecificationRequest { cpu_credits });
copy!(cpu_options: LaunchTemplateCpuOptions => LaunchTemplateCpuOptionsRequest {
    core_count, threads_per_core, amd_sev_snp, nested_virtualization,
});
copy!(capacity_reservation: LaunchTemplateCapacityReservationSpecificationResponse
    => LaunchTemplateCapacityReservationSpecificationRequest {
    capacity_reservation_preference; each { capacity_reservation_target: capacity_target }; lists {}; dropped {}
});
copy!(capacity_target: CapacityReservationTargetResponse => CapacityReservationTarget {
    capacity_reservation_id, capacity_reservation_resource_group_arn,
});
copy!(license: LaunchTemplateLicenseConfiguration => LaunchTemplateLicenseConfigurationRequest {
    license_configuration_arn,
});
copy!(hibernation: LaunchTemplateHibernationOptions => LaunchTemplateHibernationOptionsRequest { configured });
copy!(metadata_options: LaunchTemplateInstanceMetadataOptions => LaunchTemplateInstanceMetadataOptionsRequest {
    // `state` is the progress of a change, which requests do not have.
    http_tokens, http_put_response_hop_limit, http_endpoint, http_protocol_ipv6, instance_metadata_tags;
    each {}; lists {}; dropped { state }
});
copy!(enclave: LaunchTemplateEnclaveOptions => LaunchTemplateEnclaveOptionsRequest { enabled });
copy!(private_dns_name: LaunchTemplatePrivateDnsNameOptions => LaunchTemplatePrivateDnsNameOptionsRequest {
    hostname_type, enable_resource_name_dns_a_record, enable_resource_name_dns_aaaa_record,
});
copy!(maintenance: LaunchTemplateInstanceMaintenanceOptions
    => LaunchTemplateInstanceMaintenanceOptionsRequest { auto_recovery });
copy!(operator: OperatorResponse => OperatorRequest {
    // Requests have only the principal.
    principal; each {}; lists {}; dropped { managed, hidden_by_default }
});
copy!(network_performance: LaunchTemplateNetworkPerformanceOptions
    => LaunchTemplateNetworkPerformanceOptionsRequest { bandwidth_weighting });
copy!(secondary_interface: LaunchTemplateInstanceSecondaryInterfaceSpecification
    => LaunchTemplateInstanceSecondaryInterfaceSpecificationRequest {
    delete_on_termination, device_index, private_ip_address_count, secondary_subnet_id, interface_type,
    network_card_index; each {}; lists { private_ip_addresses: secondary_address }; dropped {}
});
copy!(secondary_address: SecondaryInterfacePrivateIpAddressSpecification
    => SecondaryInterfacePrivateIpAddressSpecificationRequest { private_ip_address });

copy!(instance_requirements: InstanceRequirements => InstanceRequirementsRequest {
    cpu_manufacturers, excluded_instance_types, instance_generations, spot_max_price_percentage_over_lowest_price,
    on_demand_max_price_percentage_over_lowest_price, bare_metal, burstable_performance, require_hibernate_support,
    local_storage, local_storage_types, accelerator_types, accelerator_manufacturers, accelerator_names,
    allowed_instance_types, max_spot_price_as_percentage_of_optimal_on_demand_price, require_encryption_in_transit;
    each {
        v_cpu_count: v_cpu_count, memory_mib: memory, memory_gib_per_v_cpu: memory_per_cpu,
        network_interface_count: interface_count, total_local_storage_gb: total_storage,
        baseline_ebs_bandwidth_mbps: ebs_bandwidth, accelerator_count: accelerator_count,
        accelerator_total_memory_mib: accelerator_memory, network_bandwidth_gbps: network_bandwidth,
        baseline_performance_factors: performance_factors,
    };
    lists {};
    dropped {}
});
copy!(v_cpu_count: VCpuCountRange => VCpuCountRangeRequest { min, max });
copy!(memory: MemoryMiB => MemoryMiBRequest { min, max });
copy!(memory_per_cpu: MemoryGiBPerVCpu => MemoryGiBPerVCpuRequest { min, max });
copy!(interface_count: NetworkInterfaceCount => NetworkInterfaceCountRequest { min, max });
copy!(total_storage: TotalLocalStorageGb => TotalLocalStorageGbRequest { min, max });
copy!(ebs_bandwidth: BaselineEbsBandwidthMbps => BaselineEbsBandwidthMbpsRequest { min, max });
copy!(accelerator_count: AcceleratorCount => AcceleratorCountRequest { min, max });
copy!(accelerator_memory: AcceleratorTotalMemoryMiB => AcceleratorTotalMemoryMiBRequest { min, max });
copy!(network_bandwidth: NetworkBandwidthGbps => NetworkBandwidthGbpsRequest { min, max });
copy!(performance_factors: BaselinePerformanceFactors => BaselinePerformanceFactorsRequest {
    ; each { cpu: cpu_factor }; lists {}; dropped {}
});
copy!(cpu_factor: CpuPerformanceFactor => CpuPerformanceFactorRequest {
    ; each {}; lists { references: factor_reference }; dropped {}
});
copy!(factor_reference: PerformanceFactorReference => PerformanceFactorReferenceRequest { instance_family });

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    pub(super) struct Pair {
        pub(super) from: String,
        pub(super) to: String,
        pub(super) copied: Vec<&'static str>,
        pub(super) dropped: Vec<&'static str>,
    }

    macro_rules! pairs {
        ($($name:ident),* $(,)?) => { [$((stringify!($name), super::$name::names())),*] };
    }

    /// The names of the fields in the `Debug` form of an empty SDK struct: `Type { field: None, … }`.
    fn fields(debug: &str) -> BTreeSet<&str> {
        let inner = debug.split_once('{').map_or("", |(_, inner)| inner);
        inner.split(',').filter_map(|field| Some(field.split_once(':')?.0.trim())).collect()
    }

    #[test]
    fn every_field_of_the_sdk_is_listed() {
        for (name, pair) in pairs![
            launch_data,
            instance_profile,
            monitoring,
            placement,
            block_device,
            ebs,
            network_interface,
            ena_srd,
            ena_srd_udp,
            connection_tracking,
            ipv6_address,
            ipv4_prefix,
            ipv6_prefix,
            tag_specification,
            elastic_gpu,
            inference_accelerator,
            market_options,
            spot_options,
            credit,
            cpu_options,
            capacity_reservation,
            capacity_target,
            license,
            hibernation,
            metadata_options,
            enclave,
            private_dns_name,
            maintenance,
            operator,
            network_performance,
            secondary_interface,
            secondary_address,
            instance_requirements,
            v_cpu_count,
            memory,
            memory_per_cpu,
            interface_count,
            total_storage,
            ebs_bandwidth,
            accelerator_count,
            accelerator_memory,
            network_bandwidth,
            performance_factors,
            cpu_factor,
            factor_reference,
        ] {
            let plain = |names: &[&'static str]| -> BTreeSet<&str> {
                names.iter().map(|name| name.trim_start_matches("r#")).collect()
            };
            let copied = plain(&pair.copied);
            let dropped = plain(&pair.dropped);
            assert!(!pair.from.is_empty() && copied.is_disjoint(&dropped), "{name}");
            let known: BTreeSet<_> = copied.union(&dropped).copied().collect();
            assert_eq!(fields(&pair.from), known, "{name}: fields of responses");
            assert_eq!(fields(&pair.to), copied, "{name}: fields of requests");
        }
    }

    #[test]
    fn values_are_copied() {
        let ebs = ec2::LaunchTemplateEbsBlockDevice::builder().volume_size(80).encrypted(true).build();
        let device =
            ec2::LaunchTemplateBlockDeviceMapping::builder().device_name("/dev/xvda").ebs(ebs).build();
        let interface = ec2::LaunchTemplateInstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .groups("sg-1")
            .associate_public_ip_address(true)
            .build();
        let from = ec2::ResponseLaunchTemplateData::builder()
            .instance_type(ec2::InstanceType::T32xlarge)
            .user_data("IyEvYmluL3No")
            .block_device_mappings(device)
            .network_interfaces(interface)
            .build();
        let to = launch_data(from);
        assert_eq!(to.instance_type, Some(ec2::InstanceType::T32xlarge));
        assert_eq!(to.user_data.as_deref(), Some("IyEvYmluL3No"));
        let ebs = to.block_device_mappings()[0].ebs().unwrap();
        assert_eq!((ebs.volume_size, ebs.encrypted), (Some(80), Some(true)));
        assert_eq!(to.network_interfaces()[0].groups(), ["sg-1"]);
        assert_eq!(to.network_interfaces()[0].associate_public_ip_address, Some(true));
    }
}
