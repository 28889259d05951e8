//! Cost of the dashboard with 10,000 environments and 1,000 databases. From a key to its frame, less than 8 ms; a refresh with 1 % changes, less
//! than 20 ms.
#![allow(clippy::unwrap_used)] // for what cannot fail here

mod large_fleet;

use std::sync::Arc;

use divan::Bencher;
use hatchery::domain::World;
use hatchery::engine::Event;
use hatchery::tui::app::{Fleets, Msg};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};

use large_fleet::sample_fleet::{self, moment, options, press, send, type_in};
use large_fleet::{ENVIRONMENTS, model, world};

fn main() {
    divan::main();
}

#[divan::bench(args = ENVIRONMENTS)]
fn key_to_frame(bencher: Bencher<'_, '_>, environments: u32) {
    let mut model = model(environments);
    bencher.bench_local(|| {
        press(&mut model, &["down"]);
        sample_fleet::draw(&model)
    });
}

#[divan::bench(args = ENVIRONMENTS)]
fn sort_to_frame(bencher: Bencher<'_, '_>, environments: u32) {
    let mut model = model(environments);
    bencher.bench_local(|| {
        press(&mut model, &["c"]);
        sample_fleet::draw(&model)
    });
}

/// The first letter, which no earlier result narrows down.
#[divan::bench(args = ENVIRONMENTS)]
fn filter_first_letter_to_frame(bencher: Bencher<'_, '_>, environments: u32) {
    let mut model = model(environments);
    press(&mut model, &["/"]);
    bencher.bench_local(|| {
        type_in(&mut model, "k");
        let frame = sample_fleet::draw(&model);
        press(&mut model, &["backspace"]);
        frame
    });
}

/// Seven letters and a frame for each.
#[divan::bench(args = ENVIRONMENTS)]
fn filter_word_to_frames(bencher: Bencher<'_, '_>, environments: u32) {
    let mut model = model(environments);
    bencher.bench_local(|| {
        press(&mut model, &["/"]);
        for letter in "kyc-999".chars() {
            type_in(&mut model, &letter.to_string());
            divan::black_box(sample_fleet::draw(&model));
        }
        press(&mut model, &["esc"]);
    });
}

/// An observation in which one environment in a hundred has changed.
#[divan::bench(args = ENVIRONMENTS)]
fn refresh_to_frame(bencher: Bencher<'_, '_>, environments: u32) {
    let mut model = model(environments);
    let first = Arc::new(world(environments));
    let mut changed = World::clone(&first);
    for record in changed.records.items.iter_mut().step_by(100) {
        record.note = Some("changed".into());
    }
    let worlds = [Arc::new(changed), first];
    let mut round = 0;
    bencher.bench_local(|| {
        round += 1;
        send(&mut model, Msg::Engine(Event::World(worlds[round % 2].clone())));
        sample_fleet::draw(&model)
    });
}

/// A frame while nothing happens, ten seconds after the last.
#[divan::bench(args = ENVIRONMENTS)]
fn ten_seconds_later(bencher: Bencher<'_, '_>, environments: u32) {
    let mut model = model(environments);
    let mut seconds = 0;
    bencher.bench_local(|| {
        seconds += 10;
        model.set_now(moment(seconds));
        sample_fleet::draw(&model)
    });
}

/// Three fleets in one table, of which the middle one is active.
fn fleets(environments: u32) -> Fleets {
    let mut fleets = Fleets::new(vec![options(); 3], Size::new(160, 45), moment(0));
    for (index, name) in ["dev", "live", "qa"].into_iter().enumerate() {
        let (fleet, region) = (name.parse().unwrap(), "eu-west-1".to_owned());
        fleets.receive(index, Msg::Connected { fleet, region });
        fleets.receive(index, Msg::Engine(Event::World(Arc::new(world(environments / 3)))));
    }
    fleets.input(Msg::Key(sample_fleet::key_of("f")));
    fleets
}

/// A key in a dashboard with three fleets that have these environments together.
#[divan::bench(args = ENVIRONMENTS)]
fn key_among_fleets_to_frame(bencher: Bencher<'_, '_>, environments: u32) {
    let mut fleets = fleets(environments);
    bencher.bench_local(|| {
        fleets.input(Msg::Key(sample_fleet::key_of("down")));
        draw_fleets(&mut fleets)
    });
}

/// An observation of one of three fleets, in which nothing has changed.
#[divan::bench(args = ENVIRONMENTS)]
fn refresh_among_fleets_to_frame(bencher: Bencher<'_, '_>, environments: u32) {
    let mut fleets = fleets(environments);
    let worlds = [Arc::new(world(environments / 3)), Arc::new(world(environments / 3))];
    let mut round = 0;
    bencher.bench_local(|| {
        round += 1;
        fleets.receive(0, Msg::Engine(Event::World(worlds[round % 2].clone())));
        draw_fleets(&mut fleets)
    });
}

fn draw_fleets(fleets: &mut Fleets) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, 160, 45));
    hatchery::tui::view::draw_fleets(fleets, &mut buf);
    buf
}

/// A key on the page of the pool, with one database per ten environments, to its frame.
#[divan::bench(args = ENVIRONMENTS)]
fn pool_page_key_to_frame(bencher: Bencher<'_, '_>, environments: u32) {
    let mut model = model(environments);
    press(&mut model, &["P"]);
    let mut round = 0;
    bencher.bench_local(|| {
        round += 1;
        press(&mut model, &[if round % 20 < 10 { "ctrl-d" } else { "ctrl-u" }]);
        sample_fleet::draw(&model)
    });
}
