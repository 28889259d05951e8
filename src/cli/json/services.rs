//! The documents of `hatchery services`.

use serde_json::{Value, json};

use super::VERSION;
use crate::domain::{FleetName, ImageTags, Registry};

/// Document of `hatchery services`.
pub(crate) fn services(fleet: &FleetName, registry: &Registry, services: &[String]) -> Value {
    json!({ "version": VERSION, "fleet": fleet, "registry": registry.to_string(), "services": services })
}

/// Document of `hatchery services --tags`.
pub(crate) fn image_tags(fleet: &FleetName, registry: &Registry, service: &str, found: &ImageTags) -> Value {
    let tags: Vec<_> =
        found.valid().map(|tag| json!({ "tag": tag.name, "pushed_at": tag.pushed_at })).collect();
    json!({
        "version": VERSION, "fleet": fleet, "registry": registry.to_string(), "service": service,
        "tags": tags, "partial": found.is_partial,
    })
}
