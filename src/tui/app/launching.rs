//! What the launch form knows about the fleet.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::dialog::launch::{LaunchForm, Outlook};
use super::dialog::services::Suggestions;
use super::fleet_view::FleetView;
use super::model::Model;
use crate::domain::format::format_exact_duration;
use crate::domain::{DatabaseState, Phase, Record};

impl Model {
    /// Returns an empty form; `None` until the fleet is observed.
    pub(super) fn launch_form(&self) -> Option<LaunchForm> {
        let view = self.fleet_view.as_ref()?;
        let policy = &view.world.fleet.policy;
        let own = environments(view).filter(|record| record.owner == self.options.user);
        let last = own.min_by_key(|record| Reverse(record.created_at));
        let has_price = policy.price_instance.is_some() || policy.price_database.is_some();
        let outlook = Outlook {
            services: self.suggestions(view),
            last: last.map(fields_of),
            per_hour: has_price.then(|| {
                policy.price_instance.unwrap_or_default() + policy.price_database.unwrap_or_default()
            }),
            duration: self.launch_duration(),
        };
        Some(LaunchForm::new(&view.world.fleet, outlook))
    }

    /// Returns the services and tags of the fleet's environments, and behind them those that the registry has told.
    pub(super) fn suggestions(&self, view: &FleetView) -> Suggestions {
        let mut records: Vec<&Record> = environments(view).collect();
        records.sort_by_key(|record| Reverse(record.created_at));
        let mut tags: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (service, tag) in records.iter().flat_map(|record| &record.services) {
            tags.entry(service.to_string()).or_default().push(tag.to_string());
        }
        let mut suggestions = Suggestions::default();
        suggestions.add_services(tags.keys());
        for (service, tags) in &tags {
            suggestions.add_tags(service, tags);
        }
        if let Some(registry) = &view.world.fleet.policy.registry {
            self.registry.add_to(&mut suggestions, registry);
        }
        suggestions
    }

    /// Says whether a database is there, and how long the launch takes.
    fn launch_duration(&self) -> String {
        let Some(view) = self.fleet_view.as_ref().filter(|_| self.databases_complete()) else {
            return String::new();
        };
        let estimates = &view.estimates;
        let ready = estimates.phases[Phase::PATH.len() - 1];
        let minutes = |time: Duration| time.as_secs().div_ceil(60);
        let status = &self.pool.status;
        if status.free > 0 {
            return format!("A database is free: ready in about {} min.", minutes(ready));
        }
        let is_creating = status.rows.iter().any(|row| row.state == DatabaseState::Creating);
        let why = if is_creating { "none is free yet" } else { "none is free" };
        let cold = minutes(estimates.restore + ready.saturating_sub(estimates.phases[1]));
        format!("Its database is restored first, because {why}: ready in about {cold} min.")
    }
}

/// Iterates over the records of environments.
fn environments(view: &FleetView) -> impl Iterator<Item = &Record> {
    view.world.records.iter().filter(|record| record.is_environment())
}

/// Returns the time to live, the services and the note of a record as text.
fn fields_of(record: &Record) -> [String; 3] {
    let lifetime = record.expires_at.and_then(|at| (at - record.created_at).to_std().ok());
    let minutes = |time: Duration| Duration::from_secs((time.as_secs() + 30) / 60 * 60);
    // An extension has made it longer, so only a round figure is what was asked for.
    let ttl = lifetime.filter(|_| record.extensions.is_empty()).map(minutes);
    let services = record.services.iter().map(|(service, tag)| format!("{service}={tag}"));
    [
        ttl.map(format_exact_duration).unwrap_or_default(),
        services.collect::<Vec<_>>().join(" "),
        record.note.as_ref().map(ToString::to_string).unwrap_or_default(),
    ]
}
