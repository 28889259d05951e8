//! Presenter mode: one environment at a time, for a standup.

use std::sync::Arc;
use std::time::Duration;

use hatchery::domain::{Access, World};
use hatchery::engine::Event;
use hatchery::failure::{Failure, Kind};
use hatchery::tui::app::{Model, Msg, Screen};
use hatchery::tui::glyphs;
use insta::assert_snapshot;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use rstest::rstest;

use crate::support::sample_fleet::{draw, model, moment, options, press, screen, seeing, send, world};

const SIZES: [(u16, u16); 4] = [(60, 15), (80, 24), (160, 45), (240, 60)];

const URL: &str = "https://checkout-fix.dev.example.org/";

/// The sample fleet, whose environments are reached by their names.
fn named() -> World {
    let mut world = world();
    "https://{name}.dev.example.org/".clone_into(&mut world.fleet.policy.url_app);
    world
}

/// Presenter mode with `checkout-fix`, in a theme.
fn presenting(world: World, theme: &str, ascii: bool, (width, height): (u16, u16)) -> Model {
    let mut options = options();
    options.choose_theme(Some(theme), false).unwrap();
    if ascii {
        options.glyphs = glyphs::ASCII;
    }
    let mut model = seeing(options, world, width, height);
    model.set_now(moment(3));
    press(&mut model, &["down", "down", "down", "down", "F"]);
    model
}

fn shown(model: &Model) -> String {
    assert!(matches!(model.screen, Screen::Present(_)), "{}", screen(model));
    model.current().map(|row| row.name.clone()).unwrap_or_default()
}

/// Beside a QR code there are few columns.
#[test]
fn progress_and_times_are_not_cut() {
    let mut world = named();
    world.records.items[5].expires_at = Some("2026-03-12T18:30:00Z".parse().unwrap());
    let mut model = presenting(world, "ansi", false, (80, 24));
    press(&mut model, &["right"]);
    let shown = screen(&model);
    assert!(shown.contains("◐ images") && shown.contains("% ") && shown.contains("█▀▀▀▀▀█"), "{shown}");
    assert!(shown.contains("18:30") && !shown.contains('…'), "{shown}");
}

/// What a phone reads from the screen: cells become pixels as a terminal with these colours draws them.
fn scan(buf: &Buffer, light_terminal: bool) -> Option<String> {
    const SCALE: usize = 4;
    let (text, ground) = if light_terminal { (0_u8, 255_u8) } else { (255, 0) };
    let shade = |color: Color, default: u8| match color {
        Color::Reset => default,
        Color::Indexed(16) => 0,
        Color::Indexed(231) => 255,
        Color::Rgb(r, g, b) => u8::try_from((u32::from(r) + u32::from(g) + u32::from(b)) / 3).unwrap(),
        _ => 128,
    };
    let (width, height) = (usize::from(buf.area.width), usize::from(buf.area.height));
    let pixel = |x: usize, y: usize| {
        let cell = &buf.content[y / (2 * SCALE) * width + x / SCALE];
        let (mut fg, mut bg) = (shade(cell.fg, text), shade(cell.bg, ground));
        if cell.modifier.contains(Modifier::REVERSED) {
            std::mem::swap(&mut fg, &mut bg);
        }
        let is_upper = y % (2 * SCALE) < SCALE;
        match cell.symbol() {
            "█" => fg,
            "▀" if is_upper => fg,
            "▄" if !is_upper => fg,
            _ => bg,
        }
    };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width * SCALE, height * 2 * SCALE, pixel);
    image.detect_grids().iter().find_map(|grid| grid.decode().ok()).map(|(_, content)| content)
}

#[test]
fn card_is_drawn_at_every_size() {
    for theme in ["ansi", "mono"] {
        for size in SIZES {
            let model = presenting(named(), theme, false, size);
            assert_snapshot!(format!("presenter_{theme}_{}x{}", size.0, size.1), screen(&model));
        }
    }
    let ascii = presenting(named(), "ansi", true, (160, 45));
    assert!(screen(&ascii).is_ascii(), "{}", screen(&ascii));
    assert_snapshot!("presenter_ascii_160x45", screen(&ascii));
}

#[rstest]
#[case::launching("right", "fx-rates")]
#[case::failed("left", "ledger-spike")]
fn card_of_other_states(#[case] key: &str, #[case] name: &str) {
    let mut model = presenting(named(), "ansi", false, (80, 24));
    press(&mut model, &[key, key]);
    assert_eq!(shown(&model), name);
    assert_snapshot!(format!("presenter_{name}"), screen(&model));
}

#[rstest]
#[case::ansi("ansi", false, (80, 24))]
#[case::dark("dark", false, (160, 45))]
#[case::light("light", false, (160, 45))]
#[case::high_contrast("high-contrast", false, (80, 24))]
#[case::mono("mono", false, (160, 45))]
#[case::ascii("ansi", true, (160, 45))]
#[case::ascii_without_colours("mono", true, (160, 45))]
fn qr_code_has_the_link(#[case] theme: &str, #[case] ascii: bool, #[case] size: (u16, u16)) {
    let model = presenting(named(), theme, ascii, size);
    assert_eq!(scan(&draw(&model), false).as_deref(), Some(URL), "{}", screen(&model));
    assert!(size.0 < 100 || screen(&model).contains(URL), "{}", screen(&model));
}

/// Colours of their own make the code dark on light on any terminal; a theme without colours needs to know which terminal it is.
#[rstest]
#[case::ansi("ansi", false)]
#[case::dark("dark", false)]
#[case::mono("mono", true)]
fn qr_code_is_not_inverted_on_a_light_terminal(#[case] theme: &str, #[case] told: bool) {
    let mut options = options();
    options.choose_theme(Some(theme), false).unwrap();
    options.light_terminal = told;
    let mut model = seeing(options, named(), 160, 45);
    press(&mut model, &["down", "down", "down", "down", "F"]);
    assert_eq!(scan(&draw(&model), true).as_deref(), Some(URL));
}

#[rstest]
#[case::private("http://{ip}/", "10.20.4.12")]
#[case::port("http://{ip}:8080/app", "10.20.4.12")]
#[case::user("http://demo@{ip}/", "10.20.4.12")]
#[case::ipv6("http://[fd00::12]/", "fd00::12")]
#[case::name_with_the_address("http://{ip}.nip.io/", "10.20.4.12")]
#[case::address_in_a_query("http://{name}.example.org/?at={ip}", "10.20.4.12")]
fn addresses_are_left_out(#[case] template: &str, #[case] address: &str) {
    let mut world = world();
    template.clone_into(&mut world.fleet.policy.url_app);
    world.records.items[4].note = Some("broken on 10.20.4.12, see 10.20.4.99:8080.".into());
    for size in SIZES {
        let model = presenting(world.clone(), "ansi", false, size);
        let shown = screen(&model);
        assert!(shown.contains("the link is in the dashboard"), "{shown}");
        assert!(!shown.contains(address) && !shown.contains("10.20.4."), "{shown}");
        assert_eq!(scan(&draw(&model), false), None);
    }
}

#[test]
fn link_through_a_port_forward_is_in_the_dashboard() {
    let mut world = named();
    world.fleet.policy.access = Access::Ssm;
    let model = presenting(world, "ansi", false, (80, 24));
    assert!(screen(&model).contains("the link is in the dashboard"), "{}", screen(&model));
    assert_eq!(scan(&draw(&model), false), None);
}

#[test]
fn nothing_but_the_environment_is_said() {
    for size in SIZES {
        let mut model = presenting(named(), "ansi", false, size);
        let failure = Failure::new(Kind::Unreachable, "cannot reach 10.1.2.3: no route", "");
        send(&mut model, Msg::Engine(Event::ObserveFailed(failure)));
        send(&mut model, Msg::CannotSuspend);
        let shown = screen(&model);
        for word in ["$", "123456789012", "10.1.2.3", "pool ", "engine", "cannot suspend"] {
            assert!(!shown.contains(word), "{word}: {shown}");
        }
        assert!(shown.contains("unreachable"), "old data is said: {shown}");
    }
}

#[test]
fn one_key_in_and_out() {
    let mut model = presenting(named(), "ansi", false, (80, 24));
    assert_eq!(shown(&model), "checkout-fix");
    press(&mut model, &["F"]);
    assert!(matches!(model.screen, Screen::Main));
    press(&mut model, &["F", "l", "esc"]);
    assert!(matches!(model.screen, Screen::Main));
    assert_eq!(model.current().unwrap().name, "kyc-redesign", "the last one shown is selected");
    press(&mut model, &["enter", "F"]);
    assert_eq!(shown(&model), "kyc-redesign");
}

#[test]
fn keys_go_through_what_is_not_ending_in_the_order_of_the_table() {
    let mut model = model(80, 24);
    press(&mut model, &["F"]);
    let mut names = vec![shown(&model)];
    for key in ["right", "l", "down", "j", "right", "left", "h"] {
        press(&mut model, &[key]);
        names.push(shown(&model));
    }
    let wanted = [
        "ledger-spike",
        "friday-demo",
        "checkout-fix",
        "kyc-redesign",
        "fx-rates",
        "ledger-spike",
        "fx-rates",
        "kyc-redesign",
    ];
    assert_eq!(names, wanted);
    press(&mut model, &["end", "home"]);
    assert_eq!(shown(&model), "ledger-spike");
    assert!(screen(&model).contains("1 of 5"), "{}", screen(&model));
}

#[test]
fn filter_and_sort_order_of_the_table_apply() {
    let mut model = model(80, 24);
    press(&mut model, &["C", "/", "a", "m", "y", "enter", "home", "F"]);
    assert_eq!(shown(&model), "kyc-redesign");
    assert!(screen(&model).contains("1 of 2"), "{}", screen(&model));
    press(&mut model, &["right"]);
    assert_eq!(shown(&model), "ledger-spike");
    press(&mut model, &["right"]);
    assert_eq!(shown(&model), "kyc-redesign");
}

#[test]
fn space_cycles_every_15_seconds() {
    let mut model = presenting(named(), "ansi", false, (80, 24));
    assert_eq!(model.next_change().real, None);
    press(&mut model, &["space"]);
    assert_eq!(model.next_change().real.map(|wait| wait.as_secs()), Some(15));
    model.set_now(moment(17));
    assert_eq!(shown(&model), "checkout-fix");
    model.set_now(moment(18));
    assert_eq!(shown(&model), "kyc-redesign");
    assert!(screen(&model).contains("every 15s"), "{}", screen(&model));
    // A key starts the 15 seconds again.
    model.set_now(moment(30));
    press(&mut model, &["right"]);
    assert_eq!(model.next_change().real.map(|wait| wait.as_secs()), Some(15));
    model.set_now(moment(44));
    assert_eq!(shown(&model), "fx-rates");
    model.set_now(moment(45));
    assert_eq!(shown(&model), "ledger-spike");
    press(&mut model, &["space"]);
    assert_eq!(model.next_change().real, None);
    model.set_now(moment(300));
    assert_eq!(shown(&model), "ledger-spike");
}

#[test]
fn cycling_ends_with_presenter_mode() {
    let mut model = presenting(named(), "ansi", false, (80, 24));
    press(&mut model, &["space", "F"]);
    assert_eq!(model.next_change().real, None);
    press(&mut model, &["F"]);
    assert_eq!(model.next_change().real, None);
}

#[test]
fn the_only_environment_needs_no_deadline() {
    let mut world = named();
    world.records.items.drain(..4);
    world.records.items.truncate(1);
    let mut model = seeing(options(), world, 80, 24);
    press(&mut model, &["F", "space"]);
    assert_eq!(model.next_change().real, None);
}

#[test]
fn environment_that_ends_makes_room_for_the_next() {
    let mut model = presenting(named(), "ansi", false, (80, 24));
    let mut next = named();
    next.records.items.remove(4);
    send(&mut model, Msg::Engine(Event::World(Arc::new(next.clone()))));
    assert_eq!(shown(&model), "kyc-redesign");
    next.records.items.truncate(2);
    send(&mut model, Msg::Engine(Event::World(Arc::new(next))));
    assert!(screen(&model).contains("no environment to show"), "{}", screen(&model));
    press(&mut model, &["right", "left", "space"]);
    send(&mut model, Msg::Engine(Event::World(Arc::new(named()))));
    assert_ne!(shown(&model), "");
}

#[test]
fn no_key_of_presenter_mode_changes_anything() {
    let mut model = presenting(named(), "ansi", false, (80, 24));
    for key in ["x", "e", "p", "u", "s", "D", "ctrl-r", ":", "enter", "o", "y", "L", "/", "*", "H", "R"] {
        assert_eq!(press(&mut model, &[key]), [], "{key}");
        assert!(!model.has_dialog(), "{key}");
    }
    assert_eq!(shown(&model), "checkout-fix");
}

#[test]
fn many_services_and_long_texts_fit() {
    let mut world = named();
    let services = (0..30).map(|n| (format!("service-{n:02}").into(), format!("f-{n}").into()));
    world.records.items[4].services = services.collect();
    world.records.items[4].name = "a-name-that-is-as-long-as-names-can-be-so-that-it-is-cut".into();
    world.records.items[4].note = Some("a note of many words ".repeat(20).as_str().into());
    for size in SIZES {
        let model = presenting(world.clone(), "ansi", false, size);
        let shown = screen(&model);
        assert!(shown.contains("service-00") && shown.contains("as in the image"), "{shown}");
        assert!(shown.contains("https://a-name-that"), "{shown}");
        assert!(shown.contains("service-29") || shown.contains(" more"), "{shown}");
    }
}

#[test]
fn cycling_is_in_real_time() {
    let mut model = presenting(named(), "ansi", false, (80, 24));
    press(&mut model, &["space"]);
    // A demo runs faster than real time.
    let mut later = moment(3600);
    later.real = Duration::from_secs(4);
    model.set_now(later);
    assert_eq!(shown(&model), "checkout-fix");
}
