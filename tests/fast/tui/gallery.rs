//! Every screen and every dialog, at four sizes and in two themes. A kind without a snapshot fails the test.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use hatchery::cloud::{Answer, LogItem, Login, LoginKind};
use hatchery::domain::{Deployment, Rollout, RolloutState};
use hatchery::engine::Event;
use hatchery::failure::{Failure, Kind};
use hatchery::tui::TuiOptions;
use hatchery::tui::app::{Effect, Model, Msg};
use insta::assert_snapshot;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use rstest::rstest;

use super::pages::with_history;
use crate::support::sample_fleet::{
    blank, draw, lines, moment, options, press, seeing, send, text_of, type_in, world,
};

const SIZES: [(u16, u16); 4] = [(60, 15), (80, 24), (160, 45), (240, 60)];

type Size = (u16, u16);
type Open = fn(TuiOptions, Size) -> Model;

/// The sample fleet three seconds after its world.
fn sample(options: TuiOptions, (width, height): Size) -> Model {
    let mut model = seeing(options, world(), width, height);
    model.set_now(moment(3));
    model
}

/// The sample fleet with its past, in which `checkout-fix` is selected and deploys anew.
fn selected(options: TuiOptions, (width, height): Size) -> Model {
    let mut world = world();
    let at = crate::support::sample_fleet::now() - chrono::TimeDelta::seconds(50);
    "https://{name}.dev.example.org/".clone_into(&mut world.fleet.policy.url_app);
    world.records.items[4].deployment = Some(Deployment { at, by: "amy".into() });
    let detail = "waiting for deployment.apps/payments".into();
    world.instances.items[4].rollout = Some(Rollout { request: at, state: RolloutState::Running, detail });
    let mut model = seeing(options, world, width, height);
    model.set_now(moment(3));
    with_history(&mut model);
    press(&mut model, &["down", "down", "down", "down"]);
    model
}

fn pressed(keys: &[&str], mut model: Model) -> Model {
    press(&mut model, keys);
    model
}

fn failed_connection() -> Failure {
    let message =
        "cannot list fleets: the SSO session \"corp\" of the profile \"work\" has expired (SsoExpired)";
    Failure::new(Kind::NotPermitted, message, "log in with: aws sso login, and the same --profile")
}

/// The log of the selected environment, with lines.
fn log(options: TuiOptions, size: Size) -> Model {
    let mut model = selected(options, size);
    let effects = press(&mut model, &["L"]);
    let Some(Effect::FollowLogs(_, generation)) = effects.last() else { panic!("{effects:?}") };
    send(&mut model, Msg::Log(*generation, Ok(LogItem::Mode("live tail".to_owned()))));
    send(&mut model, Msg::Log(*generation, Ok(LogItem::Lines(lines()))));
    model
}

/// Each is one snapshot.
#[rustfmt::skip]
const SHOTS: &[(&str, Open)] = &[
    ("main", selected),
    ("main_pool", |options, size| pressed(&["tab"], selected(options, size))),
    ("main_activity", |options, size| pressed(&["tab", "tab"], selected(options, size))),
    ("main_marks", |options, size| pressed(&["space", "up", "space", "up"], selected(options, size))),
    ("main_filter", |options, size| {
        let mut model = pressed(&["/"], sample(options, size));
        type_in(&mut model, "owner:amy kyc");
        model
    }),
    ("connecting", |options, size| blank(options, size.0, size.1)),
    ("not_connected", |mut options, size| {
        options.login = Some(Login::new(LoginKind::Sso, "work"));
        let mut model = blank(options, size.0, size.1);
        send(&mut model, Msg::ConnectFailed(failed_connection()));
        model
    }),
    ("observation_failed", |mut options, size| {
        options.login = Some(Login::new(LoginKind::Sso, "work"));
        let mut model = sample(options, size);
        send(&mut model, Msg::Engine(Event::ObserveFailed(failed_connection())));
        model
    }),
    ("credentials_that_only_read", |options, size| {
        let mut model = sample(options, size);
        send(&mut model, Msg::WritesChecked(Answer::Denied("no".to_owned())));
        pressed(&["l"], model)
    }),
    ("details", |options, size| pressed(&["enter"], selected(options, size))),
    ("details_failed", |options, size| pressed(&["up", "up", "enter"], selected(options, size))),
    ("diff", |options, size| pressed(&["=", "enter"], selected(options, size))),
    ("pool", |options, size| pressed(&["P"], selected(options, size))),
    ("activity", |options, size| pressed(&["a"], selected(options, size))),
    ("images", |options, size| pressed(&["i"], selected(options, size))),
    ("health", |options, size| pressed(&["!"], selected(options, size))),
    ("help", |options, size| pressed(&["?"], selected(options, size))),
    ("presenter", |options, size| pressed(&["F"], selected(options, size))),
    ("log", log),
    ("log_search", |options, size| pressed(&["/", "v", "o", "u", "enter", "n"], log(options, size))),
    ("log_filter", |options, size| pressed(&["&", "v", "o", "u", "enter"], log(options, size))),
    ("log_selection", |options, size| pressed(&["k", "v", "k", "k"], log(options, size))),
    ("log_event", |options, size| pressed(&["k", "k", "k", "k", "enter"], log(options, size))),
    ("log_sources", |options, size| pressed(&["s", "j"], log(options, size))),
    ("log_save", |options, size| pressed(&["S"], log(options, size))),
    ("log_time", |options, size| pressed(&["T"], log(options, size))),
    ("launch", |options, size| {
        let mut model = pressed(&["l"], selected(options, size));
        type_in(&mut model, "voucher fix");
        model
    }),
    ("extend", |options, size| pressed(&["e"], selected(options, size))),
    ("keep", |options, size| pressed(&["p"], selected(options, size))),
    ("hold", |options, size| pressed(&["up", "up", "H"], selected(options, size))),
    ("redeploy", |options, size| pressed(&["u"], selected(options, size))),
    ("reset", |options, size| pressed(&["ctrl-r"], sample_selected(options, size))),
    ("terminate", |options, size| pressed(&["x"], selected(options, size))),
    ("terminate_of_another", |options, size| pressed(&["down", "x"], selected(options, size))),
    ("batch", |options, size| pressed(&["*", "x"], selected(options, size))),
    ("compare", |options, size| pressed(&["="], selected(options, size))),
    ("open", |options, size| pressed(&["O"], selected(options, size))),
    ("palette", |options, size| {
        let mut model = pressed(&[":"], selected(options, size));
        type_in(&mut model, "re");
        model
    }),
    ("notice", |options, size| {
        let mut model = selected(options, size);
        send(&mut model, Msg::OpenFailed("https://checkout-fix.dev.example.org/".to_owned()));
        model
    }),
];

/// With `checkout-fix` selected, which deploys nothing.
fn sample_selected(options: TuiOptions, size: Size) -> Model {
    pressed(&["down", "down", "down", "down"], sample(options, size))
}

fn in_theme(theme: &str) -> TuiOptions {
    let mut options = options();
    options.choose_theme(Some(theme), false).unwrap();
    options
}

fn name_of(cell: &Cell) -> String {
    let color = |prefix: &str, color: Color| match color {
        Color::Reset => String::new(),
        color => format!("{prefix}{color} "),
    };
    let modifier =
        if cell.modifier == Modifier::empty() { String::new() } else { format!("{:?}", cell.modifier) };
    format!("{}{}{modifier}", color("", cell.fg), color("on ", cell.bg)).trim_end().to_owned()
}

/// The styles of a frame: for each row with any, a letter and the number of its columns for each run, and what the letters mean.
/// A dot is the terminal's default.
fn styles(buf: &Buffer) -> String {
    let mut legend: Vec<String> = Vec::new();
    let mut rows: Vec<String> = Vec::new();
    for y in 0..buf.area.height {
        let mut runs: Vec<(char, usize)> = Vec::new();
        for x in 0..buf.area.width {
            let name = name_of(&buf[(x, y)]);
            let letter = match (name.is_empty(), legend.iter().position(|known| *known == name)) {
                (true, _) => '.',
                (false, Some(index)) => letter(index),
                (false, None) => {
                    legend.push(name);
                    letter(legend.len() - 1)
                }
            };
            match runs.last_mut() {
                Some((last, count)) if *last == letter => *count += 1,
                _ => runs.push((letter, 1)),
            }
        }
        let runs: Vec<_> = runs.iter().map(|(letter, count)| format!("{letter}{count}")).collect();
        rows.push(runs.join(" "));
    }
    let mut text = collapsed(&rows);
    for (index, name) in legend.iter().enumerate() {
        writeln!(text, "{} = {name}", letter(index)).unwrap();
    }
    text
}

/// Joins lines; equal ones in a row are counted.
fn collapsed(lines: &[String]) -> String {
    let mut text = String::new();
    for equal in lines.chunk_by(|one, other| one == other) {
        writeln!(text, "{}", equal[0]).unwrap();
        if equal.len() > 1 {
            writeln!(text, "({} more)", equal.len() - 1).unwrap();
        }
    }
    text
}

fn text_rows(buf: &Buffer) -> String {
    collapsed(&text_of(buf).lines().map(str::to_owned).collect::<Vec<_>>())
}

fn letter(index: usize) -> char {
    char::from(b'A' + u8::try_from(index).unwrap())
}

fn shot(open: Open) -> String {
    let mut text = String::new();
    for size in SIZES {
        let (ansi, mono) = (draw(&open(in_theme("ansi"), size)), draw(&open(in_theme("mono"), size)));
        writeln!(text, "=== {}x{}\n{}", size.0, size.1, text_rows(&ansi)).unwrap();
        writeln!(text, "--- ansi\n{}", styles(&ansi)).unwrap();
        // Without colours, a QR code is drawn with other symbols.
        let other = if text_of(&mono) == text_of(&ansi) { String::new() } else { text_rows(&mono) };
        writeln!(text, "--- mono\n{other}{}", styles(&mono)).unwrap();
    }
    text
}

#[test]
fn every_screen() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/gallery");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, open) in SHOTS {
            assert_snapshot!(*name, shot(*open));
        }
    });
}

#[test]
fn every_kind_of_screen_and_dialog_has_a_snapshot() {
    let (mut screens, mut dialogs) = (BTreeSet::new(), BTreeSet::new());
    for (_, open) in SHOTS {
        let (screen, dialog) = open(options(), (80, 24)).kinds();
        screens.insert(screen);
        dialogs.extend(dialog);
    }
    let (all_screens, all_dialogs) = Model::all_kinds();
    assert_eq!(screens, all_screens.iter().copied().collect());
    assert_eq!(dialogs, all_dialogs.iter().copied().collect());
}

#[rstest]
#[case(39, 20)]
#[case(80, 7)]
#[case(12, 3)]
fn small_terminal_is_told(#[case] width: u16, #[case] height: u16) {
    let mut model = selected(options(), (width, height));
    let shown = text_of(&draw(&model)).replace('\n', " ");
    assert!(shown.starts_with("This") && !shown.contains("checkout"), "{shown}");
    if width > 12 {
        assert!(shown.contains(&format!("has {width}x{height} cells")), "{shown}");
    }
    assert!(press(&mut model, &["x"]).is_empty());
    assert_eq!(model.kinds().1, None, "nothing opens that cannot be seen");
    assert_eq!(press(&mut model, &["q"]), [Effect::Quit]);
}

/// In production, each frame of each screen and dialog has the colour, and the word is there without colours too.
#[rstest]
#[case("ansi")]
#[case("mono")]
fn production_is_marked_on_every_screen(#[case] theme: &str) {
    for (name, open) in SHOTS {
        for size in SIZES {
            let mut options = in_theme(theme);
            options.production = true;
            let buf = draw(&open(options, size));
            let shown = text_of(&buf);
            assert!(shown.contains("PRODUCTION"), "{name} at {size:?}:\n{shown}");
            for y in 0..buf.area.height {
                for x in 0..buf.area.width {
                    let cell = &buf[(x, y)];
                    let is_corner = ["╭", "╮", "╰", "╯"].contains(&cell.symbol());
                    let is_red = theme == "mono" || cell.fg == Color::Red;
                    assert!(!is_corner || is_red, "{name} at {size:?}, {x},{y}:\n{shown}");
                }
            }
        }
    }
}

/// What users and AWS name things: control sequences, right-to-left and wide text, marks without a base.
const HOSTILE: [&str; 6] = [
    "\u{1b}[2J\u{1b}]0;owned\u{7}x",
    "\u{202e}evil\u{202d}",
    "עברית-שם",
    "部署测试环境部署测试环境",
    "e\u{301}\u{301}\u{301}a\r\nb\tc\u{0}",
    "👩\u{200d}👩\u{200d}👧🇩🇪",
];

/// The same screen with hostile texts in everything that comes from outside.
fn hostile(model: &mut Model) {
    let mut world = world();
    let texts = || HOSTILE.iter().cycle();
    for (record, text) in world.records.items.iter_mut().zip(texts()) {
        (record.name, record.owner) = ((*text).into(), (*text).into());
        record.note = Some((*text).into());
        record.services = [((*text).into(), (*text).into())].into();
    }
    for (instance, text) in world.instances.items.iter_mut().zip(texts()) {
        instance.detail = Some((*text).into());
        instance.private_ip = Some((*text).into());
    }
    for (database, text) in world.databases.items.iter_mut().zip(texts()) {
        database.endpoint = Some((*text).into());
    }
    let at = crate::support::sample_fleet::now();
    let events = HOSTILE.map(|text| crate::support::builders::audit_event(at, text, text, text));
    send(model, Msg::Engine(Event::World(world.into())));
    send(model, Msg::Engine(Event::Activity(events.into())));
    send(model, Msg::Account(Some(HOSTILE[0].to_owned())));
}

/// Whether the first and the last cell of each row are part of a frame, which text that is wider than its columns would move.
fn edges(buf: &Buffer) -> Vec<(u16, bool, bool)> {
    let is_edge =
        |x: u16, y: u16| ["│", "┌", "└", "┐", "┘", "╭", "╮", "╰", "╯"].contains(&buf[(x, y)].symbol());
    (0..buf.area.height).map(|y| (y, is_edge(0, y), is_edge(buf.area.width - 1, y))).collect()
}

#[test]
fn hostile_texts_are_harmless_on_every_screen() {
    for (name, open) in SHOTS {
        for size in [(60, 15), (100, 30), (160, 45)] {
            let mut model = open(options(), size);
            hostile(&mut model);
            if let Some(generation) = log_of(&model) {
                let hostile = HOSTILE.iter().zip(lines());
                let hostile = hostile.map(|(text, mut line)| {
                    (line.text, line.source) = ((*text).into(), (*text).into());
                    line
                });
                send(&mut model, Msg::Log(generation, Ok(LogItem::Lines(hostile.collect()))));
            }
            let after = draw(&model);
            assert!(*name != "log" || text_of(&after).contains("evil"), "{}", text_of(&after));
            // ratatui drops the control characters themselves, but not the rest of their sequences.
            let text = text_of(&after);
            assert!(!text.contains("[2J") && !text.contains("owned"), "{name}:\n{text}");
            for cell in after.content() {
                let is_harmless = |c: char| !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c);
                assert!(cell.symbol().chars().all(is_harmless), "{name}: {:?}", cell.symbol());
            }
            let edges = edges(&after);
            assert!(
                edges.iter().all(|(_, left, right)| left == right),
                "{name} at {size:?}:\n{}",
                text_of(&after)
            );
        }
    }
}

/// The number of the open log's stream, which is the first.
fn log_of(model: &Model) -> Option<u64> {
    (model.kinds().0 == "Logs").then_some(1)
}
