//! What the plan makes of RDS's statuses, of lost tags and of namesakes.

use hatchery::domain::{Unreadable, UnreadableKind};
use rstest::rstest;

use super::*;

type Actions = Vec<(&'static str, String)>;

/// The plan for two free databases of which the first has this status, marked so many minutes ago.
fn plan_with(status: &str, marked: Option<i64>) -> Plan {
    let mut world = world_with(0);
    world.databases.items = [database(1), database(2)].into_iter().collect();
    world.fleet.policy.spare = Spare::Fixed(2);
    world.fleet.policy.last_number = Number(2);
    world.databases.items[0].status = status.into();
    world.databases.items[0].unusable_since = marked.map(minutes_ago);
    planned(&world)
}

fn named(actions: &[(&'static str, &str)]) -> Actions {
    actions.iter().map(|(action, target)| (*action, (*target).to_owned())).collect()
}

/// A database that is five hours old is no failed restore, whatever it is busy with.
#[rstest]
fn busy_database_is_kept(
    #[values(
        "backing-up",
        "configuring-enhanced-monitoring",
        "maintenance",
        "modifying",
        "rebooting",
        "renaming",
        "resetting-master-credentials",
        "starting",
        "stopping",
        "storage-config-upgrade",
        "storage-full",
        "upgrading",
        "delete-precheck",
        "a-status-of-tomorrow"
    )]
    status: &str,
) {
    assert_eq!(actions(&plan_with(status, None)), named(&[("mark-unusable", "hatchery-dev-1")]));
    assert_eq!(actions(&plan_with(status, Some(59))), []);
    // Then it is replaced, and kept.
    let replaced = plan_with(status, Some(60));
    assert_eq!(actions(&replaced), named(&[("create-database", "hatchery-dev-3")]));
    assert_eq!(replaced.refused[0].action, "retire-database");
    assert!(replaced.refused[0].reason.ends_with(status), "{replaced:?}");
}

#[rstest]
#[case("available")]
#[case("storage-optimization")]
#[case("storage-initialization")]
fn usable_database_needs_no_step(#[case] status: &str) {
    assert_eq!(actions(&plan_with(status, None)), []);
    assert_eq!(actions(&plan_with(status, Some(1))), named(&[("unmark-unusable", "hatchery-dev-1")]));
}

#[test]
fn stopped_database_is_started_and_later_replaced() {
    let start = ("start-database", "hatchery-dev-1");
    let first = plan_with("stopped", None);
    assert_eq!(actions(&first), named(&[start, ("mark-unusable", "hatchery-dev-1")]));
    assert_eq!(actions(&plan_with("stopped", Some(59))), named(&[start]));
    let (retire, create) = (("retire-database", "hatchery-dev-1"), ("create-database", "hatchery-dev-3"));
    assert_eq!(actions(&plan_with("stopped", Some(60))), named(&[start, retire, create]));
}

/// A database that has never been usable is a failed restore after two hours, whatever it is busy with.
#[rstest]
fn restore_that_ends_in_another_status_fails_in_the_end(
    #[values("creating", "backing-up", "modifying", "available")] status: &str,
) {
    let mut world = world_with(0);
    world.databases.items = std::iter::once(database(1)).collect();
    world.fleet.policy.spare = Spare::Fixed(1);
    world.fleet.policy.last_number = Number(1);
    let restored = &mut world.databases.items[0];
    restored.status = status.into();
    (restored.created_at, restored.endpoint) = (None, None);
    restored.requested_at = Some(minutes_ago(119));
    assert_eq!(actions(&planned(&world)), []);
    world.databases.items[0].requested_at = Some(minutes_ago(121));
    let failed = actions(&planned(&world));
    assert_eq!(failed, named(&[("note-failed-restore", "number 1")]));
}

/// A scheduler that stops all databases at night costs no database.
#[test]
fn night_scheduler_costs_no_database() {
    let mut world = world_with(0);
    world.databases.items = (1..=5).map(database).collect();
    world.databases.items.iter_mut().for_each(|database| database.status = "stopped".into());
    world.fleet.policy.spare = Spare::Fixed(5);
    world.fleet.policy.last_number = Number(5);
    let plan = actions(&planned(&world));
    assert!(plan.iter().all(|(action, _)| ["start-database", "mark-unusable"].contains(action)), "{plan:?}");
    assert_eq!(plan.len(), 10);
}

#[rstest]
fn lost_free_database_is_retired_in_two_sweeps(
    #[values(
        "failed",
        "restore-error",
        "incompatible-parameters",
        "insufficient-capacity",
        "inaccessible-encryption-credentials"
    )]
    status: &str,
) {
    let create = ("create-database", "hatchery-dev-3");
    let marked = actions(&plan_with(status, None));
    assert_eq!(marked, named(&[("mark-unusable", "hatchery-dev-1"), create]));
    assert_eq!(actions(&plan_with(status, Some(9))), named(&[create]));
    let retired = actions(&plan_with(status, Some(10)));
    assert_eq!(retired, named(&[("retire-database", "hatchery-dev-1"), create]));
}

/// One environment whose database has this status, marked so many minutes ago.
fn environment_with(change: impl FnOnce(&mut Record, &mut Database)) -> Plan {
    let mut world = world_with(1);
    world.instances.items[0].expires_at = world.records.items[0].expires_at;
    change(&mut world.records.items[0], &mut world.databases.items[0]);
    planned(&world)
}

#[test]
fn broken_environment_is_given_up_in_two_sweeps() {
    let broken = |marked: Option<i64>, user: Option<&str>| {
        environment_with(|record, database| {
            database.status = "incompatible-parameters".into();
            database.unusable_since = marked.map(minutes_ago);
            record.repaired_by = user.map(Into::into);
        })
    };
    assert_eq!(actions(&broken(None, None)), named(&[("mark-unusable", "hatchery-dev-1")]));
    assert_eq!(actions(&broken(Some(9), None)), []);
    assert_eq!(actions(&broken(Some(10), None)), named(&[("give-up", "dev-1")]));
    let kept = broken(Some(10), Some("amy"));
    assert_eq!(actions(&kept), []);
    assert!(kept.refused[0].reason.contains("amy keeps it for repairs until"), "{kept:?}");
    let repaired = environment_with(|record, database| {
        record.repaired_by = Some("amy".into());
        database.unusable_since = Some(minutes_ago(20));
    });
    assert_eq!(
        actions(&repaired),
        named(&[("unmark-orphan", "dev-1"), ("unmark-unusable", "hatchery-dev-1")])
    );
}

/// The mark of an instance that was gone says nothing of the database.
#[test]
fn mark_of_one_cause_does_not_count_for_another() {
    let plan = environment_with(|record, database| {
        record.orphan_since = Some(minutes_ago(60));
        database.status = "incompatible-parameters".into();
    });
    assert_eq!(actions(&plan), named(&[("mark-unusable", "hatchery-dev-1"), ("unmark-orphan", "dev-1")]));
}

/// An extension may keep an environment for repairs, but nothing of a failed restore can be repaired.
#[test]
fn failed_restore_is_given_up_in_spite_of_repairs() {
    let plan = environment_with(|record, database| {
        record.repaired_by = Some("amy".into());
        database.status = "incompatible-network".into();
        (database.created_at, database.endpoint) = (None, None);
    });
    assert_eq!(actions(&plan), named(&[("give-up", "dev-1")]));
}

#[test]
fn failed_restore_of_a_launch_is_given_up_at_once() {
    let plan = environment_with(|_, database| {
        (database.status, database.created_at) = ("incompatible-network".into(), None);
    });
    assert_eq!(actions(&plan), named(&[("give-up", "dev-1")]));
    let hanging = |minutes| {
        environment_with(|_, database| {
            (database.status, database.created_at) = ("creating".into(), None);
            database.requested_at = Some(minutes_ago(minutes));
        })
    };
    assert_eq!(actions(&hanging(119)), []);
    assert_eq!(actions(&hanging(120)), named(&[("give-up", "dev-1")]));
}

#[test]
fn stopped_database_of_an_environment_is_started() {
    let plan = environment_with(|_, database| database.status = "stopped".into());
    assert_eq!(actions(&plan), named(&[("start-database", "hatchery-dev-1")]));
}

#[test]
fn lost_tag_of_a_claimed_database_is_written_again() {
    let plan = environment_with(|_, database| database.environment = None);
    assert_eq!(actions(&plan), named(&[("claim-database", "hatchery-dev-1")]));
}

#[test]
fn database_of_an_instance_without_record_is_not_free() {
    let mut world = world_with(1);
    world.records.items.clear();
    world.databases.items.truncate(1);
    world.databases.items[0].environment = None;
    let plan = actions(&planned(&world));
    assert!(plan.contains(&("claim-database", "hatchery-dev-1".to_owned())), "{plan:?}");
    assert!(plan.contains(&("create-database", "hatchery-dev-3".to_owned())), "{plan:?}");
}

fn unreadable(kind: UnreadableKind, number: u32, is_ours: bool) -> Unreadable {
    let id = match kind {
        UnreadableKind::Record => format!("lt-{number}"),
        UnreadableKind::Database => format!("hatchery-dev-{number}"),
    };
    let lost = [("hatchery:fleet".to_owned(), "dev".to_owned())].into_iter().filter(|_| is_ours).collect();
    Unreadable { kind, id: id.into(), number: Number(number), lost }
}

#[test]
fn namesakes_are_passed_over() {
    let mut world = world_with(0);
    world.databases.items.clear();
    world.fleet.policy.last_number = Number(4);
    world.records.unreadable = vec![unreadable(UnreadableKind::Record, 5, false)];
    world.databases.unreadable = vec![unreadable(UnreadableKind::Database, 6, false)];
    let plan = planned(&world);
    assert_eq!(actions(&plan), named(&[("create-database", "hatchery-dev-7")]));
    let named: Vec<_> = plan.refused.iter().map(|refusal| refusal.target.as_str()).collect();
    assert_eq!(named, ["lt-5", "hatchery-dev-6"]);
}

#[test]
fn lost_tags_are_restored_and_nothing_is_deleted() {
    let mut world = world_with(1);
    world.records.items.clear();
    world.records.unreadable = vec![unreadable(UnreadableKind::Record, 1, true)];
    world.instances.items[0].orphan_since = Some(minutes_ago(60));
    world.databases.items[0].orphan_since = Some(minutes_ago(60));
    let plan = actions(&planned(&world));
    let unmark = "unmark-orphan";
    assert_eq!(plan, named(&[("restore-tags", "lt-1"), (unmark, "i-1"), (unmark, "hatchery-dev-1")]));

    let mut world = world_with(1);
    world.instances.items[0].expires_at = world.records.items[0].expires_at;
    world.databases.items.remove(0);
    world.databases.unreadable = vec![unreadable(UnreadableKind::Database, 1, true)];
    assert_eq!(actions(&planned(&world)), named(&[("restore-tags", "hatchery-dev-1")]));
    // Without any tag of hatchery it may be a namesake. It is kept all the same.
    world.databases.unreadable = vec![unreadable(UnreadableKind::Database, 1, false)];
    world.records.items[0].orphan_since = Some(minutes_ago(60));
    assert_eq!(actions(&planned(&world)), named(&[("unmark-orphan", "dev-1")]));
}

#[test]
fn free_database_with_an_unreadable_record_is_claimed() {
    let mut world = world_with(0);
    world.records.unreadable =
        vec![unreadable(UnreadableKind::Record, world.databases.items[0].number.0, false)];
    world.fleet.policy.last_number = Number(9);
    assert_eq!(hatchery::domain::Pool::new(&world).claimable(now()), Vec::<&Database>::new());
    assert_eq!(actions(&planned(&world)), named(&[("create-database", "hatchery-dev-10")]));
}
