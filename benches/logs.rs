//! From a key to the drawn frame with a log of 100,000 lines, and the cost of new lines. The target is 8 ms.

#![allow(clippy::panic, clippy::unwrap_used)] // for what cannot fail here

#[path = "../tests/support/builders.rs"]
mod builders;
#[path = "../tests/support/sample_fleet.rs"]
mod sample_fleet;

use divan::{Bencher, black_box};
use hatchery::cloud::{LogItem, LogLine};
use hatchery::tui::app::{Effect, Model, Msg};

const LINES: usize = 100_000;

fn main() {
    divan::main();
}

fn lines(numbers: std::ops::Range<usize>) -> Vec<LogLine> {
    let line = |number: usize| {
        let text = match number % 10 {
            0 => format!("ERROR cannot post entry {number}: {}", "voucher was redeemed twice, ".repeat(12)),
            1 | 2 => format!(r#"{{"level":"info","msg":"posted entry {number}","took_ms":{}}}"#, number % 97),
            _ => format!("INFO  GET /orders/{number} 200 {}ms", number % 180),
        };
        LogLine {
            id: number.to_string(),
            at: sample_fleet::now()
                - chrono::TimeDelta::milliseconds(i64::try_from(LINES - number.min(LINES)).unwrap()),
            source: ["payments", "ledger", "gateway"][number % 3].into(),
            text: text.into(),
        }
    };
    numbers.map(line).collect()
}

/// A log with many lines, after some keys.
fn log(keys: &[&str]) -> (Model, u64) {
    let mut model = sample_fleet::model(160, 45);
    let effects = sample_fleet::press(&mut model, &["down", "down", "down", "down", "L"]);
    let Some(Effect::FollowLogs(_, generation)) = effects.last() else { panic!("{effects:?}") };
    for batch in 0..LINES / 1_000 {
        let batch = lines(batch * 1_000..(batch + 1) * 1_000);
        sample_fleet::send(&mut model, Msg::Log(*generation, Ok(LogItem::Lines(batch))));
    }
    sample_fleet::press(&mut model, keys);
    (model, *generation)
}

/// Presses one key after the other, each with a frame.
fn bench_keys(bencher: Bencher<'_, '_>, setup: &[&str], keys: &str) {
    let (mut model, _) = log(setup);
    let mut keys = keys.split(' ').cycle();
    bencher.bench_local(move || {
        sample_fleet::press(&mut model, &[keys.next().unwrap()]);
        black_box(sample_fleet::draw(&model))
    });
}

const MOVES: [&str; 4] = ["k", "ctrl-u ctrl-u ctrl-d", "g G", "g ctrl-d j k"];

#[divan::bench(args = MOVES)]
fn truncated(bencher: Bencher<'_, '_>, keys: &str) {
    bench_keys(bencher, &[], keys);
}

#[divan::bench(args = MOVES)]
fn wrapped(bencher: Bencher<'_, '_>, keys: &str) {
    bench_keys(bencher, &["w"], keys);
}

#[divan::bench(args = ["n", "N", "g n"])]
fn wrapped_search(bencher: Bencher<'_, '_>, keys: &str) {
    bench_keys(bencher, &["w", "/", "9", "8", "7", "enter"], keys);
}

#[divan::bench]
fn typed_search(bencher: Bencher<'_, '_>) {
    bench_keys(bencher, &["/"], "t w i c e backspace backspace backspace backspace backspace");
}

#[divan::bench]
fn append_5000_lines(bencher: Bencher<'_, '_>) {
    let (mut model, generation) = log(&["w"]);
    let batch = lines(LINES..LINES + 5_000);
    bencher.with_inputs(|| batch.clone()).bench_local_values(|batch| {
        sample_fleet::send(&mut model, Msg::Log(generation, Ok(LogItem::Lines(batch))));
        black_box(sample_fleet::draw(&model))
    });
}

/// A page of older lines is put before 100,000 others, without and with a filter.
#[divan::bench(args = ["", "& t w i c e enter"])]
fn prepend_5000_lines(bencher: Bencher<'_, '_>, keys: &str) {
    let keys: Vec<_> = keys.split_whitespace().collect();
    let (model, generation) = log(&keys);
    let batch = lines(0..5_000);
    let inputs = || (model.clone(), batch.clone());
    bencher.with_inputs(inputs).bench_local_values(|(mut model, lines)| {
        sample_fleet::send(&mut model, Msg::Log(generation, Ok(LogItem::Older { lines, left_out: None })));
        black_box(sample_fleet::draw(&model));
        model
    });
}
