//! `hatchery services`, and the option `--service`.

use std::collections::BTreeMap;

use super::context::Context;
use super::{json, table};
use crate::domain::Registry;
use crate::domain::record::parse_service;
use crate::failure::{Failure, Kind};

/// Prints the services that have images in the fleet's registry, or the newest tags of one.
pub(crate) async fn run(context: &Context<'_>, service: Option<&str>) -> Result<(), Failure> {
    let registry = registry(context).await?;
    match service {
        None => list(context, &registry).await,
        Some(service) => list_tags(context, &registry, service).await,
    }
}

async fn registry(context: &Context<'_>) -> Result<Registry, Failure> {
    let fleet = context.cloud().fleet(context.fleet()).await;
    let fleet = fleet.map_err(|error| Failure::cloud("cannot read the fleet", &error))?;
    fleet.and_then(|fleet| fleet.policy.registry).ok_or_else(|| {
        let message = "the fleet does not say where the images of its services are";
        let hint = "set it, such as: hatchery fleet set registry=123456789012.dkr.ecr.eu-west-1.amazonaws.com/services";
        Failure::new(Kind::NotFound, message, hint)
    })
}

async fn list(context: &Context<'_>, registry: &Registry) -> Result<(), Failure> {
    let repositories = context.cloud().repositories(registry).await;
    let repositories = repositories
        .map_err(|error| Failure::cloud(format!("cannot list the repositories of {registry}"), &error))?;
    let services = registry.services(&repositories);
    if context.console.is_json() {
        return context.console.print_json(&json::services(context.fleet(), registry, &services));
    }
    let rows = services.into_iter().map(|service| vec![service]).collect();
    let placeholder = format!("There is no repository of a service in {registry}.");
    context.console.print(&table::render(&["SERVICE"], rows, &placeholder))
}

async fn list_tags(context: &Context<'_>, registry: &Registry, service: &str) -> Result<(), Failure> {
    // As with `--service`, so that no other text is part of the repository's name.
    parse_service(&format!("{service}=latest"))?;
    let found = context.cloud().image_tags(registry, service).await;
    let found =
        found.map_err(|error| Failure::cloud(format!("cannot list the image tags of {service}"), &error))?;
    if found.is_partial {
        context
            .console
            .notice("the repository has too many images to read them all; its newest tags may be missing");
    }
    if context.console.is_json() {
        return context.console.print_json(&json::image_tags(context.fleet(), registry, service, &found));
    }
    let now = context.cloud().time().unwrap_or_else(|| context.engine.clock().now());
    let rows = found.valid().map(|tag| vec![tag.name.to_string(), table::relative_time(tag.pushed_at, now)]);
    let placeholder = format!("No image of {service} has a tag.");
    context.console.print(&table::render(&["TAG", "PUSHED"], rows.collect(), &placeholder))
}

/// Parses the values of `--service`.
pub(crate) fn parse_services(services: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut parsed = BTreeMap::new();
    for service in services {
        let (name, tag) = parse_service(service)?;
        if parsed.insert(name.clone(), tag).is_some() {
            let message = format!("service {name} is given twice");
            return Err(Failure::new(Kind::Usage, message, "give each service one image tag"));
        }
    }
    Ok(parsed)
}
