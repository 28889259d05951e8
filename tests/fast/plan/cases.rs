//! Single cases of the plan.

use rstest::rstest;

use super::*;

/// A world with one ready environment, its database and one spare.
fn one_environment() -> World {
    let mut world = world_with(1);
    world.instances.items[0].expires_at = world.records.items[0].expires_at;
    world
}

fn plan_after(change: impl FnOnce(&mut Record, &mut Instance, &mut Database)) -> Vec<(&'static str, String)> {
    let mut world = one_environment();
    change(&mut world.records.items[0], &mut world.instances.items[0], &mut world.databases.items[0]);
    actions(&planned(&world))
}

fn expire(record: &mut Record, minutes: i64) {
    record.expires_at = Some(minutes_ago(minutes));
}

#[test]
fn idle_fleet_needs_no_steps() {
    assert_eq!(actions(&planned(&one_environment())), []);
}

#[test]
fn expired_environment_is_ended_after_its_grace() {
    let marked = plan_after(|record, instance, _| {
        expire(record, 1);
        instance.expires_at = record.expires_at;
    });
    assert_eq!(marked, [("mark-reaping", "dev-1".to_owned())]);
    let in_grace = plan_after(|record, _, _| {
        expire(record, 11);
        record.reaping_since = Some(minutes_ago(10));
    });
    assert_eq!(in_grace, []);
    let mut world = one_environment();
    expire(&mut world.records.items[0], 11);
    world.records.items[0].reaping_since = Some(minutes_ago(10));
    let refused = planned(&world).refused;
    assert_eq!(refused[0].reason, "its grace lasts until 2026-03-02 12:05:00 UTC");
    let after = plan_after(|record, _, _| {
        expire(record, 20);
        record.reaping_since = Some(minutes_ago(16));
    });
    assert_eq!(
        after,
        [("delete-database", "hatchery-dev-1".to_owned()), ("terminate-instance", "i-1".to_owned())]
    );
}

#[test]
fn extension_removes_the_reaping_mark() {
    let steps = plan_after(|record, _, _| record.reaping_since = Some(minutes_ago(60)));
    assert_eq!(steps, [("unmark-reaping", "dev-1".to_owned())]);
}

#[test]
fn request_to_deploy_is_mirrored() {
    let request = || Some(Deployment { at: minutes_ago(3), by: "amy".into() });
    let service = || [("payments".into(), "f-2".into())].into();
    let mirrored = [("mirror-deployment", "i-1".to_owned())];
    assert_eq!(plan_after(|record, _, _| record.deployment = request()), mirrored);
    let lacks_service = plan_after(|record, instance, _| {
        (record.deployment, instance.deployment) = (request(), request());
        record.services = service();
    });
    assert_eq!(lacks_service, mirrored);
    let has_both = plan_after(|record, instance, _| {
        (record.deployment, instance.deployment) = (request(), request());
        (record.services, instance.services) = (service(), service());
    });
    assert_eq!(has_both, []);
    // Without a request, the tags of the launch count.
    assert_eq!(plan_after(|record, _, _| record.services = service()), []);
    let is_ending = plan_after(|record, instance, _| {
        record.deployment = request();
        record.terminate = Some(Termination { at: minutes_ago(1), by: "amy".into() });
        instance.state = InstanceState::ShuttingDown;
    });
    assert!(is_ending.iter().all(|(action, _)| *action != "mirror-deployment"));
}

#[test]
fn unreadable_expiry_keeps_the_environment() {
    assert_eq!(plan_after(|record, _, _| record.expires_at = None), []);
}

#[test]
fn record_is_deleted_last() {
    let mut world = one_environment();
    world.records.items[0].terminate = Some(Termination { at: minutes_ago(1), by: "amy".into() });
    world.instances.items[0].state = InstanceState::ShuttingDown;
    world.databases.items[0].status = "deleting".into();
    assert_eq!(actions(&planned(&world)), []);
    world.instances.items[0].state = InstanceState::Terminated;
    assert_eq!(actions(&planned(&world)), []);
    world.databases.items.remove(0);
    assert_eq!(actions(&planned(&world)), [("delete-record", "dev-1".to_owned())]);
    world.instances.items[0].state = InstanceState::ShuttingDown;
    assert_eq!(actions(&planned(&world)), []);
}

#[test]
fn unused_database_returns_to_the_pool() {
    let mut world = one_environment();
    let record = &mut world.records.items[0];
    record.terminate = Some(Termination { at: minutes_ago(1), by: "amy".into() });
    record.instance = None;
    world.instances.items.clear();
    world.databases.items[0].environment = None;
    assert_eq!(actions(&planned(&world)), [("delete-record", "dev-1".to_owned())]);
    world.records.items[0].created_at = minutes_ago(1);
    assert_eq!(actions(&planned(&world)), [], "its launch may still be in progress");
}

#[test]
fn retirement_passes_its_reason_on() {
    let mut world = one_environment();
    let record = &mut world.records.items[0];
    record.kind = RecordKind::Retirement;
    (record.expires_at, record.note) = (None, Some("it is stale".into()));
    record.terminate = Some(Termination { at: minutes_ago(1), by: "engine@host".into() });
    world.instances.items.clear();
    assert_eq!(planned(&world).steps[0].reason, "it is stale");
    world.records.items[0].note = None;
    assert_eq!(planned(&world).steps[0].reason, "it leaves the pool");
}

#[test]
fn missing_part_is_marked_and_given_up_later() {
    let missing = |instance: bool, marked: Option<i64>| {
        let mut world = one_environment();
        if instance {
            world.instances.items.clear();
        } else {
            world.databases.items.remove(0);
        }
        world.records.items[0].orphan_since = marked.map(minutes_ago);
        world
    };
    for instance in [true, false] {
        let why = if instance { "its instance is gone" } else { "its database is gone" };
        let first = planned(&missing(instance, None));
        assert_eq!(actions(&first), [("mark-orphan", "dev-1".to_owned())]);
        assert_eq!(first.steps[0].reason, why);
        let waiting = planned(&missing(instance, Some(9)));
        assert_eq!(actions(&waiting), []);
        assert_eq!(waiting.refused[0].reason, format!("{why}; a later sweep checks again"));
        let given_up = planned(&missing(instance, Some(10)));
        assert_eq!(actions(&given_up), [("give-up", "dev-1".to_owned())]);
        assert_eq!(given_up.steps[0].reason, why);
        // In an incomplete world, absence proves nothing.
        for marked in [None, Some(9), Some(10)] {
            let mut world = missing(instance, marked);
            world.instances.complete = false;
            let plan = planned(&world);
            assert_eq!(actions(&plan), []);
            assert!(plan.refused.iter().all(|refusal| refusal.action != "give-up"));
        }
        let mut young = missing(instance, None);
        young.records.items[0].created_at = minutes_ago(9);
        assert_eq!(actions(&planned(&young)), []);
    }
    let mut complete = one_environment();
    complete.records.items[0].orphan_since = Some(minutes_ago(20));
    assert_eq!(actions(&planned(&complete)), [("unmark-orphan", "dev-1".to_owned())]);
}

#[test]
fn restore_of_two_hours_has_failed() {
    let hanging = |minutes: i64| {
        let mut world = one_environment();
        let database = &mut world.databases.items[1];
        (database.status, database.requested_at) = ("creating".into(), Some(minutes_ago(minutes)));
        database.created_at = None;
        world
    };
    assert_eq!(actions(&planned(&hanging(119))), []);
    let failed = planned(&hanging(120));
    assert_eq!(actions(&failed), [("note-failed-restore", "number 2".to_owned())]);
    assert_eq!(failed.steps[0].reason, "hatchery-dev-2 is still creating after two hours");
    // The next restore starts a minute later.
    assert_eq!(failed.refused[0].reason, "a restore failed; the next one starts at 12:01:00 UTC");
    let mut claimed = hanging(120);
    claimed.databases.items[1].environment = Some(environment_id(2));
    claimed.records.items.push(record(2));
    assert!(planned(&claimed).steps.iter().all(|planned| planned.step.action() != "note-failed-restore"));
}

#[test]
fn surplus_retires_the_oldest_snapshot_first() {
    let mut world = one_environment();
    for (number, minutes) in [(3, 500), (4, 400)] {
        let mut spare = database(number);
        spare.snapshot_at = Some(minutes_ago(minutes));
        world.databases.items.push(spare);
    }
    world.fleet.policy.last_number = Number(4);
    let retired: Vec<_> = [("retire-database", "hatchery-dev-3"), ("retire-database", "hatchery-dev-4")]
        .map(|(action, id)| (action, id.to_owned()))
        .into();
    assert_eq!(actions(&planned(&world)), retired);
    // A running restore delays the retirement.
    let creating = &mut world.databases.items[1];
    (creating.status, creating.requested_at) = ("creating".into(), Some(minutes_ago(5)));
    assert_eq!(actions(&planned(&world)), []);
}

#[test]
fn failed_restore_delays_the_next_one() {
    let failed = |minutes: i64| {
        let mut world = one_environment();
        world.fleet.policy.restore_failures =
            RestoreFailures::default().with(Number(9), minutes_ago(minutes));
        world
    };
    let is_cleared = |requested: i64| {
        let mut world = failed(300);
        world.databases.items[1].requested_at = Some(minutes_ago(requested));
        !actions(&planned(&world)).is_empty()
    };
    assert_eq!([is_cleared(301), is_cleared(300), is_cleared(299)], [false, false, true]);
    let created = |minutes: i64| {
        let mut world = failed(minutes);
        world.databases.items.remove(1);
        !actions(&planned(&world)).is_empty()
    };
    assert_eq!([created(0), created(1), created(2)], [false, true, true]);
}

#[rstest]
#[case(1, 0, 1)]
#[case(2, 1, 1)]
#[case(3, 2, 0)]
#[case(4, 2, 0)]
fn ceiling_is_reported_only_if_it_blocks(
    #[case] ceiling: u32,
    #[case] created: usize,
    #[case] refused: usize,
) {
    let plan = |ceiling| {
        let mut world = one_environment();
        world.databases.items.remove(1);
        world.fleet.policy.spare = Spare::Fixed(2);
        world.fleet.policy.max_databases = ceiling;
        planned(&world)
    };
    let plan = plan(ceiling);
    assert_eq!((plan.steps.len(), plan.refused.len()), (created, refused), "{ceiling}: {plan:?}");
}

#[test]
fn claimed_numbers_count_towards_the_ceiling() {
    let mut world = one_environment();
    world.databases.items.remove(1);
    world.fleet.policy.max_databases = 2;
    // A launch has claimed a number whose database does not exist yet.
    let mut claimed = world.clone();
    let mut record = record(2);
    (record.instance, record.created_at) = (None, minutes_ago(0));
    claimed.records.items.push(record.clone());
    let refused = planned(&claimed).refused;
    let why = "2 databases are in use or reserved, and max-databases is 2";
    assert!(refused.iter().any(|refusal| refusal.reason == why), "{refused:?}");
    // The database of a retirement is gone; its record goes next.
    record.kind = RecordKind::Retirement;
    world.records.items.push(record);
    assert!(actions(&planned(&world)).contains(&("create-database", "hatchery-dev-3".to_owned())));
}

#[test]
fn unfinished_launch_is_finished_after_a_minute() {
    let unfinished = |minutes: i64| {
        let mut world = one_environment();
        world.records.items[0].instance = None;
        world.records.items[0].created_at = minutes_ago(minutes);
        world.instances.items.clear();
        world
    };
    assert_eq!(actions(&planned(&unfinished(0))), []);
    assert_eq!(actions(&planned(&unfinished(2))), [("launch-instance", "dev-1".to_owned())]);
    let mut untagged = unfinished(2);
    untagged.databases.items[0].environment = None;
    assert_eq!(actions(&planned(&untagged)), [("claim-database", "hatchery-dev-1".to_owned())]);
    let mut without = unfinished(2);
    without.databases.items.remove(0);
    assert_eq!(actions(&planned(&without)), [("create-database", "hatchery-dev-1".to_owned())]);
}

/// A pool that is filled must not delay people, and a deletion may make the room that a restore needs.
#[test]
fn people_come_before_deletions_and_these_before_the_pool() {
    let mut world = world_with(2);
    world.fleet.policy.spare = Spare::Fixed(2);
    let waiting = &mut world.records.items[0];
    (waiting.instance, waiting.created_at) = (None, minutes_ago(2));
    world.records.items[1].terminate = Some(Termination { at: minutes_ago(1), by: "amy".into() });
    world.instances.items.remove(0);
    let order = [
        ("launch-instance", "dev-1"),
        ("delete-database", "hatchery-dev-2"),
        ("terminate-instance", "i-2"),
        ("create-database", "hatchery-dev-4"),
    ];
    assert_eq!(actions(&planned(&world)), order.map(|(action, target)| (action, target.to_owned())));
}

#[test]
fn unlisted_instance_is_not_launched_again() {
    let mut world = one_environment();
    world.instances.items.clear();
    assert_eq!(actions(&planned(&world)), [("mark-orphan", "dev-1".to_owned())]);
    world.records.items[0].created_at = minutes_ago(5);
    assert_eq!(actions(&planned(&world)), [], "the listing may be stale");
}

#[test]
fn oldest_of_two_instances_stays() {
    let mut world = one_environment();
    let mut second = instance(1);
    second.id = hatchery::domain::InstanceId::new("i-0");
    second.launched_at = minutes_ago(100);
    world.instances.items.push(second);
    assert_eq!(actions(&planned(&world)), [("terminate-instance", "i-0".to_owned())]);
}

#[test]
fn instance_of_an_earlier_record_is_an_orphan() {
    let mut world = one_environment();
    let mut old = instance(1);
    old.id = hatchery::domain::InstanceId::new("i-old");
    old.record = Some(RecordId::new("lt-earlier"));
    world.instances.items.push(old);
    assert_eq!(actions(&planned(&world)), [("mark-orphan", "i-old".to_owned())]);
    world.instances.items[1].orphan_since = Some(minutes_ago(11));
    assert_eq!(actions(&planned(&world)), [("terminate-instance", "i-old".to_owned())]);
}

#[test]
fn pool_stops_after_five_failed_restores() {
    let mut world = empty_world();
    world.fleet.policy.spare = Spare::Fixed(2);
    assert_eq!(planned(&world).steps.len(), 2);
    let mut failed = database(1);
    failed.status = "incompatible-network".into();
    (failed.requested_at, failed.created_at) = (Some(minutes_ago(20)), None);
    world.databases.items.push(failed);
    world.fleet.policy.last_number = Number(1);
    let counted = planned(&world);
    assert!(actions(&counted).contains(&("note-failed-restore", "number 1".to_owned())));
    for number in 1..=5 {
        let failures = &mut world.fleet.policy.restore_failures;
        *failures = failures.with(Number(number), minutes_ago(600));
    }
    let stopped = planned(&world);
    assert_eq!(actions(&stopped), [("retire-database", "hatchery-dev-1".to_owned())]);
    assert!(stopped.refused.iter().any(|refusal| refusal.reason.contains("5 restores failed in a row")));
}

#[test]
fn outdated_or_paused_engine_only_observes() {
    let mut world = empty_world();
    let version = |text: &str| semver::Version::parse(text).unwrap();
    assert_eq!(lifecycle::observe_only_reason(&world.fleet, &version("1.0.0")), None);
    world.fleet.policy.min_version = Some(version("1.1.0"));
    assert!(lifecycle::observe_only_reason(&world.fleet, &version("1.0.0")).is_some());
    assert_eq!(lifecycle::observe_only_reason(&world.fleet, &version("1.1.0")), None);
    world.fleet.policy.paused = true;
    assert!(lifecycle::observe_only_reason(&world.fleet, &version("1.1.0")).is_some());
}

#[test]
fn every_placement_is_tried_once() {
    let mut policy = policy();
    policy.fallback_instance_types = vec!["m6i.2xlarge".into()];
    let placements: Vec<_> = (0..).map_while(|attempt| lifecycle::placement(&policy, attempt)).collect();
    assert_eq!(placements.len(), 6);
    assert_eq!(placements[0], Placement::default());
    assert!(placements.iter().enumerate().all(|(index, placement)| !placements[..index].contains(placement)));
}

#[test]
fn orphan_mark_is_a_tag() {
    assert_eq!(
        Orphan::changes(false, now()),
        TagChanges::new().remove("hatchery:orphan-since").remove("hatchery:repair")
    );
    assert!(!Orphan::changes(true, now()).is_empty());
    assert!(Duration::from_mins(1) <= plan::ORPHAN_AFTER);
}

#[test]
fn pass_is_recorded_every_ten_minutes() {
    let mut world = one_environment();
    for (last, expected) in [(Some(9), 0), (Some(10), 1), (None, 1)] {
        world.fleet.last_pass = last.map(|minutes| LastPass { at: minutes_ago(minutes), by: "x".into() });
        let wanted = vec![("note-pass", "the fleet".to_owned()); expected];
        assert_eq!(actions(&planned(&world)), wanted, "{last:?}");
    }
    // An engine that cannot see everything has not made a pass.
    world.instances.complete = false;
    assert_eq!(actions(&planned(&world)), []);
}
