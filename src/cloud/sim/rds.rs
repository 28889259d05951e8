//! The life of a database after its restore: maintenance, changes, full storage, stops and failures, and what RDS refuses meanwhile.

use chrono::TimeDelta;
use rand::RngExt as _;

use super::events::CLOUD;
use super::faults::call_error;
use super::operations::Operation;
use super::state::{Change, Event, SimDatabase, State, seconds};
use super::throttle::{Bucket, Service};
use crate::cloud::Result;
use crate::domain::{ErrorClass, StatusClass};

/// RDS starts a stopped database after this time.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html>
const STOPPED_FOR: TimeDelta = TimeDelta::days(7);

/// Statuses of a database that is busy, and the range of their durations in seconds.
const BUSY: [(&str, [f64; 2]); 8] = [
    ("backing-up", [60.0, 900.0]),
    ("modifying", [60.0, 1_800.0]),
    ("configuring-enhanced-monitoring", [30.0, 300.0]),
    ("configuring-log-exports", [30.0, 300.0]),
    ("rebooting", [30.0, 300.0]),
    ("resetting-master-credentials", [30.0, 120.0]),
    ("storage-optimization", [1_800.0, 21_600.0]),
    ("storage-config-upgrade", [300.0, 1_800.0]),
];

/// Statuses of a maintenance window.
const MAINTENANCE: [(&str, [f64; 2]); 3] =
    [("maintenance", [120.0, 1_800.0]), ("upgrading", [300.0, 3_600.0]), ("rebooting", [60.0, 300.0])];

/// Statuses in which a restore ends that fails.
const FAILED_RESTORE: [&str; 6] = [
    "incompatible-network",
    "incompatible-parameters",
    "incompatible-restore",
    "insufficient-capacity",
    "restore-error",
    "failed",
];

/// Statuses that end the life of a database. RDS never leaves them by itself.
const TERMINAL: [&str; 4] =
    ["failed", "inaccessible-encryption-credentials", "incompatible-network", "storage-full"];

/// How long an outage of a service lasts.
const OUTAGE: TimeDelta = TimeDelta::hours(1);

/// Whether RDS may refuse to change a database in this status.
fn is_in_transition(status: &str) -> bool {
    !matches!(
        status,
        "available" | "stopped" | "storage-full" | "storage-optimization" | "storage-initialization"
    ) && StatusClass::from_status(status) == StatusClass::Pending
}

impl State {
    /// Returns `true` with a probability, from the generator of the stricter behaviour.
    pub(super) fn strict_chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.strict_random.random_bool(probability.min(1.0))
    }

    pub(super) fn strict_draw(&mut self, [min, max]: [f64; 2]) -> f64 {
        if max > min { self.strict_random.random_range(min..max) } else { min }
    }

    pub(super) fn strict_choice<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.strict_random.random_range(0..choices.len())]
    }

    /// Schedules the next event of a Poisson process with this rate.
    pub(super) fn schedule_strict(&mut self, per_day: f64, event: Event) {
        if per_day > 0.0 {
            let uniform: f64 = self.strict_random.random();
            self.schedule_in(-86_400.0 / per_day * (1.0 - uniform).ln(), event);
        }
    }

    /// Schedules the first events of the account.
    pub(super) fn begin_strict_events(&mut self) {
        let strict = self.scenario.strictness.clone();
        self.schedule_strict(strict.maintenance_per_day, Event::Maintenance);
        self.schedule_strict(strict.database_zone_out_per_day, Event::DatabaseZoneOutage);
        self.schedule_strict(strict.outages_per_day, Event::ServiceOutage);
    }

    /// Schedules the events of a database that has become available.
    pub(super) fn begin_database_events(&mut self, id: &str) {
        let strict = self.scenario.strictness.clone();
        self.schedule_strict(strict.busy_per_day, Event::Busy(id.to_owned()));
        self.schedule_strict(strict.storage_full_per_day, Event::StorageFull(id.to_owned()));
        self.schedule_strict(strict.terminal_per_day, Event::Terminal(id.to_owned()));
    }

    pub(super) fn handle_strict_event(&mut self, event: Event) {
        match event {
            Event::Busy(id) => {
                self.make_busy(&id, &BUSY);
                if self.databases.get(&id).is_some() {
                    self.schedule_strict(self.scenario.strictness.busy_per_day, Event::Busy(id));
                }
            }
            Event::Maintenance => self.maintain(),
            Event::MaintenanceOf(id) => self.make_busy(&id, &MAINTENANCE),
            Event::StorageFull(id) => self.leave_available(&id, "storage-full"),
            Event::Terminal(id) => {
                let status = self.strict_choice(&TERMINAL);
                self.leave_available(&id, status);
            }
            Event::Settled(id, episode, status) => self.settle(&id, episode, status),
            Event::DatabaseZoneOutage => {
                let index = self.strict_random.random_range(0..self.subnets.len());
                let hours = self.strict_draw([0.5, 6.0]);
                self.count_fault("database zone out");
                let zone = self.subnets[index].zone.raw().to_owned();
                self.database_zone_out = Some((zone, self.now + seconds(hours * 3_600.0)));
                let rate = self.scenario.strictness.database_zone_out_per_day;
                self.schedule_strict(rate, Event::DatabaseZoneOutage);
            }
            Event::ServiceOutage => {
                let service = self.strict_choice(&[Service::Ec2, Service::Rds, Service::Logs]);
                self.count_fault("service outage");
                self.record(CLOUD, || format!("{service:?} is unavailable for an hour"));
                self.outage = Some((service, self.now + OUTAGE));
                self.schedule_strict(self.scenario.strictness.outages_per_day, Event::ServiceOutage);
            }
            _ => {}
        }
    }

    /// Whether a request of this bucket meets an outage of its service.
    pub(super) fn is_unavailable(&self, bucket: Bucket) -> bool {
        self.outage.is_some_and(|(service, until)| service == Service::of(bucket) && self.now < until)
    }

    /// A maintenance window: every database is busy within an hour.
    fn maintain(&mut self) {
        self.count_fault("maintenance window");
        let ids: Vec<String> = self.databases.iter().map(|(id, _)| id.to_owned()).collect();
        for id in ids {
            let delay = self.strict_draw([0.0, 3_600.0]);
            self.schedule_in(delay, Event::MaintenanceOf(id));
        }
        self.schedule_strict(self.scenario.strictness.maintenance_per_day, Event::Maintenance);
    }

    /// Makes an available database busy for a while.
    fn make_busy(&mut self, id: &str, statuses: &[(&'static str, [f64; 2])]) {
        if self.databases.get(id).is_none_or(|database| database.status != "available") {
            return;
        }
        let (status, duration) = self.strict_choice(statuses);
        self.count_fault("database busy");
        let seconds = self.strict_draw(duration);
        self.enter_status(id, status, CLOUD);
        self.settle_in(id, seconds, "available");
    }

    fn leave_available(&mut self, id: &str, status: &'static str) {
        if self.databases.get(id).is_some_and(|database| database.status == "available") {
            self.count_fault("database failed");
            self.enter_status(id, status, CLOUD);
        }
    }

    /// Changes the status of a database regardless of the present one.
    pub(super) fn enter_status(&mut self, id: &str, status: &str, who: &str) -> bool {
        let exists = self.databases.change(id, self.now, |database| {
            status.clone_into(&mut database.status);
            database.episode += 1;
        });
        if exists {
            self.record(who, || format!("{id} is {status}"));
            self.changed(who, &Change::Database(id.to_owned()));
        }
        exists
    }

    /// Schedules the end of a database's current status, unless it ends before.
    pub(super) fn settle_in(&mut self, id: &str, seconds: f64, status: &'static str) {
        if let Some(episode) = self.databases.get(id).map(|database| database.episode) {
            self.schedule_in(seconds, Event::Settled(id.to_owned(), episode, status));
        }
    }

    fn settle(&mut self, id: &str, episode: u64, status: &'static str) {
        let Some(database) = self.databases.get(id).filter(|database| database.episode == episode) else {
            return;
        };
        if database.status == "deleting" {
            return;
        }
        self.enter_status(id, status, CLOUD);
        match status {
            "stopped" => {
                let seconds = STOPPED_FOR.as_seconds_f64();
                self.settle_in(id, seconds, "starting");
            }
            "starting" => {
                let seconds = self.strict_draw([180.0, 900.0]);
                self.settle_in(id, seconds, "available");
            }
            _ => {}
        }
    }

    /// Returns the status of a database right after its restore, and how long it lasts.
    pub(super) fn status_after_restore(&mut self) -> Option<(&'static str, f64)> {
        if !self.scenario.strictness.initialization {
            return None;
        }
        let choices = [
            ("storage-initialization", [300.0, 3_600.0]),
            ("storage-initialization", [300.0, 3_600.0]),
            ("backing-up", [60.0, 600.0]),
            ("modifying", [30.0, 300.0]),
            ("configuring-enhanced-monitoring", [30.0, 120.0]),
        ];
        let (status, duration) = self.strict_choice(&choices);
        Some((status, self.strict_draw(duration)))
    }

    pub(super) fn status_of_failed_restore(&mut self) -> &'static str {
        if self.scenario.strictness.terminal_restores {
            self.strict_choice(&FAILED_RESTORE)
        } else {
            FAILED_RESTORE[0]
        }
    }

    /// Stops an available database.
    ///
    /// # Errors
    /// Returns class `NotFound`, or `Transient` if its status forbids it.
    pub(super) fn stop_database(&mut self, id: &str, who: &str, operation: Operation) -> Result<()> {
        self.expect_status(id, &["available"], operation)?;
        self.enter_status(id, "stopping", who);
        let seconds = self.strict_draw([60.0, 600.0]);
        self.settle_in(id, seconds, "stopped");
        Ok(())
    }

    /// Starts a stopped database.
    ///
    /// # Errors
    /// Returns class `NotFound`, or `Transient` if its status forbids it.
    pub(super) fn start_database(&mut self, id: &str, who: &str, operation: Operation) -> Result<()> {
        self.expect_status(id, &["stopped"], operation)?;
        self.enter_status(id, "starting", who);
        let seconds = self.strict_draw([180.0, 900.0]);
        self.settle_in(id, seconds, "available");
        Ok(())
    }

    fn expect_status(&self, id: &str, expected: &[&str], operation: Operation) -> Result<()> {
        let Some(database) = self.databases.get(id) else {
            let message = format!("{id} does not exist");
            return Err(call_error(ErrorClass::NotFound, operation, "DBInstanceNotFound", &message));
        };
        if expected.contains(&database.status.as_str()) {
            Ok(())
        } else {
            Err(wrong_status(database, operation))
        }
    }

    /// Fails if RDS refuses to change a database now.
    pub(super) fn check_changeable(&mut self, id: &str, operation: Operation) -> Result<()> {
        let Some(database) = self.databases.get(id).cloned() else { return Ok(()) };
        if is_in_transition(&database.status)
            && self.strict_chance(self.scenario.strictness.refused_while_busy)
        {
            self.count_fault("refused while busy");
            return Err(wrong_status(&database, operation));
        }
        Ok(())
    }

    /// Fails if a database is protected from deletion.
    pub(super) fn check_protection(&mut self, id: &str, operation: Operation) -> Result<()> {
        if self.databases.get(id).is_some_and(|database| database.protected) {
            self.count_fault("deletion protection");
            let message =
                "Cannot delete protected DB Instance, please disable deletion protection and try again.";
            return Err(call_error(ErrorClass::Invalid, operation, "InvalidParameterCombination", message));
        }
        Ok(())
    }

    /// Fails if RDS cannot restore a database in this zone.
    pub(super) fn check_restore(&mut self, zone: &str, operation: Operation) -> Result<()> {
        let strict = self.scenario.strictness.clone();
        if !strict.database_zones.is_empty() && !strict.database_zones.iter().any(|own| own == zone) {
            self.count_fault("zone outside the subnet group");
            let message = format!("The DB subnet group does not cover the Availability Zone {zone}");
            return Err(call_error(ErrorClass::Invalid, operation, "InvalidVPCNetworkStateFault", &message));
        }
        if strict.unsold_zones.iter().any(|other| other == zone) {
            self.count_fault("class not sold");
            let message = format!("The requested DB instance class is not available in {zone}");
            return Err(call_error(ErrorClass::Invalid, operation, "InvalidParameterCombination", &message));
        }
        let is_out =
            self.database_zone_out.as_ref().is_some_and(|(out, until)| out == zone && self.now < *until);
        if is_out || self.strict_chance(strict.restore_capacity) {
            self.count_fault("database capacity");
            let message = format!("There is no capacity for the DB instance class in {zone}");
            let code = "InsufficientDBInstanceCapacity";
            return Err(call_error(ErrorClass::Capacity, operation, code, &message));
        }
        Ok(())
    }
}

fn wrong_status(database: &SimDatabase, operation: Operation) -> crate::domain::CloudError {
    let message = format!("Instance is not in a state that allows it: {}", database.status);
    call_error(ErrorClass::Transient, operation, "InvalidDBInstanceState", &message)
}
