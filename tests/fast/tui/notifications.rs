//! What the dashboard tells its user while they look at something else. The user is pwong, with the environments friday-demo (dev-11) and
//! checkout-fix (dev-12).

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use hatchery::domain::{
    Deployment, Environment, InstanceState, LaunchFailure, Phase, RecordKind, Replaces, Rollout,
    RolloutState, World,
};
use hatchery::engine::Event;
use hatchery::tui::app::{Effect, Model, Msg};
use rstest::rstest;

use crate::support::sample_fleet::{
    blank, database, model, moment, now, options, press, record, screen, seeing, send, throttled, world,
};

/// The titles and texts of the notifications among effects.
fn notifications(effects: Vec<Effect>) -> Vec<(String, String)> {
    let notification = |effect| match effect {
        Effect::Notify { title, text } => Some((title, text)),
        _ => None,
    };
    effects.into_iter().filter_map(notification).collect()
}

fn titles(effects: Vec<Effect>) -> Vec<String> {
    notifications(effects).into_iter().map(|(title, _)| title).collect()
}

fn observe(model: &mut Model, world: &World) -> Vec<Effect> {
    send(model, Msg::Engine(Event::World(Arc::new(world.clone()))))
}

/// Lets time pass.
fn wait(model: &mut Model, minutes: u64) -> Vec<Effect> {
    model.set_now(moment(minutes * 60));
    send(model, Msg::Tick)
}

/// The fleet with another phase of the instance of dev-`number`.
fn with_phase(number: u32, phase: Phase) -> World {
    let mut world = world();
    let instance = world.instances.items.iter_mut().find(|instance| instance.environment.number.0 == number);
    instance.unwrap().phase = Some(phase);
    world
}

/// The fleet with a request to deploy to checkout-fix, so many minutes ago, and the answer to it.
fn with_deployment(minutes: i64, answer: Option<(RolloutState, &str)>) -> World {
    let mut world = world();
    let at = now() - TimeDelta::minutes(minutes);
    world.records.items[4].deployment = Some(Deployment { at, by: "pwong".into() });
    world.instances.items[4].rollout =
        answer.map(|(state, detail)| Rollout { request: at, state, detail: detail.into() });
    world
}

fn notification(title: &str, text: &str) -> Vec<(String, String)> {
    vec![(title.to_owned(), text.to_owned())]
}

#[test]
fn opened_dashboard_tells_nothing_old() {
    let mut model = blank(options(), 100, 24);
    let mut fleet = with_deployment(5, Some((RolloutState::Failed, "no such tag")));
    fleet.databases.items.retain(|database| database.number.0 != 14);
    fleet.instances.items[3].phase = Some(Phase::Failed);
    assert_eq!(titles(observe(&mut model, &fleet)), [""; 0]);
    assert_eq!(titles(observe(&mut model, &fleet)), [""; 0]);
    assert_eq!(titles(wait(&mut model, 1)), [""; 0]);
}

#[test]
fn environment_becomes_ready() {
    let mut model = seeing(options(), with_phase(12, Phase::Services), 100, 24);
    let told = notifications(observe(&mut model, &world()));
    assert_eq!(told, notification("checkout-fix is ready", "dev-12 until 17:16"));
    assert!(screen(&model).contains("checkout-fix is ready: dev-12 until 17:16"), "{}", screen(&model));
    assert_eq!(titles(observe(&mut model, &world())), [""; 0], "once");
}

#[test]
fn new_environment_becomes_ready() {
    let mut model = model(100, 24);
    let mut fleet = world();
    fleet.records.items.push(record(17, "voucher-fix", "pwong", 0, 120));
    assert_eq!(titles(observe(&mut model, &fleet)), [""; 0], "it is launching");
    let instance = crate::support::sample_fleet::instance(&fleet.records.items[7], Some(Phase::Ready));
    fleet.instances.items.push(instance);
    assert_eq!(titles(observe(&mut model, &fleet)), ["voucher-fix is ready"]);
}

#[test]
fn environments_of_others_are_not_told() {
    let mut model = seeing(options(), with_phase(13, Phase::Services), 100, 24);
    assert_eq!(titles(observe(&mut model, &with_phase(13, Phase::Ready))), [""; 0]);
    assert_eq!(titles(observe(&mut model, &with_phase(13, Phase::Failed))), [""; 0]);
}

#[test]
fn environment_fails() {
    let mut model = seeing(options(), with_phase(12, Phase::Services), 100, 24);
    let mut fleet = with_phase(12, Phase::Failed);
    fleet.instances.items[4].detail = Some("image tag \x1b[31mpr-404 does not exist".into());
    let told = notifications(observe(&mut model, &fleet));
    let text = "dev-12: the bootstrap failed: image tag pr-404 does not exist";
    assert_eq!(told, notification("checkout-fix failed", text));
    assert_eq!(titles(observe(&mut model, &fleet)), [""; 0], "once");
    assert_eq!(titles(observe(&mut model, &world())), ["checkout-fix is ready"], "it recovers");
}

#[rstest]
#[case::failed(
    RolloutState::Failed,
    "no such tag",
    "the deployment to checkout-fix failed",
    "dev-12: no such tag"
)]
#[case::done(RolloutState::Done, "", "the deployment to checkout-fix is done", "dev-12 until 17:16")]
fn deployment_ends(
    #[case] state: RolloutState,
    #[case] detail: &str,
    #[case] title: &str,
    #[case] text: &str,
) {
    let mut model = model(100, 24);
    assert_eq!(titles(observe(&mut model, &with_deployment(2, None))), [""; 0]);
    assert_eq!(titles(observe(&mut model, &with_deployment(2, Some((RolloutState::Running, ""))))), [""; 0]);
    let end = with_deployment(2, Some((state, detail)));
    assert_eq!(notifications(observe(&mut model, &end)), notification(title, text));
    // Reads that lag show the earlier state again.
    assert_eq!(titles(observe(&mut model, &with_deployment(2, None))), [""; 0]);
    assert_eq!(titles(observe(&mut model, &end)), [""; 0]);
    assert_eq!(titles(observe(&mut model, &with_deployment(9, Some((state, detail))))), [""; 0]);
    assert_eq!(titles(observe(&mut model, &with_deployment(1, Some((state, detail))))), [title]);
}

#[test]
fn reset_fails() {
    let mut model = model(100, 24);
    let mut fleet = world();
    let user = fleet.records.items[4].clone();
    let mut replacement = record(40, "dev-40", "amy", 1, 0);
    (replacement.expires_at, replacement.instance) = (None, None);
    replacement.kind = RecordKind::Replacement(Replaces { record: user.id, environment: user.environment });
    fleet.records.items.push(replacement);
    assert_eq!(titles(observe(&mut model, &fleet)), [""; 0]);
    fleet.records.items[7].failure = Some(LaunchFailure { at: now(), reason: "the quota is reached".into() });
    assert!(
        Environment::all(&fleet, now()).iter().any(|environment| environment.failed_reset.is_some()),
        "the test's fleet has a failed reset"
    );
    let told = notifications(observe(&mut model, &fleet));
    assert_eq!(told, notification("the reset of checkout-fix failed", "dev-12: the quota is reached"));
    assert_eq!(titles(observe(&mut model, &fleet)), [""; 0], "once");
}

#[test]
fn expiry_is_told_30_and_5_minutes_before() {
    // friday-demo expires in 15 minutes, checkout-fix in 312.
    let mut model = model(100, 24);
    assert_eq!(titles(wait(&mut model, 9)), [""; 0]);
    let told = notifications(wait(&mut model, 10));
    assert_eq!(
        told,
        notification("friday-demo expires in 5 minutes", "dev-11 ends at 12:19; key e extends it")
    );
    assert_eq!(titles(wait(&mut model, 11)), [""; 0], "once");
    assert_eq!(titles(wait(&mut model, 281)), [""; 0]);
    assert_eq!(titles(wait(&mut model, 282)), ["checkout-fix expires in 30 minutes"]);
    assert_eq!(titles(wait(&mut model, 300)), [""; 0], "once");
    assert_eq!(titles(wait(&mut model, 307)), ["checkout-fix expires in 5 minutes"]);
    assert_eq!(titles(wait(&mut model, 313)), [""; 0], "it is over");
}

#[test]
fn late_warning_says_what_is_left() {
    let mut model = model(100, 24);
    // The computer slept.
    assert_eq!(
        titles(wait(&mut model, 290)),
        ["checkout-fix expires in 22 minutes"],
        "friday-demo has expired meanwhile"
    );
    assert_eq!(titles(wait(&mut model, 311)), ["checkout-fix expires in 1 minute"]);
}

#[test]
fn extension_arms_the_warnings_anew() {
    let mut model = model(100, 24);
    assert_eq!(titles(wait(&mut model, 10)), ["friday-demo expires in 5 minutes"]);
    let mut fleet = world();
    fleet.records.items[3].expires_at = Some(now() + TimeDelta::minutes(70));
    assert_eq!(titles(observe(&mut model, &fleet)), [""; 0]);
    assert_eq!(titles(observe(&mut model, &world())), [""; 0], "a read that lags");
    assert_eq!(titles(observe(&mut model, &fleet)), [""; 0]);
    assert_eq!(titles(wait(&mut model, 40)), ["friday-demo expires in 30 minutes"]);
    assert_eq!(titles(wait(&mut model, 65)), ["friday-demo expires in 5 minutes"]);
    // By a quarter of an hour: the user knows that.
    fleet.records.items[3].expires_at = Some(now() + TimeDelta::minutes(85));
    assert_eq!(titles(observe(&mut model, &fleet)), [""; 0]);
    assert_eq!(titles(wait(&mut model, 80)), ["friday-demo expires in 5 minutes"]);
}

#[test]
fn opened_dashboard_tells_an_expiry_within_5_minutes() {
    let mut model = blank(options(), 100, 24);
    let mut fleet = world();
    fleet.records.items[3].expires_at = Some(now() + TimeDelta::seconds(200));
    assert_eq!(titles(observe(&mut model, &fleet)), ["friday-demo expires in 4 minutes"]);
}

#[test]
fn what_ends_anyway_is_not_told_to_expire() {
    let mut fleet = world();
    fleet.records.items[3].terminate = fleet.records.items[0].terminate.clone();
    let mut model = seeing(options(), fleet, 100, 24);
    assert_eq!(titles(wait(&mut model, 10)), [""; 0]);
}

#[test]
fn dashboard_wakes_up_for_a_warning() {
    // Texts with a time in them change at whole multiples of ten seconds.
    let mut fleet = world();
    fleet.records.items.retain(|record| record.name == "checkout-fix");
    fleet.records.items[0].expires_at = Some(now() + TimeDelta::seconds(312 * 60 + 7));
    let mut model = seeing(options(), fleet, 100, 24);
    model.set_now(moment(282 * 60 + 3));
    assert_eq!(titles(send(&mut model, Msg::Tick)), [""; 0]);
    assert_eq!(model.next_change().clock, Some(Duration::from_secs(4)));
}

#[test]
fn pool_becomes_empty() {
    let mut empty = world();
    empty.databases.items.retain(|database| database.number.0 != 14);
    let mut refilled = empty.clone();
    refilled.databases.items.push(database(18, "available", 30));
    let mut model = model(100, 24);
    assert_eq!(
        notifications(observe(&mut model, &empty)),
        notification("the pool of fleet dev is empty", "a launch waits until a database is restored")
    );
    assert_eq!(titles(observe(&mut model, &empty)), [""; 0], "once");
    assert_eq!(titles(observe(&mut model, &refilled)), [""; 0]);
    assert_eq!(titles(observe(&mut model, &empty)), ["the pool of fleet dev is empty"]);
}

#[test]
fn pool_that_is_to_be_empty_is_not_told() {
    let mut model = model(100, 24);
    let mut empty = world();
    empty.databases.items.retain(|database| database.number.0 != 14);
    empty.fleet.policy.spare = hatchery::domain::Spare::Fixed(0);
    assert_eq!(titles(observe(&mut model, &empty)), [""; 0]);
}

#[test]
fn incomplete_listings_tell_nothing() {
    let mut model = blank(options(), 100, 24);
    let mut partial = throttled();
    partial.databases.items.clear();
    partial.databases.complete = false;
    assert_eq!(titles(observe(&mut model, &partial)), [""; 0]);
    assert_eq!(titles(observe(&mut model, &world())), [""; 0]);
    assert_eq!(titles(observe(&mut model, &throttled())), [""; 0]);
}

#[test]
fn instance_missing_from_a_listing_tells_nothing() {
    let mut model = model(100, 24);
    let mut lagging = world();
    lagging.instances.items.remove(4);
    assert_eq!(titles(observe(&mut model, &lagging)), [""; 0]);
    assert_eq!(titles(observe(&mut model, &world())), [""; 0]);
    lagging.records.items.remove(4);
    assert_eq!(titles(observe(&mut model, &lagging)), [""; 0]);
    assert_eq!(titles(observe(&mut model, &world())), [""; 0]);
}

#[test]
fn stopped_environment_becomes_ready_again() {
    let mut model = model(100, 24);
    let mut stopped = world();
    stopped.instances.items[4].state = InstanceState::Stopped;
    assert_eq!(titles(observe(&mut model, &stopped)), [""; 0]);
    assert_eq!(titles(observe(&mut model, &world())), ["checkout-fix is ready"]);
}

#[test]
fn many_news_become_one() {
    let mut before = with_phase(12, Phase::Services);
    before.records.items[5].owner = "pwong".into();
    before.records.items[6].owner = "pwong".into();
    before.instances.items[3].phase = Some(Phase::Services);
    let mut model = seeing(options(), before.clone(), 100, 40);
    for instance in &mut before.instances.items {
        instance.phase = Some(Phase::Ready);
    }
    before.databases.items.retain(|database| database.number.0 != 14);
    let told = notifications(observe(&mut model, &before));
    assert_eq!(
        told,
        notification(
            "4 news of fleet dev",
            "friday-demo is ready, checkout-fix is ready, kyc-redesign is ready, the pool of fleet dev is empty"
        )
    );
}

#[rstest]
#[case::unknown(None, 1)]
#[case::elsewhere(Some(false), 1)]
#[case::here(Some(true), 0)]
fn terminal_with_the_focus_shows_toasts_only(#[case] focus: Option<bool>, #[case] expected: usize) {
    let mut model = seeing(options(), with_phase(12, Phase::Services), 100, 24);
    if let Some(focused) = focus {
        assert_eq!(send(&mut model, Msg::Focus(focused)), [Effect::Focus(focused)]);
    }
    assert_eq!(titles(observe(&mut model, &world())).len(), expected);
    assert!(screen(&model).contains("checkout-fix is ready"), "{}", screen(&model));
}

#[test]
fn notifications_are_turned_off_and_on() {
    let starting = with_phase(12, Phase::Services);
    let mut model = seeing(options(), starting.clone(), 100, 24);
    press(&mut model, &["N"]);
    assert!(screen(&model).contains("notifications are off"), "{}", screen(&model));
    assert_eq!(titles(observe(&mut model, &world())), [""; 0]);
    observe(&mut model, &starting);
    press(&mut model, &["N"]);
    assert!(screen(&model).contains("notifications are on"), "{}", screen(&model));
    assert_eq!(titles(observe(&mut model, &world())), ["checkout-fix is ready"]);
}
