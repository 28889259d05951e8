//! Settings of a scenario for what AWS does beyond the classic mix of faults. All of them are off by default.

use serde::Deserialize;

/// Behaviour of AWS that makes a simulated account stricter. Its random numbers come from a generator of their own, so that a scenario
/// without it keeps its history.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Strictness {
    /// The maximum staleness of listings in seconds, in addition to that of all reads.
    pub listing_lag: f64,
    /// The maximum time in seconds during which EC2's writes do not find a resource that was just created.
    pub write_lag: f64,
    /// Whether a change that sets and removes tags takes two calls.
    pub two_tag_calls: bool,
    /// The probability that a read by id or by name lacks the tags.
    pub missing_tags_by_id: f64,
    /// How often per day a database is busy for some minutes, such as `modifying` or `backing-up`.
    pub busy_per_day: f64,
    /// How often per day a maintenance window makes all databases busy, one after the other.
    pub maintenance_per_day: f64,
    /// Whether a restored database is initialised before it is `available`. It answers queries meanwhile.
    pub initialization: bool,
    /// How many minutes RDS reports that it loads the volume of a restored database; 0 if it never does.
    pub loading_minutes: f64,
    /// How often per day the storage of a database is full. It stays so until it is repaired by hand.
    pub storage_full_per_day: f64,
    /// How often per day a database that was available enters a terminal status.
    pub terminal_per_day: f64,
    /// Whether failed restores end in any terminal status, not only in `incompatible-network`.
    pub terminal_restores: bool,
    /// The probability that RDS refuses to tag or delete a database that is being created or busy.
    pub refused_while_busy: f64,
    /// The probability that a restore is refused for lack of capacity.
    pub restore_capacity: f64,
    /// How often per day one zone lacks capacity for databases for some hours.
    pub database_zone_out_per_day: f64,
    /// The zones of the DB subnet group; empty for all.
    pub database_zones: Vec<String>,
    /// The zones that do not sell the databases' class.
    pub unsold_zones: Vec<String>,
    /// The maximum time in seconds until an event of the audit log is visible.
    pub log_delay: f64,
    /// The probability that CloudWatch Logs rejects the events of a write.
    pub log_rejected: f64,
    /// How often per day EC2, RDS or CloudWatch Logs is unavailable for an hour.
    pub outages_per_day: f64,
}

/// Resources of other owners in the account.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Neighbours {
    /// Whether the source database is listed.
    pub source: bool,
    pub databases: u32,
    pub templates: u32,
    pub instances: u32,
}
