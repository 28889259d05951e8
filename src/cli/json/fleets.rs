//! The documents of `hatchery fleet`.

use serde_json::{Value, json};

use super::version::VERSION;
use crate::cloud::Holdings;
use crate::domain::items::Items;
use crate::domain::policy::SETTINGS;
use crate::domain::{Destination, Fleet, FleetName};

/// Document of `hatchery fleet ls`.
pub(crate) fn fleets(region: &str, fleets: &Items<Fleet>, leftovers: &[Holdings]) -> Value {
    let leftovers: Vec<_> = leftovers
        .iter()
        .map(|left| {
            json!({
                "fleet": left.fleet, "records": left.records, "instances": left.instances,
                "databases": left.databases,
            })
        })
        .collect();
    let fleets: Vec<_> = fleets
        .iter()
        .map(|fleet| {
            json!({
                "name": fleet.name, "template": fleet.template, "spare": fleet.policy.spare,
                "paused": fleet.policy.paused, "problems": problems(fleet),
            })
        })
        .collect();
    json!({ "version": VERSION, "region": region, "fleets": fleets, "leftovers": leftovers })
}

/// Document of `hatchery fleet rm`.
pub(crate) fn removed_fleet(name: &FleetName) -> Value {
    json!({ "version": VERSION, "fleet": name, "removed": true })
}

/// Document of `hatchery fleet test-notice`.
pub(crate) fn test_notice(fleet: &FleetName, destination: &Destination) -> Value {
    json!({ "version": VERSION, "fleet": fleet, "destination": destination.to_string() })
}

/// Document of `hatchery fleet show`.
pub(crate) fn fleet(fleet: &Fleet) -> Value {
    let settings: serde_json::Map<_, _> =
        SETTINGS.iter().map(|setting| (setting.name.to_owned(), setting.get(&fleet.policy).into())).collect();
    json!({
        "version": VERSION, "fleet": fleet.name, "template": fleet.template, "settings": settings,
        "problems": problems(fleet),
    })
}

/// Document of `hatchery fleet set`: each setting that changed, with its old and new value.
pub(crate) fn changed_settings(
    fleet: &FleetName,
    changed: &[(&'static str, Option<String>, Option<String>)],
) -> Value {
    let changed: Vec<_> = changed
        .iter()
        .map(|(setting, from, to)| json!({ "setting": setting, "from": from, "to": to }))
        .collect();
    json!({ "version": VERSION, "fleet": fleet, "changed": changed })
}

/// Document of `hatchery fleet init`.
pub(crate) fn created_fleet(fleet: &FleetName, created: bool) -> Value {
    json!({ "version": VERSION, "fleet": fleet, "created": created })
}

fn problems(fleet: &Fleet) -> Vec<&str> {
    fleet.problems.iter().map(|problem| problem.message.as_str()).collect()
}
