//! The plan: properties over random worlds, and single cases.

mod cases;
mod hydration;
mod notices;
mod resets;
mod stale;
mod statuses;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::builders::*;
use crate::support::worlds::some_world;
use hatchery::domain::database::DatabaseAttributes;
use hatchery::domain::instance::InstanceAttributes;
use hatchery::domain::lifecycle::{self, Placement};
use hatchery::domain::notice::PoolEmpty;
use hatchery::domain::policy::RestoreFailures;
use hatchery::domain::record::{LaunchFailure, Termination};
use hatchery::domain::{
    Database, DatabaseId, Deployment, Instance, InstanceId, InstanceState, LastPass, Number, Record,
    RecordId, RecordKind, Spare, TagChanges, Tags, Target, World,
};
use hatchery::engine::plan::{self, Plan, plan};
use hatchery::engine::step::{Orphan, Priority, Step, TerminationReason};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

fn planned(world: &World) -> Plan {
    plan(world, &world.fleet.policy, now())
}

fn actions(plan: &Plan) -> Vec<(&'static str, String)> {
    plan.steps.iter().map(|planned| (planned.step.action(), planned.step.target())).collect()
}

fn deletes(step: &Step) -> bool {
    step.priority() == Priority::Delete
}

/// Applies the effect of a successful step to the world.
#[allow(clippy::too_many_lines)] // one short arm for each step
fn apply(world: &mut World, step: &Step) {
    fn find<'w>(world: &'w mut World, id: &RecordId) -> Option<&'w mut Record> {
        world.records.items.iter_mut().find(|record| record.id == *id)
    }
    match step {
        Step::ClaimDatabase { environment, .. } => {
            for database in world.databases.items.iter_mut().filter(|d| d.number == environment.number) {
                database.environment = Some(environment.clone());
            }
        }
        Step::CreateClaimed { environment, restore, .. } => {
            let mut database = claimed_database(environment.number.0);
            database.status = "creating".into();
            database.endpoint = None;
            database.requested_at = Some(now());
            database.snapshot_at = Some(restore.snapshot.created_at);
            world.databases.items.push(database);
        }
        Step::LaunchInstance { record, environment, .. } => {
            let mut new = instance(environment.number.0);
            new.id = hatchery::domain::InstanceId::new(format!("i-{}-new", environment.number));
            new.launched_at = now();
            if let Some(record) = find(world, record) {
                record.instance = Some(new.id.clone());
                new.expires_at = record.expires_at;
            }
            world.instances.items.push(new);
        }
        Step::RecordInstance { record, instance, .. } => {
            if let Some(record) = find(world, record) {
                record.instance = Some(instance.clone());
            }
        }
        Step::MirrorDeployment { record, instance, .. } => {
            let Some(record) = find(world, record).cloned() else { return };
            for found in world.instances.items.iter_mut().filter(|i| i.id == *instance) {
                found.deployment.clone_from(&record.deployment);
                found.services.clone_from(&record.services);
                found.database = record.database.or(found.database);
            }
        }
        Step::MirrorExpiry { instance, expires_at, .. } => {
            for found in world.instances.items.iter_mut().filter(|i| i.id == *instance) {
                found.expires_at = Some(*expires_at);
            }
        }
        Step::SwitchDatabase { record, replacement, .. } => {
            let number = find(world, replacement).map(|found| found.number());
            if let Some(record) = find(world, record) {
                record.database = number;
                record.deployment = Some(Deployment { at: now(), by: "amy".into() });
            }
        }
        Step::DeleteReplaced { environment, .. } => {
            world.databases.items.retain(|database| database.number != environment.number);
        }
        Step::EndReplacement { record, .. } => {
            if let Some(record) = find(world, record) {
                record.terminate = Some(Termination { at: now(), by: "engine".into() });
            }
        }
        Step::KeepReplacement { record, .. } => {
            if let Some(record) = find(world, record) {
                record.terminate = None;
            }
        }
        Step::GiveUp { record, .. } => {
            if let Some(record) = find(world, record) {
                record.failure = Some(LaunchFailure { at: now(), reason: "no capacity".into() });
            }
        }
        Step::MarkReaping { record, .. } => {
            if let Some(record) = find(world, record) {
                record.reaping_since = Some(now());
            }
        }
        Step::UnmarkReaping { record, .. } => {
            if let Some(record) = find(world, record) {
                record.reaping_since = None;
            }
        }
        Step::Orphan { what, marked } => {
            let since = marked.then(now);
            match what {
                Orphan::Instance(id) => {
                    world
                        .instances
                        .items
                        .iter_mut()
                        .filter(|i| i.id == *id)
                        .for_each(|i| i.orphan_since = since);
                }
                Orphan::Database(id) => {
                    world
                        .databases
                        .items
                        .iter_mut()
                        .filter(|d| d.id == *id)
                        .for_each(|d| d.orphan_since = since);
                }
                Orphan::Record(id, _) => {
                    if let Some(record) = find(world, id) {
                        record.orphan_since = since;
                    }
                }
            }
        }
        Step::Unusable { database, marked } => {
            for found in world.databases.items.iter_mut().filter(|d| d.id == *database) {
                found.unusable_since = marked.then(now);
            }
        }
        Step::NoteLoading { database } => {
            for found in world.databases.items.iter_mut().filter(|d| d.id == *database) {
                found.loading_seen = true;
            }
        }
        Step::StartDatabase { database } => {
            for found in world.databases.items.iter_mut().filter(|d| d.id == *database) {
                found.status = "starting".into();
            }
        }
        Step::RestoreTags { what } => {
            world.records.unreadable.retain(|found| found != what);
            world.databases.unreadable.retain(|found| found != what);
        }
        Step::TerminateInstance { instance, .. } => {
            for found in world.instances.items.iter_mut().filter(|i| i.id == *instance) {
                found.state = InstanceState::Terminated;
            }
        }
        Step::DeleteDatabase { environment, .. } => {
            world.databases.items.retain(|database| database.number != environment.number);
        }
        Step::DeleteRecord { record, .. } => world.records.items.retain(|found| found.id != *record),
        Step::Retire { environment, .. } => {
            let mut retirement = record(environment.number.0);
            retirement.id = RecordId::new(format!("lt-{}-retired", environment.number));
            retirement.kind = RecordKind::Retirement;
            retirement.expires_at = None;
            retirement.instance = None;
            retirement.terminate = Some(Termination { at: now(), by: "engine".into() });
            world.records.items.push(retirement);
        }
        Step::CountFailedRestores { numbers } => {
            let failures = &mut world.fleet.policy.restore_failures;
            *failures = numbers.iter().fold(failures.clone(), |all, number| all.with(*number, now()));
        }
        Step::ResetFailedRestores => world.fleet.policy.restore_failures = RestoreFailures::default(),
        Step::CreateDatabase { number, restore, .. } => {
            let mut new = database(number.0);
            new.requested_at = Some(now());
            new.snapshot_at = Some(restore.snapshot.created_at);
            world.databases.items.push(new);
        }
        Step::RaiseNumberHint { number } => world.fleet.policy.last_number = *number,
        Step::MarkPoolEmpty { marked } => {
            world.fleet.pool_empty = marked.then(|| PoolEmpty { since: now(), is_told: false });
        }
        Step::SendNotice(notice) => {
            if let Some(record) = notice.of.as_ref().and_then(|(id, _)| find(world, id)) {
                let value = notice.note(&record.notified);
                record.notified = value.split(' ').map(Into::into).collect();
            } else if let Some(empty) = &mut world.fleet.pool_empty {
                empty.is_told = true;
            }
        }
        Step::RecordPass => {
            world.fleet.last_pass = Some(LastPass { at: now(), by: "engine@schedule".into() });
        }
    }
}

/// Whether a record's environment uses a database of another number.
fn uses_another(record: &Record) -> bool {
    record.is_environment() && record.database.is_some_and(|number| number != record.number())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/plan.regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn incomplete_world_deletes_nothing(mut world in some_world(), missing in 0..3) {
        match missing {
            0 => world.records.complete = false,
            1 => world.instances.complete = false,
            _ => world.databases.complete = false,
        }
        let plan = planned(&world);
        for planned in &plan.steps {
            prop_assert!(!deletes(&planned.step), "{planned:?}");
        }
    }

    #[test]
    fn order_does_not_depend_on_the_listings(world in some_world()) {
        let plan = planned(&world);
        let keys: Vec<_> = plan.steps.iter().map(|planned| planned.step.key()).collect();
        prop_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
        let mut reversed = world.clone();
        reversed.records.items.reverse();
        reversed.instances.items.reverse();
        reversed.databases.items.reverse();
        prop_assert_eq!(planned(&reversed).steps, plan.steps);
    }

    #[test]
    fn applied_step_is_not_planned_again(mut world in some_world()) {
        let first = planned(&world);
        for planned in &first.steps {
            apply(&mut world, &planned.step);
        }
        let applied: BTreeSet<_> = first.steps.iter().map(|planned| planned.step.key()).collect();
        let steps = first.steps.iter().map(|planned| &planned.step);
        let switched: Vec<_> =
            steps.filter(|step| matches!(step, Step::SwitchDatabase { .. })).map(Step::record).collect();
        for planned in planned(&world).steps {
            // A switch requests another deployment, which is copied too.
            let is_switched = switched.contains(&planned.step.record());
            if is_switched && matches!(planned.step, Step::MirrorDeployment { .. }) {
                continue;
            }
            // A restore of the next number and a launch with the next attempt have other keys.
            prop_assert!(!applied.contains(&planned.step.key()), "{planned:?} again in {world:#?}");
        }
    }

    #[test]
    fn applying_plans_converges(mut world in some_world()) {
        for _ in 0..20 {
            let plan = planned(&world);
            if plan.steps.is_empty() {
                return Ok(());
            }
            plan.steps.iter().for_each(|planned| apply(&mut world, &planned.step));
        }
        prop_assert!(false, "still {:?}", actions(&planned(&world)));
    }

    #[test]
    fn wanted_environment_is_never_deleted(world in some_world()) {
        let wanted = |number: Number| {
            world.records.iter().find(|record| {
                record.number() == number && record.is_wanted() && record.expires_at.is_none_or(|at| at > now())
            })
        };
        for planned in planned(&world).steps {
            match &planned.step {
                Step::TerminateInstance { environment, reason: TerminationReason::Ending(_), .. }
                | Step::DeleteDatabase { environment, .. }
                | Step::DeleteRecord { environment, .. }
                | Step::MarkReaping { environment, .. } => {
                    prop_assert!(wanted(environment.number).is_none(), "{planned:?}");
                }
                Step::Retire { environment, .. } => {
                    let record = world.records.iter().find(|record| record.number() == environment.number);
                    prop_assert!(record.is_none(), "{planned:?} though {record:?}");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn steps_change_existing_resources_only(world in some_world()) {
        for planned in planned(&world).steps {
            if let Some(record) = planned.step.record() {
                prop_assert!(world.records.iter().any(|found| found.id == *record), "{planned:?}");
            }
            if let Step::TerminateInstance { instance, .. } = &planned.step {
                prop_assert!(world.instances.iter().any(|found| found.id == *instance), "{planned:?}");
            }
        }
    }

    /// A resource belongs to the fleet only by its name *and* its tags.
    #[test]
    fn resource_without_name_and_tags_is_ignored(
        resource_name in proptest::sample::select(vec!["dev/3", "devx/3", "dev/03", "dev/3/4", "dev", "copy", "DEV/3"]),
        fleet in proptest::sample::select(vec![None, Some("dev"), Some("devx"), Some("")]),
        role in proptest::sample::select(vec![None, Some("environment"), Some("retirement"), Some("replacement"), Some("pool"), Some("fleet")]),
        environment in proptest::sample::select(vec![None, Some("dev-3"), Some("devx-3"), Some("3")]),
    ) {
        let tags = [("hatchery:fleet", fleet), ("hatchery:role", role), ("hatchery:environment", environment)];
        let tags: Tags = tags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        let (has_fleet_tag, has_name) = (fleet == Some("dev"), resource_name == "dev/3");

        let record = Record::parse(&fleet_name(), RecordId::new("lt-1"), &format!("hatchery/{resource_name}"), now(), &tags);
        let is_record = matches!(role, Some("environment" | "retirement" | "replacement"));
        prop_assert_eq!(record.is_some(), has_name);
        prop_assert_eq!(record.is_some_and(|found| found.is_ok()), has_fleet_tag && has_name && is_record);

        let facts = DatabaseAttributes {
            id: DatabaseId::new(format!("hatchery-{}", resource_name.replace('/', "-"))),
            status: "available".into(),
            endpoint: None,
            created_at: None,
            zone: None,
            loaded: None,
        };
        let database = Database::parse(&fleet_name(), facts, &tags);
        prop_assert_eq!(database.is_some(), has_name);
        prop_assert_eq!(database.is_some_and(|found| found.is_ok()), has_fleet_tag && has_name && role == Some("pool"));

        // Instances have no names, only tags.
        let facts = InstanceAttributes {
            id: InstanceId::new("i-1"),
            state: InstanceState::Running,
            state_reason: None,
            instance_type: "t3.large".into(),
            public_ip: None,
            private_ip: None,
            zone: None,
            launched_at: now(),
        };
        let is_instance = has_fleet_tag && role == Some("environment") && environment == Some("dev-3");
        prop_assert_eq!(Instance::parse(&fleet_name(), facts, &tags).is_some(), is_instance);
    }

    #[test]
    fn restores_respect_ceiling_and_take_new_numbers(world in some_world()) {
        let created: Vec<_> = planned(&world).steps.into_iter().filter_map(|planned| match planned.step {
            Step::CreateDatabase { number, .. } => Some(number),
            _ => None,
        }).collect();
        let used: BTreeSet<_> = world.databases.iter().map(|d| d.number)
            .chain(world.records.iter().filter(|r| !r.is_retirement() && !uses_another(r)).map(Record::number)).collect();
        if !created.is_empty() {
            prop_assert!(used.len() + created.len() <= world.fleet.policy.max_databases as usize);
            prop_assert!(created.iter().all(|number| !used.contains(number) && *number > world.fleet.policy.last_number));
            prop_assert!(created.len() <= Target::new(&world, &world.fleet.policy, now()).wanted as usize);
        }
    }
}
