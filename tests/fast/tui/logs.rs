//! The log: its keys and its screens.

use chrono::TimeDelta;
use hatchery::cloud::{LogItem, LogLine};
use hatchery::tui::app::{Effect, Model, Msg, SaveError, SaveRequest, Screen};
use hatchery::tui::glyphs;
use insta::assert_snapshot;
use ratatui::crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use rstest::rstest;

use crate::support::sample_fleet::{
    draw, lines, model, moment, now, options, press, screen, seeing, send, type_in, world,
};

/// Lines with JSON and a stack trace after those of the sample.
fn more_lines() -> Vec<LogLine> {
    let json = r#"{"level":"warn","msg":"slow query","took_ms":812,"sql":"select * from entries where voucher = 17 and state = 'open'"}"#;
    let text = [
        ("payments", json),
        (
            "ledger",
            "ERROR java.lang.IllegalState: no entry\n\tat Ledger.post(Ledger.java:71)\n\tat Main.run(Main.java:9)",
        ),
        ("gateway", "DEBUG upstream connected"),
        ("ledger", "INFO voucher 18 redeemed"),
    ];
    let mut all = lines();
    for (index, (source, text)) in text.into_iter().enumerate() {
        all.push(LogLine {
            id: format!("more {index}"),
            at: now() - TimeDelta::seconds(30 - i64::try_from(index).unwrap()),
            source: source.into(),
            text: text.into(),
        });
    }
    all
}

/// Opens the log of the selected environment, and returns the number of its stream.
fn open(model: &mut Model, lines: Vec<LogLine>) -> u64 {
    let effects = press(model, &["L"]);
    let Some(Effect::FollowLogs(_, generation)) = effects.last() else { panic!("{effects:?}") };
    send(model, Msg::Log(*generation, Ok(LogItem::Mode("live tail".to_owned()))));
    send(model, Msg::Log(*generation, Ok(LogItem::Lines(lines))));
    *generation
}

fn log_of(mut model: Model) -> Model {
    press(&mut model, &["down", "down", "down", "down"]);
    open(&mut model, more_lines());
    model
}

fn log(width: u16, height: u16) -> Model {
    log_of(model(width, height))
}

fn copied(effects: &[Effect]) -> &str {
    let [Effect::Copy(text)] = effects else { panic!("{effects:?}") };
    text
}

fn saved(effects: &[Effect]) -> &SaveRequest {
    let [Effect::SaveLog(request)] = effects else { panic!("{effects:?}") };
    request
}

const SIZES: [(u16, u16); 4] = [(60, 15), (80, 24), (160, 45), (240, 60)];

/// The log and what can be opened over it. Each at every size.
#[rstest]
#[case::selection("selection", &["k", "k", "v", "k", "k"])]
#[case::filter("filter", &["&", "v", "o", "u", "c", "h", "e", "r", "enter", "-", "k"])]
#[case::event("event", &["k", "k", "k", "k", "k", "enter"])]
#[case::stack_trace("stack_trace", &["k", "k", "k", "enter"])]
#[case::sources("sources", &["s", "j", " "])]
#[case::save("save", &["S"])]
#[case::time("time", &["T", "x", "enter"])]
#[case::unfolded("unfolded", &["J", "Z", "k", "right"])]
fn log_screen(#[case] name: &str, #[case] keys: &[&str]) {
    for (width, height) in SIZES {
        let mut model = log(width, height);
        press(&mut model, keys);
        assert_snapshot!(format!("log_{name}_{width}x{height}"), screen(&model));
    }
}

/// The runs of cells that do not look like the terminal's default, by row.
fn styled(model: &Model) -> String {
    let buf = draw(model);
    let mut text = String::new();
    for y in 1..buf.area.height - 1 {
        let mut last = None;
        for x in 0..buf.area.width {
            let cell = &buf[(x, y)];
            let style = format!("{:?}/{:?} {:?}", cell.fg, cell.bg, cell.modifier);
            if last.as_ref() != Some(&style) {
                text.extend([format!("\n{y:2} {style}: ")]);
            }
            last = Some(style);
            text.push_str(cell.symbol());
        }
    }
    let rows = text.lines().map(str::trim_end);
    rows.filter(|row| !row.contains("Reset/Reset NONE")).collect::<Vec<_>>().join("\n")
}

#[rstest]
#[case("ansi")]
#[case("mono")]
fn log_has_colours(#[case] theme: &str) {
    let mut options = options();
    options.choose_theme(Some(theme), false).unwrap();
    let mut model = log_of(seeing(options, world(), 100, 24));
    press(&mut model, &["/", "v", "o", "u", "enter", "k", "v", "k"]);
    assert_snapshot!(format!("log_colours_{theme}"), styled(&model));
}

#[test]
fn log_is_ascii_without_unicode() {
    let mut options = options();
    options.glyphs = glyphs::ASCII;
    let mut model = log_of(seeing(options, world(), 100, 24));
    press(&mut model, &["&", "a", "enter", "k", "s"]);
    assert!(screen(&model).is_ascii(), "{}", screen(&model));
}

#[test]
fn line_and_selection_are_copied() {
    let mut model = log(100, 24);
    assert_eq!(copied(&press(&mut model, &["y"])), "INFO voucher 18 redeemed");
    assert_eq!(
        copied(&press(&mut model, &["k", "v", "k", "k", "y"])),
        "    at Ledger.post(Ledger.java:71)\n    at Main.run(Main.java:9)\nDEBUG upstream connected"
    );
    // The selection is over, and the whole JSON is copied, also if it is folded.
    let text = press(&mut model, &["k", "k", "y"]);
    assert!(copied(&text).starts_with(r#"{"level":"warn","#), "{text:?}");
    let text = press(&mut model, &["enter", "y"]);
    assert!(copied(&text).contains("\n  \"took_ms\": 812"), "{text:?}");
}

#[test]
fn too_long_text_is_not_copied() {
    let mut model = log(100, 24);
    let Screen::Logs(_) = &model.screen else { panic!() };
    press(&mut model, &["esc"]);
    let long = LogLine { text: "x".repeat(3_000).into(), ..lines().remove(0) };
    open(&mut model, vec![long; 30]);
    assert!(press(&mut model, &["v", "g", "y"]).is_empty());
    assert!(screen(&model).contains("too long to copy; S saves lines to a file"), "{}", screen(&model));
}

#[test]
fn file_is_saved_and_asked_for_again() {
    let mut model = log(100, 24);
    press(&mut model, &["S"]);
    assert!(screen(&model).contains("dev-12-20260310-120403.log"), "{}", screen(&model));
    let effects = press(&mut model, &["enter"]);
    let SaveRequest { task, path, replace, lines, .. } = saved(&effects).clone();
    assert_eq!((path.as_str(), replace, lines.len()), ("dev-12-20260310-120403.log", false, 18));
    assert_eq!(lines[0].source.as_deref(), Some("bootstrap"));
    let answer = |task, result| Msg::LogSaved { task, path: path.clone(), lines: 18, result };
    send(&mut model, answer(task, Err(SaveError::Exists)));
    assert!(screen(&model).contains("the file exists; enter replaces it"), "{}", screen(&model));
    // Another name is not replaced.
    type_in(&mut model, "x");
    let other = press(&mut model, &["enter"]);
    assert!(!saved(&other).replace);
    send(&mut model, answer(saved(&other).task, Err(SaveError::Exists)));
    let effects = press(&mut model, &["enter"]);
    assert!(saved(&effects).replace);
    let why = "there is no folder /tmp/\u{1b}[2Jx".to_owned();
    send(&mut model, answer(saved(&effects).task, Err(SaveError::Failed(why))));
    assert!(screen(&model).contains("not saved: there is no folder /tmp/x"), "{}", screen(&model));
    let effects = press(&mut model, &["enter"]);
    assert!(!saved(&effects).replace);
    send(&mut model, answer(saved(&effects).task, Ok("/home/amy/x.log".to_owned())));
    assert!(screen(&model).contains("saved 18 lines to /home/amy/x.log"), "{}", screen(&model));
    assert!(!model.has_dialog());
}

#[test]
fn selection_or_filtered_lines_are_saved() {
    let mut model = log(100, 24);
    press(&mut model, &["&", "v", "o", "u", "c", "h", "e", "r", "enter", "-", "-"]);
    assert!(screen(&model).contains("&voucher ±0 · 4 lines"), "{}", screen(&model));
    assert_eq!(saved(&press(&mut model, &["S", "enter"])).lines.len(), 4);
    assert_eq!(saved(&press(&mut model, &["v", "k", "S", "enter"])).lines.len(), 2);
}

#[test]
fn filter_keeps_context_until_its_key_or_esc() {
    let mut model = log(100, 24);
    let has = |model: &Model, text: &str| screen(model).contains(text);
    press(&mut model, &["&"]);
    type_in(&mut model, "listening");
    assert!(has(&model, "INFO listening") && has(&model, "INFO migrated") && !has(&model, "redeemed"));
    press(&mut model, &["enter", "/"]);
    type_in(&mut model, "migrated");
    press(&mut model, &["enter"]);
    assert!(has(&model, "1 line matches") && has(&model, "line 5 of 5"), "{}", screen(&model));
    press(&mut model, &["&"]);
    assert!(has(&model, "redeemed") && has(&model, "line 7 of 18"), "{}", screen(&model));
    press(&mut model, &["&"]);
    type_in(&mut model, "nothing has this");
    assert!(has(&model, "no line is shown: see the filter and the sources"));
    press(&mut model, &["enter", "esc"]);
    assert!(has(&model, "redeemed"), "{}", screen(&model));
    // The next one ends the search, and the one after that leaves the log.
    assert!(press(&mut model, &["esc"]).is_empty() && !has(&model, "matches"));
    assert_eq!(press(&mut model, &["esc"]), [Effect::StopLogs]);
}

#[test]
fn sources_are_chosen_and_cycled() {
    let mut model = log(100, 24);
    press(&mut model, &["tab"]);
    assert!(screen(&model).contains("only bootstrap"), "{}", screen(&model));
    press(&mut model, &["tab", "tab", "tab", "tab"]);
    assert!(!screen(&model).contains("only "));
    press(&mut model, &["s", " ", "j", " ", "enter"]);
    let shown = screen(&model);
    assert!(shown.contains("2 of 4 sources") && shown.contains("INFO listening"), "{shown}");
    assert!(!shown.contains("phase booting") && !shown.contains("upstream connected"), "{shown}");
    press(&mut model, &["s", "o"]);
    assert!(screen(&model).contains("only bootstrap"));
    press(&mut model, &["s", "a", "a", "enter"]);
    assert!(
        model.has_dialog() && screen(&model).contains("choose at least one source"),
        "{}",
        screen(&model)
    );
    press(&mut model, &["a", "enter"]);
    assert!(!model.has_dialog() && screen(&model).contains("upstream connected"));
}

#[test]
fn times_change_and_ages_expire() {
    let mut model = log(100, 24);
    assert!(screen(&model).contains("12:03:33 ledger"), "{}", screen(&model));
    press(&mut model, &["Z", "Z"]);
    assert!(screen(&model).contains("     30s ledger"), "{}", screen(&model));
    let next = model.next_change().clock.unwrap();
    assert!(next.as_secs() < 6, "{next:?}");
    model.set_now(moment(8));
    assert!(screen(&model).contains("     35s ledger"), "{}", screen(&model));
}

#[rstest]
#[case::time("12:03:30", "line 13 of 18", "")]
#[case::before("11:00", "line 1 of 18", "the first line is of 12:02:00")]
#[case::ago("-1s", "following", "the last line is of 12:03:33")]
fn time_is_gone_to(#[case] time: &str, #[case] place: &str, #[case] toast: &str) {
    let mut model = log(100, 24);
    press(&mut model, &["T"]);
    type_in(&mut model, time);
    press(&mut model, &["enter"]);
    let shown = screen(&model);
    assert!(shown.contains(place) && shown.contains(toast), "{shown}");
}

/// The failed environment of the sample, `ledger-spike`.
#[test]
fn log_of_a_failed_environment_opens_at_the_failure() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down"]);
    press(&mut model, &["enter"]);
    assert!(screen(&model).contains("L shows the log where it failed"), "{}", screen(&model));
    let text = ["images: pulling ledger:pr-404", "failed: images: image tag pr-404 does not exist"];
    let mut all: Vec<_> = text.map(|text| LogLine { text: text.into(), ..lines().remove(0) }).into();
    all.extend(vec![LogLine { source: "other".into(), ..lines().remove(4) }; 50]);
    open(&mut model, all);
    let shown = screen(&model);
    assert!(shown.contains("failed: images") && shown.contains("line 2 of 52"), "{shown}");
    assert!(shown.contains("paused where the bootstrap failed; f follows the log"), "{shown}");
    press(&mut model, &["f"]);
    assert!(screen(&model).contains("following"));
}

#[test]
fn failure_is_not_gone_to_once_the_user_has_moved() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down"]);
    let generation = open(&mut model, lines());
    press(&mut model, &["k"]);
    let failed = LogLine { text: "failed: images".into(), ..lines().remove(0) };
    send(&mut model, Msg::Log(generation, Ok(LogItem::Lines(vec![failed]))));
    assert!(screen(&model).contains("line 11 of 13"), "{}", screen(&model));
}

#[test]
fn mouse_moves_the_cursor_and_opens_the_event() {
    let mut model = log(100, 24);
    let at = |kind, row| Msg::Mouse(MouseEvent { kind, column: 20, row, modifiers: KeyModifiers::NONE });
    send(&mut model, at(MouseEventKind::Down(MouseButton::Left), 4));
    assert!(screen(&model).contains("line 3 of 18"), "{}", screen(&model));
    send(&mut model, at(MouseEventKind::Down(MouseButton::Left), 4));
    assert!(screen(&model).contains("Event checkout-fix"), "{}", screen(&model));
    press(&mut model, &["esc"]);
    send(&mut model, at(MouseEventKind::ScrollDown, 4));
    assert!(screen(&model).contains("following"), "{}", screen(&model));
}

/// A smaller terminal and a toast take rows from the log; the cursor stays in it.
#[test]
fn cursor_stays_in_a_smaller_window() {
    let mut model = log(100, 30);
    press(&mut model, &["f", "k"]);
    send(&mut model, Msg::Resize(60, 10));
    let shown = screen(&model);
    assert!(shown.contains("line 17 of 18") && shown.contains("DEBUG upstream"), "{shown}");
}

#[test]
fn columns_need_truncated_lines() {
    let mut model = log(80, 24);
    press(&mut model, &["l"]);
    assert!(screen(&model).contains("from column 17"), "{}", screen(&model));
    press(&mut model, &["k", "k"]);
    assert!(screen(&model).contains("from column 17"), "it stays");
    press(&mut model, &["w", "h"]);
    let shown = screen(&model);
    assert!(
        !shown.contains("from column") && shown.contains("long lines are wrapped; w truncates"),
        "{shown}"
    );
}
