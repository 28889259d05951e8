//! The fleet's policy. Each setting is a tag of the base launch template, so that all engines follow the same policy.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use super::access::{Access, Endpoint};
use super::company_tags::CompanyTags;
use super::format::{format_exact_duration, parse_duration};
use super::hours::Hours;
use super::ids::{FleetName, InvalidName, Number, SubnetId};
use super::notify::{Destination, without_path};
use super::registry::Registry;
use super::spare::Spare;
use super::tags::{self, MAX_VALUE_CHARS, Tags};
use super::text;

mod restore_failures;

pub use restore_failures::RestoreFailures;

/// The version of [`Policy::database_settings`]. It must change with what the digest covers and with how it is made. Engines that digest settings
/// differently would otherwise take each other's databases for stale, and replace them for ever.
const SETTINGS_VERSION: u32 = 1;

/// The settings of a fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The target number of free databases.
    pub spare: Spare,
    /// The percentage of launches that should find a free database; for `spare=auto`.
    pub pool_hit_rate: f64,
    /// The percentage of a restored volume from which on its database is free; 0 for any.
    pub free_from: u8,
    /// The minimum target of `spare=auto` during [`Self::hours`].
    pub spare_min: u32,
    /// The maximum target of `spare=auto`.
    pub spare_max: u32,
    /// The fleet's working hours, outside of which the target of `spare=auto` is 0; `None` means always.
    pub hours: Option<Hours>,
    /// The default time from launch to expiry.
    pub ttl: Duration,
    /// The maximum time from launch to expiry, including extensions.
    pub max_lifetime: Duration,
    /// The time from the first sweep to the termination of an expired environment.
    pub grace: Duration,
    /// The identifier of the RDS instance whose snapshots are restored.
    pub source_database: String,
    /// The RDS instance class of the pool's databases.
    pub database_class: String,
    pub database_subnet_group: String,
    /// The ids of the VPC security groups of the pool's databases.
    pub database_security_groups: Vec<String>,
    pub database_parameter_group: Option<String>,
    /// Whether restored databases accept the tokens of IAM roles. The snapshot's setting does not count.
    pub database_iam_auth: bool,
    /// The value of the tag `hatchery:image` on the fleet's images.
    pub image_tag: String,
    /// Where the images of the services are.
    pub registry: Option<Registry>,
    /// The subnets of the instances.
    pub subnets: Vec<SubnetId>,
    /// Instance types to try, in order, if AWS lacks capacity for the base template's type.
    pub fallback_instance_types: Vec<String>,
    /// The ids of security groups that may admit the whole internet.
    pub allow_public: Vec<String>,
    /// How users reach the environments.
    pub access: Access,
    /// Tags of the company on every resource that hatchery creates.
    pub company_tags: CompanyTags,
    /// URL template of the application; see [`crate::domain::Environment::url`].
    pub url_app: String,
    /// URL template of the Kubernetes dashboard.
    pub url_dashboard: String,
    /// URL template of the log viewer.
    pub url_logs: String,
    /// US dollars per hour of one instance.
    pub price_instance: Option<f64>,
    /// US dollars per hour of one database.
    pub price_database: Option<f64>,
    /// Where engines send notices.
    pub notify: Option<Destination>,
    /// The maximum number of databases in any state.
    pub max_databases: u32,
    /// A free database is stale once its snapshot is older than the latest one by more than this.
    pub snapshot_drift: Duration,
    /// Free databases that were requested before this time are stale.
    pub recycled_at: Option<DateTime<Utc>>,
    /// Whether background steps are disabled.
    pub paused: bool,
    /// Whether launches are refused, because the fleet is being removed.
    pub draining: bool,
    /// Engines of older versions only observe.
    pub min_version: Option<semver::Version>,
    /// The highest number used so far.
    pub last_number: Number,
    /// The failed restores since the last successful one.
    pub restore_failures: RestoreFailures,
}

impl Policy {
    /// Returns the default policy.
    #[must_use]
    pub fn new(fleet: &FleetName) -> Self {
        Self {
            spare: Spare::Fixed(1),
            pool_hit_rate: 99.0,
            free_from: 0,
            spare_min: 0,
            spare_max: 10,
            hours: None,
            ttl: Duration::from_hours(8),
            max_lifetime: Duration::from_hours(7 * 24),
            grace: Duration::from_mins(15),
            source_database: String::new(),
            database_class: "db.t4g.small".to_owned(),
            database_subnet_group: String::new(),
            database_security_groups: Vec::new(),
            database_parameter_group: None,
            database_iam_auth: false,
            image_tag: fleet.to_string(),
            registry: None,
            subnets: Vec::new(),
            fallback_instance_types: Vec::new(),
            allow_public: Vec::new(),
            access: Access::Vpn,
            company_tags: CompanyTags::default(),
            url_app: "http://{ip}/".to_owned(),
            url_dashboard: "http://{ip}/dashboard/".to_owned(),
            url_logs: "http://{ip}/logs/".to_owned(),
            price_instance: None,
            price_database: None,
            notify: None,
            max_databases: 40,
            snapshot_drift: Duration::from_hours(24),
            recycled_at: None,
            paused: false,
            draining: false,
            min_version: None,
            last_number: Number(0),
            restore_failures: RestoreFailures::default(),
        }
    }

    /// Parses the tags of the base template. Returns one sentence for each problem. An invalid setting keeps its default.
    #[must_use]
    pub fn parse(tags: &Tags, fleet: &FleetName) -> (Self, Vec<Problem>) {
        let mut policy = Self::new(fleet);
        let mut problems = Vec::new();
        for setting in SETTINGS {
            if let Some(value) = tags.get(setting.tag)
                && let Err(error) = (setting.set)(&mut policy, value)
            {
                problems.push(Problem::new(setting.stops, error.to_string()));
            }
        }
        problems.extend(policy.problems());
        (policy, problems)
    }

    /// Returns the missing and contradictory settings.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (empty, name) in [
            (self.source_database.is_empty(), "source-database"),
            (self.database_subnet_group.is_empty(), "database-subnet-group"),
            (self.subnets.is_empty(), "subnets"),
        ] {
            if empty {
                problems.push(Problem::new(Scope::Creation, format!("setting {name} is missing")));
            }
        }
        if self.ttl > self.max_lifetime {
            problems.push(Problem::new(Scope::Launches, "setting ttl is longer than max-lifetime"));
        }
        let mut pool = |message| problems.push(Problem::new(Scope::Pool, message));
        match self.spare {
            Spare::Fixed(spare) if spare > self.max_databases => {
                pool("setting spare is higher than max-databases");
            }
            Spare::Auto if self.spare_min > self.max_databases => {
                pool("setting spare-min is higher than max-databases");
            }
            _ => {}
        }
        if self.spare_min > self.spare_max {
            pool("setting spare-min is higher than spare-max");
        }
        problems
    }

    /// Returns a digest of the settings with which databases are restored, after its version. A free database with another digest of the same
    /// version is stale.
    #[must_use]
    pub fn database_settings(&self) -> String {
        let settings = (
            (&self.source_database, &self.database_class, &self.database_subnet_group),
            (&self.database_security_groups, &self.database_parameter_group, self.database_iam_auth),
        );
        let digest = Sha256::digest(format!("{settings:?}"));
        format!("{SETTINGS_VERSION}-{}", hex::encode(&digest[..8]))
    }

    /// Whether a digest shows that a database was restored with other settings.
    #[must_use]
    pub(crate) fn is_other_settings(&self, digest: &str) -> bool {
        let version = digest.split_once('-').map(|(version, _)| version.parse());
        version == Some(Ok(SETTINGS_VERSION)) && digest != self.database_settings()
    }

    #[must_use]
    pub fn url_template(&self, endpoint: Endpoint) -> &str {
        match endpoint {
            Endpoint::App => &self.url_app,
            Endpoint::Dashboard => &self.url_dashboard,
            Endpoint::Logs => &self.url_logs,
        }
    }

    #[must_use]
    pub fn tags(&self) -> Tags {
        SETTINGS.iter().filter_map(|setting| Some((setting.tag.to_owned(), setting.get(self)?))).collect()
    }
}

/// What an invalid setting stops. Environments end at their time in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// It only shows: a URL, or a price.
    Nothing,
    /// The pool is neither filled nor emptied.
    Pool,
    /// No launch is begun or continued.
    Launches,
    /// Both, because both restore databases.
    Creation,
    /// The engine only observes, because the setting may forbid everything else.
    Engine,
}

/// A setting that is missing or invalid, or settings that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One sentence for the user.
    pub message: String,
    pub stops: Scope,
}

impl Problem {
    pub fn new(stops: Scope, message: impl Into<String>) -> Self {
        Self { message: message.into(), stops }
    }

    #[must_use]
    pub fn stops_pool(&self) -> bool {
        matches!(self.stops, Scope::Pool | Scope::Creation | Scope::Engine)
    }

    #[must_use]
    pub(crate) fn stops_launches(&self) -> bool {
        matches!(self.stops, Scope::Launches | Scope::Creation | Scope::Engine)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

/// A setting of the policy.
pub struct Setting {
    /// The name, which is also the option of `fleet init`.
    pub name: &'static str,
    /// The key of the tag.
    pub tag: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// What an invalid value stops.
    stops: Scope,
    set: fn(&mut Policy, &str) -> Result<(), InvalidName>,
    get: fn(&Policy) -> String,
}

impl Setting {
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Returns the value as text, or `None` if it is empty.
    #[must_use]
    pub fn get(&self, policy: &Policy) -> Option<String> {
        Some((self.get)(policy)).filter(|value| !value.is_empty())
    }

    /// Changes the policy.
    ///
    /// # Errors
    /// Returns an error if the value is invalid. The policy is then unchanged.
    pub fn set(&self, policy: &mut Policy, value: &str) -> Result<(), InvalidName> {
        (self.set)(policy, value.trim())
    }
}

macro_rules! setting {
    ($stops:ident, $name:literal, $about:literal, $kind:ident $field:ident) => {
        Setting {
            name: $name,
            tag: concat!("hatchery:", $name),
            about: $about,
            stops: Scope::$stops,
            set: |policy, value| {
                policy.$field = $kind::parse(value).map_err(|rule| InvalidName {
                    what: concat!("setting ", $name),
                    value: if $name == "notify" { without_path(value) } else { value.to_owned() },
                    rule,
                })?;
                Ok(())
            },
            get: |policy| $kind::to_tag(&policy.$field),
        }
    };
}

/// All settings, in the order of `fleet show`.
pub static SETTINGS: &[Setting] = &[
    setting!(Pool, "spare", "target number of free databases, or auto: from the launches of the last weeks", spare spare),
    setting!(Pool, "pool-hit-rate", "spare=auto: percentage of launches that should find a free database", percent pool_hit_rate),
    setting!(Pool, "free-from", "percentage of a database's volume that RDS must have loaded until it is free; 0 for any", loaded free_from),
    setting!(Pool, "spare-min", "spare=auto: minimum number of free databases during the hours", count spare_min),
    setting!(Pool, "spare-max", "spare=auto: maximum number of free databases", count spare_max),
    setting!(Pool, "hours", "spare=auto: working hours, such as Mon-Fri 07:00-19:00 Europe/Berlin; empty means always", hours hours),
    setting!(Launches, "ttl", "default time from launch to expiry", lifetime ttl),
    setting!(Launches, "max-lifetime", "maximum time from launch to expiry, including extensions", lifetime max_lifetime),
    setting!(Nothing, "grace", "time from marking an expired environment to its termination", duration grace),
    setting!(Creation, "source-database", "RDS instance whose snapshots are restored", word source_database),
    setting!(Creation, "database-class", "RDS instance class of the pool's databases", word database_class),
    setting!(Creation, "database-subnet-group", "DB subnet group of the pool's databases", word database_subnet_group),
    setting!(Creation, "database-security-groups", "VPC security groups of the pool's databases", words database_security_groups),
    setting!(Creation, "database-parameter-group", "DB parameter group of the pool's databases", maybe_word database_parameter_group),
    setting!(Creation, "database-iam-auth", "true lets services log in to the databases with tokens of IAM roles", flag database_iam_auth),
    setting!(Launches, "image-tag", "value of the tag hatchery:image on the fleet's images", word image_tag),
    setting!(Nothing, "registry", "ECR registry and path of the services' images, whose tags are suggested", registry registry),
    setting!(Creation, "subnets", "subnets of the instances", subnets subnets),
    setting!(Launches, "fallback-instance-types", "instance types to try, in order, if AWS lacks capacity", words fallback_instance_types),
    setting!(Launches, "allow-public", "security groups that may admit the whole internet", words allow_public),
    setting!(Nothing, "access", "how users reach environments: vpn (their address) or ssm (a port forward of Session Manager)", access access),
    setting!(Creation, "tags", "tags for new resources, such as team=payments,cost-center=42", company_tags company_tags),
    setting!(Nothing, "url.app", "URL of the application; {ip}, {public_ip}, {private_ip}, {id}, {name} are filled in", url url_app),
    setting!(Nothing, "url.dashboard", "URL of the Kubernetes dashboard", url url_dashboard),
    setting!(Nothing, "url.logs", "URL of the log viewer", url url_logs),
    setting!(Nothing, "price.instance", "US dollars per hour of one instance", price price_instance),
    setting!(Nothing, "price.database", "US dollars per hour of one database", price price_database),
    setting!(Nothing, "notify", "SNS topic (ARN) or secret:NAME with a webhook's URL that is told of ready, failed and expiring environments and an empty pool", notify notify),
    setting!(Creation, "max-databases", "maximum number of databases in any state", count max_databases),
    setting!(Pool, "snapshot-drift", "replace free databases whose snapshot is older than the latest one by more than this", duration snapshot_drift),
    setting!(Pool, "recycled-at", "replace free databases that were requested before this time; set by pool recycle", time recycled_at),
    setting!(Engine, "paused", "true disables all background steps", flag paused),
    setting!(Launches, "draining", "true refuses launches; fleet rm sets it", flag draining),
    setting!(Engine, "min-version", "engines of older versions only observe", version min_version),
    setting!(Creation, "last-number", "highest number used so far", number last_number),
    setting!(Pool, "restore-failures", "consecutive failed restores; clear it to resume the pool", failures restore_failures),
];

/// Defines the parser and the formatter of one type of value.
macro_rules! kind {
    ($name:ident: $type:ty, $parse:expr, $format:expr) => {
        mod $name {
            #[allow(clippy::wildcard_imports, unused_imports)]
            use super::*;

            pub(super) fn parse(value: &str) -> Result<$type, &'static str> {
                let parse: fn(&str) -> Result<$type, &'static str> = $parse;
                parse(value)
            }

            pub(super) fn to_tag(value: &$type) -> String {
                let format: fn(&$type) -> String = $format;
                format(value)
            }
        }
    };
}

/// The minimum time from launch to expiry.
pub(crate) const MIN_TTL: Duration = Duration::from_mins(1);

const WORD_RULE: &str = "use up to 256 printable characters without spaces";

kind!(count: u32, |v| match v.parse() {
    Ok(n) if n <= 1_000 => Ok(n),
    _ => Err("use a whole number from 0 to 1000"),
}, u32::to_string);
kind!(spare: Spare, str::parse, Spare::to_string);
kind!(percent: f64, |v| match v.trim_end_matches('%').trim_end().parse() {
    Ok(percent) if (1.0..=100.0).contains(&percent) => Ok(percent),
    _ => Err("use a percentage from 1 to 100, such as 99"),
}, f64::to_string);
kind!(loaded: u8, |v| match v.trim_end_matches('%').trim_end().parse() {
    Ok(percent) if percent <= 100 => Ok(percent),
    _ => Err("use a percentage from 0 to 100, such as 80"),
}, u8::to_string);
kind!(hours: Option<Hours>, |v| if v.is_empty() { Ok(None) } else if v.chars().count() > MAX_VALUE_CHARS {
    Err("use up to 256 characters")
} else {
    v.parse().map(Some)
}, |hours| hours.as_ref().map(Hours::to_string).unwrap_or_default());
kind!(number: Number, |v| v.parse().map(Number).map_err(|_| "use a whole number"), Number::to_string);
kind!(duration: Duration, |v| match parse_duration(v) {
    Ok(d) if d <= Duration::from_hours(366 * 24) => Ok(Duration::from_secs(d.as_secs())),
    _ => Err("use a duration of up to a year, such as 30m, 8h or 2d"),
}, |d| format_exact_duration(*d));
kind!(lifetime: Duration, |v| match duration::parse(v) {
    Ok(lifetime) if lifetime < MIN_TTL => Err("use at least 1m, such as 8h or 2d"),
    parsed => parsed,
}, duration::to_tag);
kind!(word: String, |v| if v.is_empty() { Err("use a value that is not empty") } else { one_word(v) }, Clone::clone);
kind!(maybe_word: Option<String>, |v| Ok(Some(one_word(v)?).filter(|w| !w.is_empty())), |w| w.clone().unwrap_or_default());
kind!(words: Vec<String>, |v| if text::is_printable(v, MAX_VALUE_CHARS) {
    Ok(split(v).map(str::to_owned).collect())
} else {
    Err("use up to 256 printable characters, with spaces between the values")
}, |words| words.join(" "));
kind!(subnets: Vec<SubnetId>, |v| {
    let subnets: Vec<_> = split(v).map(SubnetId::new).collect();
    if subnets.is_empty() || subnets.iter().any(|s| !s.as_str().starts_with("subnet-")) || !text::is_printable(v, MAX_VALUE_CHARS) {
        return Err("use subnet ids separated by spaces, such as subnet-0abc subnet-0def");
    }
    Ok(subnets)
}, |subnets| subnets.iter().map(SubnetId::as_str).collect::<Vec<_>>().join(" "));
kind!(company_tags: CompanyTags, str::parse, CompanyTags::to_string);
kind!(url: String, |v| if v.starts_with("http://") || v.starts_with("https://") { one_word(v) } else {
    Err("use a URL that begins with http:// or https://")
}, Clone::clone);
kind!(access: Access, |v| v.parse().map_err(|_| "use vpn or ssm"), Access::to_string);
kind!(price: Option<f64>, |v| match v.parse::<f64>() {
    _ if v.is_empty() => Ok(None),
    Ok(price) if (0.0..10_000.0).contains(&price) => Ok(Some(price)),
    _ => Err("use US dollars per hour, such as 0.3328"),
}, |price| price.map(|p| p.to_string()).unwrap_or_default());
kind!(notify: Option<Destination>, |v| if v.is_empty() { Ok(None) } else { v.parse().map(Some) },
    |destination| destination.as_ref().map(Destination::to_string).unwrap_or_default());
kind!(registry: Option<Registry>, |v| if v.is_empty() { Ok(None) } else { v.parse().map(Some) },
    |registry| registry.as_ref().map(Registry::to_string).unwrap_or_default());
kind!(time: Option<DateTime<Utc>>, |v| match DateTime::parse_from_rfc3339(v) {
    _ if v.is_empty() => Ok(None),
    Ok(time) => Ok(Some(time.to_utc())),
    Err(_) => Err("use a time such as 2026-01-05T03:10:00Z"),
}, |time| time.map(tags::format_time).unwrap_or_default());
kind!(flag: bool, |v| match v {
    "true" | "yes" | "on" | "1" => Ok(true),
    "false" | "no" | "off" | "0" | "" => Ok(false),
    _ => Err("use true or false"),
}, |flag| if *flag { "true".to_owned() } else { String::new() });
kind!(version: Option<semver::Version>, |v| match semver::Version::parse(v) {
    _ if v.is_empty() => Ok(None),
    Ok(version) => Ok(Some(version)),
    Err(_) => Err("use a version, such as 1.2.0"),
}, |version| version.as_ref().map(ToString::to_string).unwrap_or_default());

kind!(failures: RestoreFailures, |v| {
    let mut words = v.split_whitespace();
    let Some(last) = words.next() else { return Ok(RestoreFailures::default()) };
    let last = DateTime::parse_from_rfc3339(last).map_err(|_| "use an empty value to clear it")?.to_utc();
    let numbers = words.map(|word| word.parse().map(Number)).collect::<Result<_, _>>();
    Ok(RestoreFailures { last: Some(last), numbers: numbers.map_err(|_| "use an empty value to clear it")? })
}, RestoreFailures::to_tag);

fn one_word(value: &str) -> Result<String, &'static str> {
    if text::is_printable(value, MAX_VALUE_CHARS) && !value.contains(char::is_whitespace) {
        Ok(value.to_owned())
    } else {
        Err(WORD_RULE)
    }
}

fn split(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', ',']).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests;
