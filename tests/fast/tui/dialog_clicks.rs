//! Dialogs by mouse: rows, fields, suggestions and the hints for keys.

use hatchery::tui::app::{Effect, Model, Msg, Screen};
use ratatui::crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use rstest::rstest;

use crate::support::sample_fleet::{draw, draw_clickable, model, moment, press, screen, send, type_in};

fn mouse(model: &mut Model, kind: MouseEventKind, (x, y): (usize, usize)) -> Vec<Effect> {
    let (column, row) = (u16::try_from(x).unwrap(), u16::try_from(y).unwrap());
    // A click is on what was drawn last.
    draw_clickable(model);
    send(model, Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

/// Returns the place of the last occurrence of a text.
fn place(model: &Model, text: &str) -> (usize, usize) {
    let screen = screen(model);
    let found = screen.lines().enumerate().filter(|(_, line)| line.contains(text)).last();
    let (y, line) = found.unwrap_or_else(|| panic!("no {text} in\n{screen}"));
    (line[..line.rfind(text).unwrap()].chars().count(), y)
}

fn click_on(model: &mut Model, text: &str) -> Vec<Effect> {
    let at = place(model, text);
    mouse(model, MouseEventKind::Down(MouseButton::Left), at)
}

fn has_dialog(model: &Model, title: &str) -> bool {
    screen(model).contains(title)
}

#[test]
fn hints_are_keys() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down", "down", "down", "e"]);
    assert!(has_dialog(&model, "Extend checkout-fix"));
    click_on(&mut model, "esc cancel");
    assert!(!has_dialog(&model, "Extend checkout-fix"));
    press(&mut model, &["e"]);
    let effects = click_on(&mut model, "enter extend");
    assert!(matches!(&effects[..], [Effect::Extend(..)]), "{effects:?}");
}

/// A click beside the hint, on the question, or outside of the dialog does nothing.
#[test]
fn termination_needs_its_own_button() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down", "down", "down", "x"]);
    let (x, y) = place(&model, "y terminate");
    for at in [(0, 0), (x - 1, y), (x + 40, y), (x, y - 1), (x, y + 1)] {
        assert_eq!(mouse(&mut model, MouseEventKind::Down(MouseButton::Left), at), [], "{at:?}");
        assert!(has_dialog(&model, "What will be lost"), "{at:?}");
    }
    let effects = click_on(&mut model, "y terminate");
    assert!(matches!(&effects[..], [Effect::Terminate(..)]), "{effects:?}");
}

/// The second press of a double-click that has opened the confirmation is not meant for it.
#[test]
fn double_click_does_not_confirm_what_it_opens() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down", "down", "down"]);
    model.set_now(moment(10));
    click_on(&mut model, "terminate");
    assert!(has_dialog(&model, "What will be lost"));
    model.set_now(moment(10));
    assert_eq!(click_on(&mut model, "y terminate"), []);
    model.set_now(moment(12));
    assert!(matches!(&click_on(&mut model, "y terminate")[..], [Effect::Terminate(..)]));
}

#[test]
fn name_is_required_by_mouse_too() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down", "x"]);
    assert!(has_dialog(&model, "to confirm: "), "{}", screen(&model));
    assert!(
        !click_on(&mut model, "enter terminate").iter().any(|effect| matches!(effect, Effect::Terminate(..)))
    );
    assert!(has_dialog(&model, "to confirm: "));
}

#[test]
fn row_of_the_palette_is_selected_then_chosen() {
    let mut model = model(100, 30);
    press(&mut model, &[":"]);
    type_in(&mut model, "help");
    press(&mut model, &["backspace", "backspace", "backspace"]);
    assert!(!has_dialog(&model, "Help"));
    click_on(&mut model, "health ");
    assert!(has_dialog(&model, "Commands"));
    click_on(&mut model, "health ");
    assert!(matches!(model.screen, Screen::Health), "{}", screen(&model));
}

/// The row that is selected when the dialog opens needs two clicks as well.
#[test]
fn extension_is_selected_then_chosen() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down", "down", "down", "e"]);
    assert_eq!(click_on(&mut model, "+4h"), []);
    assert_eq!(click_on(&mut model, "+8h"), []);
    assert!(matches!(&click_on(&mut model, "+8h")[..], [Effect::Extend(..)]));
}

#[rstest]
#[case::open(&["down", "O"], "Open ", "dashboard  ", "app  ")]
#[case::diff(&["down", "="], "Compare ", "kyc-redesign", "ledger-spike")]
fn row_of_a_menu_is_selected(
    #[case] keys: &[&str],
    #[case] title: &str,
    #[case] one: &str,
    #[case] other: &str,
) {
    let mut model = model(100, 24);
    press(&mut model, keys);
    assert!(has_dialog(&model, title), "{}", screen(&model));
    click_on(&mut model, one);
    let first = draw(&model);
    click_on(&mut model, other);
    assert!(has_dialog(&model, title) && draw(&model) != first);
    click_on(&mut model, other);
    assert!(!has_dialog(&model, title), "{}", screen(&model));
}

#[test]
fn field_is_focused_and_a_suggestion_taken() {
    let mut model = model(100, 30);
    press(&mut model, &["l"]);
    click_on(&mut model, "Services");
    type_in(&mut model, "k");
    click_on(&mut model, "kyc=");
    let shown = screen(&model);
    assert!(shown.lines().any(|line| line.contains("Services") && line.contains("kyc=")), "{shown}");
}

#[test]
fn wheel_moves_in_the_list_under_it() {
    let mut model = model(100, 30);
    press(&mut model, &[":"]);
    let before = draw(&model);
    mouse(&mut model, MouseEventKind::ScrollDown, (0, 29));
    assert_eq!(draw(&model), before);
    let at = place(&model, "Commands");
    mouse(&mut model, MouseEventKind::ScrollDown, (at.0, at.1 + 4));
    assert!(draw(&model) != before);
}

#[test]
fn notice_is_closed_by_a_click() {
    let mut model = model(100, 30);
    send(&mut model, Msg::OpenFailed("http://127.0.0.1/".to_owned()));
    let shown = draw(&model);
    mouse(&mut model, MouseEventKind::Down(MouseButton::Left), (0, 29));
    assert_eq!(draw(&model), shown);
    click_on(&mut model, "any key");
    assert!(!has_dialog(&model, "any key"), "{}", screen(&model));
}
