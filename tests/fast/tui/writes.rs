//! Credentials that can only read, and the login that gives others.

use hatchery::cloud::{Answer, Login, LoginKind};
use hatchery::engine::Event;
use hatchery::failure::{Failure, Kind};
use hatchery::tui::app::{Effect, Model, Msg};
use rstest::rstest;

use crate::support::sample_fleet::{blank, model, moment, options, press, screen, seeing, send, world};

const REASON: &str = "read-only: your credentials cannot change things";

fn denied() -> Msg {
    Msg::WritesChecked(Answer::Denied("not authorized to perform ec2:CreateLaunchTemplate".to_owned()))
}

fn restricted() -> Model {
    let mut model = model(100, 24);
    assert_eq!(send(&mut model, denied()), [Effect::SetBackground(false)]);
    model
}

#[test]
fn writes_are_checked_once_the_fleet_is_observed() {
    let mut model = blank(options(), 100, 24);
    let connected = Msg::Connected { fleet: world().fleet.name, region: "eu-west-1".to_owned() };
    assert!(!send(&mut model, connected).contains(&Effect::CheckWrites));
    let mut unknown = world();
    unknown.records.complete = false;
    assert!(send(&mut model, Msg::Engine(Event::World(unknown.into()))).is_empty());
    assert_eq!(send(&mut model, Msg::Engine(Event::World(world().into()))), [Effect::CheckWrites]);
    assert!(send(&mut model, Msg::Engine(Event::World(world().into()))).is_empty(), "once");
}

#[test]
fn read_only_mode_asks_nothing() {
    let mut options = options();
    options.read_only = true;
    let mut model = blank(options, 100, 24);
    send(&mut model, Msg::Connected { fleet: world().fleet.name, region: "eu-west-1".to_owned() });
    assert!(send(&mut model, Msg::Engine(Event::World(world().into()))).is_empty());
}

#[rstest]
#[case::launch("l")]
#[case::extend("e")]
#[case::terminate("x")]
#[case::redeploy("u")]
#[case::hold("H")]
fn refused_credentials_disable_the_keys(#[case] key: &str) {
    let mut model = restricted();
    let before = screen(&model);
    assert!(before.contains("READ-ONLY") && before.contains("engine ○ off"), "{before}");
    assert!(before.lines().nth(1).unwrap().contains(REASON), "{before}");
    press(&mut model, &["down", "down", "down", "down"]);
    assert!(press(&mut model, &[key]).is_empty());
    assert_eq!(model.kinds().1, None);
    assert_eq!(screen(&model).matches(REASON).count(), 2, "the notice and the toast: {}", screen(&model));
}

#[test]
fn what_is_not_known_changes_nothing() {
    let unknown = || Msg::WritesChecked(Answer::Unknown("throttled".to_owned()));
    let mut open = model(100, 24);
    assert!(send(&mut open, unknown()).is_empty());
    assert!(!screen(&open).contains("READ-ONLY"));
    let mut model = restricted();
    assert!(send(&mut model, unknown()).is_empty());
    assert!(screen(&model).contains("READ-ONLY"));
}

#[test]
fn refusal_is_lifted_by_a_refresh() {
    let mut model = restricted();
    assert_eq!(press(&mut model, &["r"]), [Effect::Refresh, Effect::CheckWrites]);
    assert_eq!(send(&mut model, Msg::WritesChecked(Answer::Granted)), [Effect::SetBackground(true)]);
    let shown = screen(&model);
    assert!(!shown.contains("READ-ONLY") && !shown.contains(REASON), "{shown}");
    press(&mut model, &["l"]);
    assert_eq!(model.kinds().1, Some("Launch"));
    press(&mut model, &["esc"]);
    assert_eq!(press(&mut model, &["r"]), [Effect::Refresh], "granted ones are not asked about");
}

#[test]
fn new_credentials_are_asked_about() {
    let mut model = restricted();
    let expired = Failure::new(Kind::NotPermitted, "cannot list the environments: expired", "log in again");
    assert!(send(&mut model, Msg::Engine(Event::ObserveFailed(expired))).is_empty());
    assert_eq!(send(&mut model, Msg::Engine(Event::World(world().into()))), [Effect::CheckWrites]);
}

fn expired() -> Failure {
    let message = "cannot list the environments: the SSO session \"corp\" has expired (SsoExpired)";
    Failure::new(Kind::NotPermitted, message, "log in with: aws sso login, and the same --profile")
}

fn with_login() -> hatchery::tui::TuiOptions {
    let mut options = options();
    options.login = Some(Login::new(LoginKind::Sso, "work"));
    options
}

#[test]
fn login_is_offered_where_the_connection_fails() {
    let mut model = blank(with_login(), 60, 15);
    send(&mut model, Msg::ConnectFailed(expired()));
    let shown = screen(&model);
    assert!(shown.contains("press I to log in (aws sso login), r to retry"), "{shown}");
    assert!(shown.lines().last().unwrap().contains("I log in"), "{shown}");
    let effects = press(&mut model, &["I"]);
    let [Effect::LogIn(login)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(login.to_string(), "aws sso login --profile work");
    assert_eq!(send(&mut model, Msg::LoggedIn(Ok(()))), [Effect::Connect]);
    assert!(screen(&model).contains("you are logged in"));
}

/// A login in another terminal, for example, or the VPN.
#[rstest]
#[case::logged_out(with_login(), expired(), true)]
#[case::away(options(), Failure::new(Kind::Unreachable, "AWS cannot be reached", ""), true)]
#[case::no_login(options(), expired(), false)]
#[case::denied(with_login(), Failure::new(Kind::NotPermitted, "denied", "ask your administrator"), false)]
fn failed_connection_that_may_pass_is_tried_again(
    #[case] options: hatchery::tui::TuiOptions,
    #[case] failure: Failure,
    #[case] again: bool,
) {
    let mut model = blank(options, 80, 24);
    let mut tries = Vec::new();
    send(&mut model, Msg::ConnectFailed(failure.clone()));
    for second in 0..200 {
        model.set_now(moment(second));
        if send(&mut model, Msg::Tick) == [Effect::Connect] {
            assert!(model.next_change().real.is_none(), "one try at a time");
            assert!(screen(&model).contains(&failure.message[..10]), "the failure stays");
            tries.push(second);
            send(&mut model, Msg::ConnectFailed(failure.clone()));
        }
    }
    assert_eq!(tries, if again { vec![5, 15, 35, 75, 135, 195] } else { Vec::new() });
    assert_eq!(press(&mut model, &["r"]), [Effect::Connect]);
    assert!(press(&mut model, &["r"]).is_empty() && send(&mut model, Msg::Tick).is_empty());
}

#[test]
fn login_is_offered_where_an_observation_fails() {
    let mut options = with_login();
    options.read_only = true;
    let mut model = seeing(options, world(), 80, 24);
    send(&mut model, Msg::Engine(Event::ObserveFailed(expired())));
    let shown = screen(&model);
    assert!(shown.lines().nth(1).unwrap().contains("press I to log in (aws sso login); cannot"), "{shown}");
    assert_eq!(press(&mut model, &["I"]).len(), 1, "in read-only mode too");
    assert!(send(&mut model, Msg::LoggedIn(Ok(()))).contains(&Effect::Refresh));
}

#[test]
fn login_that_failed_is_said() {
    let mut model = blank(with_login(), 100, 24);
    send(&mut model, Msg::ConnectFailed(expired()));
    let failure = Failure::new(Kind::Failed, "cannot log in: there is no program aws in PATH", "install it");
    assert!(send(&mut model, Msg::LoggedIn(Err(failure))).is_empty());
    let shown = screen(&model);
    assert!(shown.contains("no program aws in PATH") && shown.contains("press I to log in"), "{shown}");
}

#[rstest]
#[case::without_login(options(), expired())]
#[case::other_failure(
    with_login(),
    Failure::new(Kind::NotPermitted, "denied", "ask your administrator for the permission")
)]
fn login_that_does_not_help_is_not_offered(
    #[case] options: hatchery::tui::TuiOptions,
    #[case] failure: Failure,
) {
    let mut model = blank(options, 80, 24);
    send(&mut model, Msg::ConnectFailed(failure));
    assert!(
        !screen(&model).contains("I log in") && !screen(&model).contains("press I"),
        "{}",
        screen(&model)
    );
}
