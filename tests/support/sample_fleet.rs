//! A fleet in many states at a fixed time, for the screens.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::assigning_clones)] // each test crate uses its part

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::clock::Clock;
use hatchery::cloud::LogLine;
use hatchery::cloud::sim::SimCloud;
use hatchery::domain::instance::parse_timeline;
use hatchery::domain::{
    AuditEvent, CloudError, Database, ErrorClass, Fleet, FleetName, Image, ImageId, Instance, InstanceId,
    InstanceState, LastPass, Listing, Outcome, Phase, Pipeline, PipelineKind, Policy, Record, RecordId, Run,
    RunState, Snapshot, SnapshotId, SubnetId, Termination, World,
};
use hatchery::engine::{Engine, EngineConfig, Event};
use hatchery::tui::app::{Effect, Model, Moment, Msg, update};
use hatchery::tui::{Connected, TuiOptions};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Rect, Size};

use super::builders;

pub(crate) fn now() -> DateTime<Utc> {
    "2026-03-10T12:04:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> DateTime<Utc> {
    now() - TimeDelta::minutes(minutes)
}

pub(crate) fn dev() -> FleetName {
    builders::fleet_name()
}

/// Returns the engine of a user in a simulated account.
pub(crate) fn engine(sim: &SimCloud, clock: &Clock, user: &str) -> Engine {
    let config = EngineConfig {
        fleet: dev(),
        user: user.to_owned(),
        request: None,
        host: format!("engine@{user}"),
        seed: 1,
        version: semver::Version::new(0, 1, 0),
    };
    Engine::new(sim.caller(user), clock.clone(), config)
}

/// Returns the connection of a user's dashboard to a simulated account.
pub(crate) fn connected(sim: &SimCloud, clock: &Clock, user: &str) -> Connected {
    Connected { engine: engine(sim, clock, user), account: sim.caller(user) }
}

pub(crate) fn fleet() -> Fleet {
    let policy = Policy {
        subnets: vec![SubnetId::new("subnet-0a")],
        price_instance: Some(0.3328),
        price_database: Some(0.034),
        ..builders::policy()
    };
    let last_pass = Some(LastPass { at: ago(3), by: "engine@schedule".into() });
    Fleet { template: RecordId::new("lt-0f1ee7"), policy, last_pass, ..builders::empty_world().fleet }
}

/// A record without an instance. The times are in minutes before and after [`now`].
pub(crate) fn record(number: u32, name: &str, owner: &str, minutes_old: i64, minutes_left: i64) -> Record {
    Record {
        id: RecordId::new(format!("lt-{number:017x}")),
        name: name.into(),
        owner: owner.into(),
        created_at: ago(minutes_old),
        expires_at: Some(now() + TimeDelta::minutes(minutes_left)),
        instance: None,
        claim: None,
        services: BTreeMap::new(),
        ..builders::record(number)
    }
}

/// The instance of a record.
pub(crate) fn instance(record: &Record, phase: Option<Phase>) -> Instance {
    let number = record.environment.number.0;
    Instance {
        id: InstanceId::new(format!("i-{:017x}", u64::from(number) * 0x1234_5678_9abc)),
        record: Some(record.id.clone()),
        public_ip: None,
        private_ip: Some(format!("10.20.4.{number}").into()),
        launched_at: record.created_at + TimeDelta::seconds(2),
        expires_at: record.expires_at,
        phase,
        ..builders::instance(number)
    }
}

/// A free database, `minutes_old` minutes after the request of its restore.
pub(crate) fn database(number: u32, status: &str, minutes_old: i64) -> Database {
    let usable = status == "available";
    Database {
        status: status.into(),
        endpoint: usable
            .then(|| format!("hatchery-dev-{number}.c1x2.eu-west-1.rds.amazonaws.com:5432").into()),
        requested_at: Some(ago(minutes_old)),
        created_at: usable.then(|| ago(minutes_old - 15)),
        snapshot: Some(SnapshotId::new("rds:integration-2026-03-10-05-50")),
        snapshot_at: Some(ago(374)),
        ..builders::database(number)
    }
}

/// Seven environments in seven states, a free database and one that is being restored.
pub(crate) fn world() -> World {
    let mut records = vec![
        record(8, "old-spike", "sam", 1_500, -30),
        record(9, "perf-test", "jo", 1_560, -8),
        record(10, "ledger-spike", "amy", 44, 436),
        record(11, "friday-demo", "pwong", 465, 15),
        record(12, "checkout-fix", "pwong", 168, 312),
        record(13, "kyc-redesign", "amy", 2, 478),
        record(16, "fx-rates", "lin", 1, 479),
    ];
    records[0].terminate = Some(Termination { at: ago(1), by: "sam".into() });
    records[1].reaping_since = Some(ago(3));
    records[4].services =
        BTreeMap::from([("payments".into(), "f-123".into()), ("ledger".into(), "pr-40".into())]);
    records[4].note = Some("checkout drops the second voucher".into());
    records[5].services = BTreeMap::from([("kyc".into(), "pr-77".into())]);
    let mut instances: Vec<Instance> =
        records[..6].iter().map(|record| instance(record, Some(Phase::Ready))).collect();
    instances[0].state = InstanceState::ShuttingDown;
    instances[2].phase = Some(Phase::Failed);
    instances[2].detail = Some("ledger: image tag pr-404 does not exist".into());
    instances[4].timeline =
        parse_timeline("booting=0 database=24 images=27 cluster=61 services=104 ready=187");
    let digest = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae".to_owned();
    instances[4].digests = BTreeMap::from([("payments".into(), digest.into())]);
    instances[5].phase = Some(Phase::Images);
    let mut databases: Vec<Database> = [(8, 1_600), (9, 1_590), (10, 300), (11, 600), (12, 400), (13, 190)]
        .into_iter()
        .map(|(n, age)| database(n, "available", age))
        .collect();
    databases.push(database(14, "available", 135));
    databases.push(database(15, "creating", 6));
    databases.push(database(16, "creating", 9));
    for database in databases.iter_mut().filter(|database| ![14, 15].contains(&database.number.0)) {
        database.environment = Some(dev().environment(database.number));
    }
    World {
        fleet: fleet(),
        records: Listing::complete(records, now()),
        instances: Listing::complete(instances, now()),
        databases: Listing::complete(databases, now()),
        snapshot: Ok(Some(Snapshot {
            id: SnapshotId::new("rds:integration-2026-03-10-05-50"),
            created_at: ago(374),
        })),
        image: Ok(Some(Image {
            id: ImageId::new("ami-0abc"),
            name: "hatchery".into(),
            created_at: ago(14 * 60),
            root_device: Some("/dev/xvda".into()),
        })),
        subnets: Ok(Vec::new()),
        pipelines: Ok(pipelines()),
        ..builders::empty_world()
    }
}

fn pipelines() -> Vec<Pipeline> {
    let run = |version: &str, state, minutes, image: Option<&str>| Run {
        version: version.into(),
        state,
        reason: (state == RunState::Failed)
            .then(|| "step PullImages of the build failed: no space left on device".into()),
        started_at: ago(minutes),
        image: image.map(ImageId::new),
    };
    let pipeline =
        |kind, schedule: &str, runs| Pipeline { kind, enabled: true, schedule: Some(schedule.into()), runs };
    let base = vec![run("1.0.0/3", RunState::Available, 3 * 24 * 60, Some("ami-0base"))];
    let service = vec![
        run("1.0.2/9", RunState::Testing, 11, None),
        run("1.0.2/8", RunState::Available, 14 * 60 + 16, Some("ami-0abc")),
        run("1.0.2/7", RunState::Failed, 38 * 60, None),
    ];
    vec![
        pipeline(PipelineKind::Base, "cron(0 1 ? * sun *)", base),
        pipeline(PipelineKind::Service, "cron(0 4 * * ? *)", service),
    ]
}

/// The world after a throttled listing of the instances.
pub(crate) fn throttled() -> World {
    let mut world = world();
    world.instances.items.truncate(2);
    world.instances.complete = false;
    world.instances.problem = Some(CloudError::new(
        ErrorClass::Throttled,
        "DescribeInstances",
        "RequestLimitExceeded",
        "Request limit exceeded",
    ));
    world
}

fn event(minutes: i64, who: &str, action: &str, target: &str, reason: &str, outcome: Outcome) -> AuditEvent {
    let detail = if outcome == Outcome::Failed { "no capacity in eu-west-1a" } else { "" };
    AuditEvent {
        reason: reason.into(),
        outcome,
        detail: detail.into(),
        ..builders::audit_event(ago(minutes), who, action, target)
    }
}

pub(crate) fn activity() -> Vec<AuditEvent> {
    vec![
        event(
            34,
            "engine@ci",
            "create-database",
            "hatchery-dev-14",
            "1 spare wanted, 0 there",
            Outcome::Done,
        ),
        event(10, "engine@ci", "launch-instance", "dev-10", "the record has no instance", Outcome::Failed),
        event(
            6,
            "engine@laptop",
            "create-database",
            "hatchery-dev-15",
            "1 spare wanted, 0 there",
            Outcome::Done,
        ),
        event(3, "engine@ci", "mark-reaping", "dev-9", "it expired at 2026-03-10 11:59:00", Outcome::Done),
        event(2, "amy", "launch", "dev-13", "asked for kyc-redesign", Outcome::Done),
        event(1, "sam", "terminate", "dev-8", "asked for", Outcome::Done),
    ]
}

pub(crate) fn lines() -> Vec<LogLine> {
    let text = [
        ("bootstrap", "hatchery bootstrap 1.4.0 on Amazon Linux 2023"),
        ("bootstrap", "phase booting: kernel 6.1, docker 25.0, minikube 1.34"),
        ("bootstrap", "phase database: hatchery-dev-13 answers after 3 s"),
        ("bootstrap", "phase images: fetching kyc:pr-77"),
        ("payments", "INFO listening on 0.0.0.0:8080"),
        ("payments", "WARN currency table is 26 h old"),
        ("ledger", "INFO migrated schema to 214"),
        (
            "ledger",
            "ERROR cannot post entry 8812: voucher 17 was redeemed twice, the second attempt came 3 ms after the first one",
        ),
        ("payments", "INFO voucher 17 redeemed"),
        ("ledger", "INFO retry 1 of 3"),
        ("payments", "INFO health check ok"),
        ("ledger", "INFO entry 8812 posted"),
    ];
    text.iter()
        .enumerate()
        .map(|(index, (source, text))| LogLine {
            id: index.to_string(),
            at: now() - TimeDelta::seconds(120 - i64::try_from(index).unwrap() * 7),
            source: (*source).into(),
            text: (*text).into(),
        })
        .collect()
}

pub(crate) fn moment(seconds: u64) -> Moment {
    Moment {
        clock: Duration::from_secs(seconds),
        real: Duration::from_secs(seconds),
        wall: now() + TimeDelta::seconds(i64::try_from(seconds).unwrap()),
    }
}

pub(crate) fn options() -> TuiOptions {
    // Themes are parsed once, because some tests create thousands of models.
    static OPTIONS: LazyLock<TuiOptions> = LazyLock::new(fresh_options);
    OPTIONS.clone()
}

fn fresh_options() -> TuiOptions {
    let mut options = TuiOptions::new(Clock::virtual_from(now(), 1.0), "pwong");
    options.region = "eu-west-1".to_owned();
    options.zone = chrono_tz::UTC.into();
    options
}

/// A model before the connection.
pub(crate) fn blank(options: TuiOptions, width: u16, height: u16) -> Model {
    Model::new(options, Size::new(width, height), moment(0))
}

/// A model that is connected and has received a world.
pub(crate) fn seeing(options: TuiOptions, world: World, width: u16, height: u16) -> Model {
    let mut model = blank(options, width, height);
    send(&mut model, Msg::Connected { fleet: dev(), region: "eu-west-1".to_owned() });
    send(&mut model, Msg::Account(Some("123456789012".to_owned())));
    send(&mut model, Msg::Engine(Event::World(Arc::new(world))));
    send(&mut model, Msg::Engine(Event::Activity(activity())));
    model
}

/// The model of most screens, three seconds after its world.
pub(crate) fn model(width: u16, height: u16) -> Model {
    let mut model = seeing(options(), world(), width, height);
    model.set_now(moment(3));
    model
}

pub(crate) fn send(model: &mut Model, msg: Msg) -> Vec<Effect> {
    update(model, msg)
}

/// Presses keys as they are written in a keymap.
pub(crate) fn press(model: &mut Model, keys: &[&str]) -> Vec<Effect> {
    keys.iter().flat_map(|key| send(model, Msg::Key(key_of(key)))).collect()
}

/// Types a text.
pub(crate) fn type_in(model: &mut Model, text: &str) -> Vec<Effect> {
    text.chars().flat_map(|c| send(model, Msg::Key(KeyEvent::from(KeyCode::Char(c))))).collect()
}

pub(crate) fn key_of(name: &str) -> KeyEvent {
    let (modifiers, name) =
        name.strip_prefix("ctrl-").map_or((KeyModifiers::NONE, name), |rest| (KeyModifiers::CONTROL, rest));
    let code = match name {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "backtab" => KeyCode::BackTab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "backspace" => KeyCode::Backspace,
        "space" => KeyCode::Char(' '),
        name => KeyCode::Char(name.chars().next().unwrap()),
    };
    KeyEvent::new(code, modifiers)
}

/// Draws the screen.
pub(crate) fn draw(model: &Model) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, model.size.width, model.size.height));
    hatchery::tui::view::draw(model, &mut buf);
    buf
}

/// Draws the screen, so that clicks know where the parts of a dialog are.
pub(crate) fn draw_clickable(model: &mut Model) {
    let mut buf = Buffer::empty(Rect::new(0, 0, model.size.width, model.size.height));
    hatchery::tui::view::draw_clickable(model, &mut buf);
}

/// Draws the screen as text.
pub(crate) fn screen(model: &Model) -> String {
    text_of(&draw(model))
}

pub(crate) fn text_of(buf: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buf.area.height {
        let mut line = String::new();
        for x in 0..buf.area.width {
            line.push_str(buf[(x, y)].symbol());
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
