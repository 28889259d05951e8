//! The fleet's policy: one tag a setting, on the base launch template, so that everybody runs the same one.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::hours::Hours;
use super::ids::{FleetName, InvalidName, Number, SubnetId};
use super::spare::Spare;
use super::tags::{self, MAX_VALUE_CHARS, Tags};
use super::text;

/// Everything that a fleet's owners decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How many free databases to hold: the "+1" of n+1.
    pub spare: Spare,
    /// Of a hundred launches, how many are to find a free database; for `spare=auto`.
    pub pool_hit_rate: f64,
    /// The fewest free databases that `spare=auto` holds within [`Self::hours`].
    pub spare_min: u32,
    /// The most free databases that `spare=auto` holds.
    pub spare_max: u32,
    /// When the fleet works. Outside, `spare=auto` holds no free database. `None`: always.
    pub hours: Option<Hours>,
    /// How long an environment lives unless its owner says otherwise.
    pub ttl: Duration,
    /// The longest that an environment may live, extensions included.
    pub max_lifetime: Duration,
    /// How long after the first sweep an expired environment is kept.
    pub grace: Duration,
    /// The RDS instance whose snapshots are restored.
    pub source_database: String,
    /// The RDS class of the pool's databases.
    pub database_class: String,
    /// The DB subnet group of the pool's databases.
    pub database_subnet_group: String,
    /// VPC security groups of the pool's databases.
    pub database_security_groups: Vec<String>,
    /// The DB parameter group of the pool's databases.
    pub database_parameter_group: Option<String>,
    /// Images carry this value in their tag `hatchery:image`.
    pub image_tag: String,
    /// The subnets that instances are launched into.
    pub subnets: Vec<SubnetId>,
    /// Instance types to fall back to, in order, where the base template's has no capacity.
    pub fallback_instance_types: Vec<String>,
    /// Security groups that may admit the whole internet.
    pub allow_public: Vec<String>,
    /// URL of the application; see [`crate::domain::Environment::url`] for the placeholders.
    pub url_app: String,
    /// URL of the Kubernetes dashboard.
    pub url_dashboard: String,
    /// URL of the log viewer.
    pub url_logs: String,
    /// Price of one instance, US dollars an hour.
    pub price_instance: Option<f64>,
    /// Price of one database, US dollars an hour.
    pub price_database: Option<f64>,
    /// The most databases that the fleet may have, whatever their state.
    pub max_databases: u32,
    /// A free database is replaced when its snapshot is older than the latest by more than this.
    pub snapshot_drift: Duration,
    /// Stops every background step.
    pub paused: bool,
    /// Engines older than this only look.
    pub min_version: Option<semver::Version>,
    /// The highest number that was ever given out.
    pub last_number: Number,
    /// Restores that failed since the last one that did not.
    pub restore_failures: RestoreFailures,
}

/// Restores that failed in a row, kept on the fleet so that every engine backs off together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestoreFailures {
    /// When the last one was noticed.
    pub last: Option<DateTime<Utc>>,
    /// The databases' numbers, so that a failure is counted once whoever sees it.
    pub numbers: BTreeSet<Number>,
}

impl RestoreFailures {
    /// The most failures in a row before the pool stops.
    pub const BUDGET: usize = 5;

    /// Also counts this one.
    #[must_use]
    pub fn and(&self, number: Number, at: DateTime<Utc>) -> Self {
        let mut numbers = self.numbers.clone();
        numbers.insert(number);
        Self { last: Some(at), numbers }
    }

    /// When the next restore may be tried: 1, 2, 4 … minutes after the last failure. `None`: as soon as wanted.
    #[must_use]
    pub fn retry_at(&self) -> Option<DateTime<Utc>> {
        let doublings = u32::try_from(self.numbers.len().checked_sub(1)?).unwrap_or(u32::MAX).min(6);
        Some(self.last? + Duration::from_secs(60 << doublings))
    }

    /// Whether the pool has stopped until somebody clears the setting.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.numbers.len() >= Self::BUDGET
    }

    /// `<RFC 3339> <number> …`; empty where there is none.
    #[must_use]
    pub fn to_tag(&self) -> String {
        let Some(last) = self.last else { return String::new() };
        let numbers = self.numbers.iter().map(Number::to_string);
        std::iter::once(tags::format_time(last)).chain(numbers).collect::<Vec<_>>().join(" ")
    }
}

impl Policy {
    /// The defaults for a fleet.
    #[must_use]
    pub fn for_fleet(fleet: &FleetName) -> Self {
        Self {
            spare: Spare::Fixed(1),
            pool_hit_rate: 99.0,
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
            image_tag: fleet.to_string(),
            subnets: Vec::new(),
            fallback_instance_types: Vec::new(),
            allow_public: Vec::new(),
            url_app: "http://{ip}/".to_owned(),
            url_dashboard: "http://{ip}/dashboard/".to_owned(),
            url_logs: "http://{ip}/logs/".to_owned(),
            price_instance: None,
            price_database: None,
            max_databases: 40,
            snapshot_drift: Duration::from_hours(24),
            paused: false,
            min_version: None,
            last_number: Number(0),
            restore_failures: RestoreFailures::default(),
        }
    }

    /// Reads the policy from the base template's tags, with one sentence for each thing that is wrong. A setting that
    /// cannot be read keeps its default.
    #[must_use]
    pub fn parse(tags: &Tags, fleet: &FleetName) -> (Self, Vec<String>) {
        let mut policy = Self::for_fleet(fleet);
        let mut problems = Vec::new();
        for setting in SETTINGS {
            if let Some(value) = tags.get(setting.tag)
                && let Err(error) = (setting.set)(&mut policy, value)
            {
                problems.push(error.to_string());
            }
        }
        problems.extend(policy.gaps());
        (policy, problems)
    }

    /// What still has to be said before the fleet can launch anything.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for (empty, name) in [
            (self.source_database.is_empty(), "source-database"),
            (self.database_subnet_group.is_empty(), "database-subnet-group"),
            (self.subnets.is_empty(), "subnets"),
        ] {
            if empty {
                gaps.push(format!("setting {name} is missing"));
            }
        }
        if self.ttl > self.max_lifetime {
            gaps.push("setting ttl is longer than max-lifetime".to_owned());
        }
        match self.spare {
            Spare::Fixed(spare) if spare > self.max_databases => {
                gaps.push("setting spare is higher than max-databases".to_owned());
            }
            Spare::Auto if self.spare_min > self.max_databases => {
                gaps.push("setting spare-min is higher than max-databases".to_owned());
            }
            _ => {}
        }
        if self.spare_min > self.spare_max {
            gaps.push("setting spare-min is higher than spare-max".to_owned());
        }
        gaps
    }

    /// The policy as tags.
    #[must_use]
    pub fn tags(&self) -> Tags {
        SETTINGS.iter().filter_map(|setting| Some((setting.tag.to_owned(), setting.get(self)?))).collect()
    }
}

/// One setting of the policy: how it is named, read and written.
pub struct Setting {
    /// Its name; the flag of `fleet init` is `--<name>`.
    pub name: &'static str,
    /// The key of its tag.
    pub tag: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    set: fn(&mut Policy, &str) -> Result<(), InvalidName>,
    get: fn(&Policy) -> String,
}

impl Setting {
    /// The setting with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Its value as it is written; `None` where there is none.
    #[must_use]
    pub fn get(&self, policy: &Policy) -> Option<String> {
        Some((self.get)(policy)).filter(|value| !value.is_empty())
    }

    /// Changes the policy.
    ///
    /// # Errors
    /// Where the value is not one that the setting takes; the policy is then unchanged.
    pub fn set(&self, policy: &mut Policy, value: &str) -> Result<(), InvalidName> {
        (self.set)(policy, value.trim())
    }
}

macro_rules! setting {
    ($name:literal, $about:literal, $kind:ident $field:ident) => {
        Setting {
            name: $name,
            tag: concat!("hatchery:", $name),
            about: $about,
            set: |policy, value| {
                policy.$field = $kind::parse(value).map_err(|rule| InvalidName {
                    what: concat!("setting ", $name),
                    value: value.to_owned(),
                    rule,
                })?;
                Ok(())
            },
            get: |policy| $kind::to_tag(&policy.$field),
        }
    };
}

/// Every setting, in the order in which it is shown.
pub static SETTINGS: &[Setting] = &[
    setting!("spare", "free databases to hold, or auto: as many as the launches of the last weeks say", spare spare),
    setting!("pool-hit-rate", "spare=auto: percent of the launches that are to find a free database", percent pool_hit_rate),
    setting!("spare-min", "spare=auto: the fewest free databases within the hours", count spare_min),
    setting!("spare-max", "spare=auto: the most free databases", count spare_max),
    setting!("hours", "spare=auto: when the fleet works, such as Mon-Fri 07:00-19:00 Europe/Berlin; empty is always", hours hours),
    setting!("ttl", "how long an environment lives by default", duration ttl),
    setting!("max-lifetime", "the longest an environment may live, extensions included", duration max_lifetime),
    setting!("grace", "how long an expired environment is kept after it was marked", duration grace),
    setting!("source-database", "the RDS instance whose snapshots are restored", word source_database),
    setting!("database-class", "RDS class of the pool's databases", word database_class),
    setting!("database-subnet-group", "DB subnet group of the pool's databases", word database_subnet_group),
    setting!("database-security-groups", "VPC security groups of the pool's databases", words database_security_groups),
    setting!("database-parameter-group", "DB parameter group of the pool's databases", maybe_word database_parameter_group),
    setting!("image-tag", "images carry this value in their tag hatchery:image", word image_tag),
    setting!("subnets", "subnets that instances are launched into", subnets subnets),
    setting!("fallback-instance-types", "instance types to try, in order, where there is no capacity", words fallback_instance_types),
    setting!("allow-public", "security groups that may admit the whole internet", words allow_public),
    setting!("url.app", "URL of the application; {ip}, {public_ip}, {private_ip}, {id}, {name} are filled in", url url_app),
    setting!("url.dashboard", "URL of the Kubernetes dashboard", url url_dashboard),
    setting!("url.logs", "URL of the log viewer", url url_logs),
    setting!("price.instance", "US dollars an hour of one instance", price price_instance),
    setting!("price.database", "US dollars an hour of one database", price price_database),
    setting!("max-databases", "the most databases the fleet may have, whatever their state", count max_databases),
    setting!("snapshot-drift", "replace a free database whose snapshot is older than the latest by more than this", duration snapshot_drift),
    setting!("paused", "true stops every background step", flag paused),
    setting!("min-version", "engines older than this only look", version min_version),
    setting!("last-number", "the highest number that was ever given out", number last_number),
    setting!("restore-failures", "restores that failed in a row; clear it to let the pool try again", failures restore_failures),
];

/// Kinds of values: each reads what it writes.
macro_rules! kind {
    ($name:ident: $type:ty, $read:expr, $write:expr) => {
        mod $name {
            #[allow(clippy::wildcard_imports, unused_imports)]
            use super::*;

            pub(super) fn parse(value: &str) -> Result<$type, &'static str> {
                let read: fn(&str) -> Result<$type, &'static str> = $read;
                read(value)
            }

            pub(super) fn to_tag(value: &$type) -> String {
                let write: fn(&$type) -> String = $write;
                write(value)
            }
        }
    };
}

const WORD_RULE: &str = "use up to 256 printable characters without spaces";

kind!(count: u32, |v| match v.parse() {
    Ok(n) if n <= 1_000 => Ok(n),
    _ => Err("use a whole number from 0 to 1000"),
}, u32::to_string);
kind!(spare: Spare, str::parse, Spare::to_string);
kind!(percent: f64, |v| match v.trim_end_matches('%').trim_end().parse() {
    Ok(percent) if (1.0..=100.0).contains(&percent) => Ok(percent),
    _ => Err("use percent from 1 to 100, such as 99"),
}, f64::to_string);
kind!(hours: Option<Hours>, |v| if v.is_empty() { Ok(None) } else if v.chars().count() > MAX_VALUE_CHARS {
    Err("use up to 256 characters")
} else {
    v.parse().map(Some)
}, |hours| hours.as_ref().map(Hours::to_string).unwrap_or_default());
kind!(number: Number, |v| v.parse().map(Number).map_err(|_| "use a whole number"), Number::to_string);
kind!(duration: Duration, |v| match humantime::parse_duration(v) {
    Ok(d) if d <= Duration::from_hours(366 * 24) => Ok(Duration::from_secs(d.as_secs())),
    _ => Err("use a length of time up to a year, such as 8h or 2h 30m"),
}, |d| humantime::format_duration(*d).to_string());
kind!(word: String, |v| if v.is_empty() { Err("it must not be empty") } else { one_word(v) }, Clone::clone);
kind!(maybe_word: Option<String>, |v| Ok(Some(one_word(v)?).filter(|w| !w.is_empty())), |w| w.clone().unwrap_or_default());
kind!(words: Vec<String>, |v| if text::is_printable(v, MAX_VALUE_CHARS) {
    Ok(split(v).map(str::to_owned).collect())
} else {
    Err("use up to 256 printable characters, words separated by spaces")
}, |words| words.join(" "));
kind!(subnets: Vec<SubnetId>, |v| {
    let subnets: Vec<_> = split(v).map(SubnetId::new).collect();
    if subnets.is_empty() || subnets.iter().any(|s| !s.as_str().starts_with("subnet-")) || !text::is_printable(v, MAX_VALUE_CHARS) {
        return Err("use subnet ids separated by spaces, such as subnet-0abc subnet-0def");
    }
    Ok(subnets)
}, |subnets| subnets.iter().map(SubnetId::as_str).collect::<Vec<_>>().join(" "));
kind!(url: String, |v| if v.starts_with("http://") || v.starts_with("https://") { one_word(v) } else {
    Err("use an address that begins with http:// or https://")
}, Clone::clone);
kind!(price: Option<f64>, |v| match v.parse::<f64>() {
    _ if v.is_empty() => Ok(None),
    Ok(price) if (0.0..10_000.0).contains(&price) => Ok(Some(price)),
    _ => Err("use US dollars an hour, such as 0.3328"),
}, |price| price.map(|p| p.to_string()).unwrap_or_default());
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
    let last = DateTime::parse_from_rfc3339(last).map_err(|_| "leave it empty to clear it")?.to_utc();
    let numbers = words.map(|word| word.parse().map(Number)).collect::<Result<_, _>>();
    Ok(RestoreFailures { last: Some(last), numbers: numbers.map_err(|_| "leave it empty to clear it")? })
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
