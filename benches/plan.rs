//! What a plan costs: it must be linear in the number of environments, and 10,000 must take less than 10 ms.

#[path = "../tests/support/worlds.rs"]
mod worlds;

use divan::{Bencher, black_box};
use hatchery::engine::plan::plan;

fn main() {
    divan::main();
}

#[divan::bench(args = [100, 1_000, 10_000])]
fn plan_at_rest(bencher: Bencher<'_, '_>, environments: u32) {
    let world = worlds::of_size(environments);
    bencher.bench(|| plan(black_box(&world), &world.fleet.policy, worlds::now()));
}

#[divan::bench(args = [100, 1_000, 10_000])]
fn plan_when_all_are_over(bencher: Bencher<'_, '_>, environments: u32) {
    let mut world = worlds::of_size(environments);
    for record in &mut world.records.items {
        record.expires_at = Some(worlds::minutes_ago(60));
        record.reaping_since = Some(worlds::minutes_ago(30));
    }
    bencher.bench(|| plan(black_box(&world), &world.fleet.policy, worlds::now()));
}
