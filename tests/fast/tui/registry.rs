//! What the forms suggest from the registry: late, refused, hostile and repeated answers.

use hatchery::domain::text::Untrusted;
use hatchery::domain::{CloudError, ErrorClass, ImageTag, ImageTags, Registry, Rollout, RolloutState, World};
use hatchery::engine::Event;
use hatchery::tui::app::{Effect, Model, Msg};
use insta::assert_snapshot;
use rstest::rstest;

use crate::support::sample_fleet::{moment, now, options, press, screen, seeing, send, type_in, world};

fn registry() -> Registry {
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com/services".parse().unwrap()
}

fn world_with(registry: &Registry) -> World {
    let mut world = world();
    world.fleet.policy.registry = Some(registry.clone());
    world
}

fn model() -> Model {
    let mut model = seeing(options(), world_with(&registry()), 80, 24);
    model.set_now(moment(3));
    model
}

fn tags(names: &[&str]) -> ImageTags {
    let tags = names.iter().zip(0..);
    let tags = tags.map(|(name, hours)| ImageTag {
        name: (*name).into(),
        pushed_at: now() - chrono::TimeDelta::hours(hours),
    });
    ImageTags::newest(tags.collect(), false)
}

fn listed(service: &str, names: &[&str]) -> Msg {
    Msg::ImageTagsListed(registry(), service.to_owned(), Ok(tags(names)))
}

fn services(names: &[&str]) -> Msg {
    Msg::ServicesListed(registry(), Ok(names.iter().map(|name| Untrusted::from(*name)).collect()))
}

fn refused(operation: &'static str) -> CloudError {
    CloudError::new(ErrorClass::Auth, operation, "AccessDeniedException", "User: amy is not authorized")
}

/// Opens the launch form and goes to its services.
fn launch(model: &mut Model) -> Vec<Effect> {
    let effects = press(model, &["l"]);
    type_in(model, "again");
    press(model, &["tab", "tab"]);
    effects
}

fn suggested(model: &Model) -> Vec<String> {
    let screen = screen(model);
    let line = screen.lines().find_map(|line| line.split_once(" tab ").map(|(_, rest)| rest.to_owned()));
    let words = line.filter(|line| line.contains('=')).unwrap_or_default();
    words.split([' ', '│']).filter(|word| word.contains('=')).map(str::to_owned).collect()
}

#[test]
fn form_asks_once_for_services_and_tags() {
    let mut model = model();
    assert_eq!(launch(&mut model), [Effect::ListServices(registry())]);
    let tags_of = |service: &str| Effect::ListImageTags(registry(), service.to_owned());
    assert_eq!(type_in(&mut model, "payments"), []);
    assert_eq!(type_in(&mut model, "=f-"), [tags_of("payments")]);
    assert_eq!(
        type_in(&mut model, " Kyc=a kyc=b"),
        [tags_of("kyc")],
        "a name that is no service is not sent"
    );
}

#[test]
fn fleet_without_a_registry_asks_nothing() {
    let mut model = seeing(options(), world(), 80, 24);
    assert_eq!(launch(&mut model), []);
    assert_eq!(type_in(&mut model, "payments="), []);
}

#[test]
fn late_answer_comes_behind_the_history() {
    let mut model = model();
    launch(&mut model);
    type_in(&mut model, "payments=");
    let history = suggested(&model);
    assert_eq!(history[0], "payments=f-123");
    let before = screen(&model);
    send(&mut model, listed("payments", &["main-1", "f-123"]));
    let expected = [&history[..], &["payments=main-1".to_owned()]].concat();
    assert_eq!(suggested(&model), expected);
    let row = |screen: &str| screen.lines().position(|line| line.contains("payments=f-123"));
    assert_eq!(row(&before), row(&screen(&model)), "nothing moves");
    assert_snapshot!("launch_registry", screen(&model));
    // A later answer moves none of those that are shown.
    send(&mut model, listed("payments", &["f-9", "main-1"]));
    assert_eq!(suggested(&model), [&expected[..], &["payments=f-9".to_owned()]].concat());
    type_in(&mut model, "ma");
    assert_eq!(suggested(&model), ["payments=main-1"]);
    press(&mut model, &["tab"]);
    let effects = press(&mut model, &["enter"]);
    let [Effect::Launch(_, request)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(request.services["payments"], "main-1");
}

#[test]
fn services_of_the_registry_come_behind_the_history() {
    let mut model = model();
    launch(&mut model);
    let history = suggested(&model);
    send(&mut model, services(&["services/audit", "services/payments", "other/orders", "services/a/b"]));
    assert_eq!(suggested(&model), [&history[..], &["audit=".to_owned()]].concat());
    type_in(&mut model, "au");
    press(&mut model, &["tab"]);
    assert!(screen(&model).contains("audit="), "{}", screen(&model));
}

#[test]
fn hostile_names_are_not_suggested() {
    let mut model = model();
    launch(&mut model);
    send(&mut model, services(&["services/x\u{1b}[2J", "services/$(reboot)", "services/X"]));
    type_in(&mut model, "audit=");
    let names = ["f-1;reboot", "\u{1b}]52;c;x\u{7}", "a b", "-x", ".x", "", "\u{202e}1-f", "f-9"];
    send(&mut model, listed("audit", &names));
    assert_eq!(suggested(&model), ["audit=f-9"]);
    press(&mut model, &["backspace"; 6]);
    let shown = screen(&model);
    assert!(!shown.contains("reboot") && !shown.contains("X="), "{shown}");
}

#[rstest]
#[case::tags(refused("DescribeImages"), "No tags from ECR: ecr:DescribeImages is not allowed.")]
#[case::no_repository(
    CloudError::new(ErrorClass::NotFound, "DescribeImages", "RepositoryNotFoundException", "none"),
    "No tags from ECR: there is no repository services/payments."
)]
#[case::failing(
    CloudError::new(ErrorClass::Transient, "DescribeImages", "Timeout", "no response in time"),
    "No tags from ECR: no response in time (Timeout)."
)]
fn failure_leaves_the_history_and_says_so(#[case] error: CloudError, #[case] expected: &str) {
    let mut model = model();
    launch(&mut model);
    type_in(&mut model, "payments=");
    let (history, rows) = (suggested(&model), screen(&model).lines().map(indentation).collect::<Vec<_>>());
    send(&mut model, Msg::ImageTagsListed(registry(), "payments".to_owned(), Err(error)));
    let shown = screen(&model);
    assert!(shown.contains(expected), "{shown}");
    assert_eq!(suggested(&model), history);
    assert_eq!(shown.lines().map(indentation).collect::<Vec<_>>(), rows, "the form stays where it is");
}

/// The column of a dialog's frame.
fn indentation(line: &str) -> Option<usize> {
    line.find(['╭', '╰'])
}

#[test]
fn refused_services_are_named_too() {
    let mut model = model();
    launch(&mut model);
    send(&mut model, Msg::ServicesListed(registry(), Err(refused("DescribeRepositories"))));
    let expected = "No services from ECR: ecr:DescribeRepositories is not allowed.";
    assert!(screen(&model).contains(expected), "{}", screen(&model));
    assert_snapshot!("launch_registry_refused", screen(&model));
}

#[test]
fn answers_are_used_for_minutes() {
    let mut model = model();
    launch(&mut model);
    type_in(&mut model, "payments=");
    send(&mut model, services(&["services/audit"]));
    send(&mut model, listed("payments", &["main-1"]));
    press(&mut model, &["esc"]);
    model.set_now(moment(4 * 60));
    assert_eq!(launch(&mut model), []);
    assert_eq!(type_in(&mut model, "payments=m"), []);
    assert_eq!(suggested(&model), ["payments=main-1"]);
    press(&mut model, &["esc"]);
    model.set_now(moment(6 * 60));
    assert_eq!(launch(&mut model), [Effect::ListServices(registry())]);
    assert_eq!(type_in(&mut model, "payments=m").len(), 1);
}

#[test]
fn failed_question_is_asked_again_soon() {
    let mut model = model();
    launch(&mut model);
    assert_eq!(type_in(&mut model, "payments=").len(), 1);
    let error = CloudError::new(ErrorClass::Transient, "DescribeImages", "Timeout", "no response in time");
    send(&mut model, Msg::ImageTagsListed(registry(), "payments".to_owned(), Err(error)));
    assert_eq!(type_in(&mut model, "f"), []);
    model.set_now(moment(40));
    assert_eq!(type_in(&mut model, "-"), [Effect::ListImageTags(registry(), "payments".to_owned())]);
}

#[test]
fn answer_of_an_earlier_registry_is_ignored() {
    let mut model = model();
    launch(&mut model);
    type_in(&mut model, "audit=");
    let other: Registry = "210987654321.dkr.ecr.eu-west-1.amazonaws.com".parse().unwrap();
    let effects = send(&mut model, Msg::Engine(Event::World(world_with(&other).into())));
    let asked = [Effect::ListServices(other.clone()), Effect::ListImageTags(other, "audit".to_owned())];
    assert!(asked.iter().all(|effect| effects.contains(effect)), "{effects:?}");
    send(&mut model, listed("audit", &["main-1"]));
    assert_eq!(suggested(&model), Vec::<String>::new());
    press(&mut model, &["esc"]);
    launch(&mut model);
    type_in(&mut model, "audit=");
    assert_eq!(suggested(&model), Vec::<String>::new(), "nor later");
}

#[test]
fn answer_without_a_form_is_kept() {
    let mut model = model();
    press(&mut model, &["l", "esc"]);
    send(&mut model, services(&["services/audit"]));
    launch(&mut model);
    type_in(&mut model, "au");
    assert_eq!(suggested(&model), ["audit="]);
}

#[test]
fn redeploy_form_suggests_the_tag_at_the_cursor() {
    let mut world = world_with(&registry());
    let request = now() - chrono::TimeDelta::minutes(5);
    world.instances.items[4].rollout =
        Some(Rollout { request, state: RolloutState::Done, detail: "".into() });
    let mut model = seeing(options(), world, 80, 24);
    let effects = press(&mut model, &["down", "down", "down", "down", "u"]);
    assert!(effects.contains(&Effect::ListServices(registry())), "{effects:?}");
    assert_eq!(effects.len(), 2, "and the tags of the service at the cursor: {effects:?}");
    press(&mut model, &["ctrl-u"]);
    type_in(&mut model, "payments=x kyc=pr-77");
    press(&mut model, &["left"; 7]);
    send(&mut model, listed("payments", &["x-2", "x-1"]));
    press(&mut model, &["left", "right"]);
    assert_eq!(suggested(&model), Vec::<String>::new(), "the cursor is in another word");
    press(&mut model, &["left"; 3]);
    assert_eq!(suggested(&model), ["payments=x-2", "payments=x-1"], "{}", screen(&model));
    assert_snapshot!("redeploy_registry", screen(&model));
    press(&mut model, &["tab"]);
    let effects = press(&mut model, &["enter"]);
    let [Effect::Redeploy(_, _, request)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((&request.services["payments"][..], &request.services["kyc"][..]), ("x-2", "pr-77"));
}
