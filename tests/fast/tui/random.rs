//! Random messages, and every dialog at every size.

use std::sync::Arc;

use hatchery::cloud::LogItem;
use hatchery::domain::history::Reading;
use hatchery::engine::Event;
use hatchery::failure::{Failure, Kind};
use hatchery::tui::app::Msg;
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Rect, Size};
use rstest::rstest;

use crate::support::sample_fleet::{
    self, blank, dev, lines, model, moment, options, press, screen, send, world,
};

fn any_key() -> impl Strategy<Value = KeyEvent> {
    let code = prop_oneof![
        6 => proptest::sample::select(
            "leoxOLyYPafnNswWSF/rt!:?qkjgGabzMp* 019-=&+JvTZhl\u{1b}é漢".chars().collect::<Vec<_>>()
        ).prop_map(KeyCode::Char),
        3 => proptest::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Up, KeyCode::Down,
            KeyCode::Left, KeyCode::Right, KeyCode::Home, KeyCode::End, KeyCode::PageUp, KeyCode::PageDown,
            KeyCode::Backspace, KeyCode::Delete,
        ]),
    ];
    let modifiers = prop_oneof![8 => Just(KeyModifiers::NONE), 1 => Just(KeyModifiers::CONTROL), 1 => Just(KeyModifiers::ALT)];
    (code, modifiers).prop_map(|(code, modifiers)| KeyEvent::new(code, modifiers))
}

fn any_world() -> impl Strategy<Value = Event> {
    (0u8..4, 0usize..8, any::<bool>()).prop_map(|(kind, count, complete)| {
        let mut any = world();
        match kind {
            0 => any = sample_fleet::throttled(),
            1 => any.instances.items.clear(),
            2 => any.databases.items.clear(),
            _ => {}
        }
        any.records.items.truncate(count);
        any.records.complete = complete;
        Event::World(Arc::new(any))
    })
}

pub(super) fn any_msg() -> impl Strategy<Value = Msg> {
    let mouse = (0u16..180, 0u16..60, 0u8..3).prop_map(|(column, row, kind)| {
        let kind = match kind {
            0 => MouseEventKind::Down(MouseButton::Left),
            1 => MouseEventKind::ScrollDown,
            _ => MouseEventKind::ScrollUp,
        };
        Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
    });
    let log = (0u64..6, any::<bool>()).prop_map(|(generation, is_older)| {
        let older = LogItem::Older { lines: lines(), left_out: None };
        Msg::Log(generation, Ok(if is_older { older } else { LogItem::Lines(lines()) }))
    });
    prop_oneof![
        12 => any_key().prop_map(Msg::Key),
        3 => mouse,
        2 => (1u16..180, 1u16..60).prop_map(|(width, height)| Msg::Resize(width, height)),
        1 => any::<String>().prop_map(Msg::Paste),
        3 => any_world().prop_map(Msg::Engine),
        1 => Just(Msg::Engine(Event::Activity(sample_fleet::activity()))),
        1 => Just(Msg::Engine(Event::AuditRead(Ok(Reading { since: sample_fleet::now(), until: sample_fleet::now() })))),
        1 => Just(Msg::History(Ok((sample_fleet::activity(), Reading { since: sample_fleet::now(), until: sample_fleet::now() })))),
        1 => Just(Msg::Engine(Event::ObserveFailed(Failure::new(Kind::Throttled, "throttled", "wait")))),
        1 => Just(Msg::ConnectFailed(Failure::new(Kind::Unreachable, "unreachable", ""))),
        1 => Just(Msg::Connected { fleet: dev(), region: "eu-west-1".to_owned() }),
        1 => proptest::option::of("[0-9]{12}").prop_map(Msg::Account),
        2 => log,
        1 => any::<String>().prop_map(Msg::OpenFailed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn update_and_draw_never_panic(
        width in 1u16..180,
        height in 1u16..60,
        msgs in proptest::collection::vec((any_msg(), 0u64..400), 1..60),
    ) {
        let mut model = blank(options(), width, height);
        let mut at = 0;
        for (msg, later) in msgs {
            at += later;
            model.set_now(moment(at));
            let _ = send(&mut model, msg);
            let Size { width, height } = model.size;
            let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
            hatchery::tui::view::draw_clickable(&mut model, &mut buf);
            let _ = model.next_change();
            for cell in &buf.content {
                prop_assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
            }
        }
    }
}

#[rstest]
#[case::main(&[])]
#[case::launch(&["l"])]
#[case::extend(&["e"])]
#[case::terminate(&["x"])]
#[case::reset(&["ctrl-r"])]
#[case::hold(&["H"])]
#[case::pin(&["p"])]
#[case::redeploy(&["u"])]
#[case::diff(&["="])]
#[case::open_menu(&["O"])]
#[case::palette(&[":"])]
#[case::help(&["?"])]
#[case::log_search(&["L", "/"])]
#[case::log_filter(&["L", "&"])]
#[case::log_save(&["L", "S"])]
#[case::log_time(&["L", "T"])]
#[case::details(&["enter"])]
#[case::health(&["!"])]
#[case::images(&["i"])]
#[case::filter(&["/"])]
#[case::pool(&["P", "G"])]
#[case::activity(&["a", "/"])]
#[case::presenter(&["F"])]
#[case::batch_extend(&["*", "e"])]
#[case::batch_pin(&["*", "p"])]
#[case::batch_terminate(&["*", "x"])]
#[case::help_filter(&["?", "/"])]
#[case::command(&[":", "s", "o", "r", "t", " ", "x", "enter"])]
fn draw_never_panics_at_any_size(#[case] keys: &[&str]) {
    for width in (1..=30).chain((31..=130).step_by(9)) {
        for height in [1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 15, 20, 24, 40] {
            let mut model = model(width, height);
            press(&mut model, &["down"]);
            press(&mut model, keys);
            let _ = screen(&model);
        }
    }
}
