//! Cost of a plan: linear in the number of environments, and less than 10 ms for 10,000.

#[path = "../tests/support/builders.rs"]
mod builders;

use divan::{Bencher, black_box};
use hatchery::engine::plan::plan;

fn main() {
    divan::main();
}

#[divan::bench(args = [100, 1_000, 10_000])]
fn plan_of_an_idle_fleet(bencher: Bencher<'_, '_>, environments: u32) {
    let world = builders::world_with(environments);
    bencher.bench(|| plan(black_box(&world), &world.fleet.policy, builders::now()));
}

#[divan::bench(args = [100, 1_000, 10_000])]
fn plan_when_all_have_expired(bencher: Bencher<'_, '_>, environments: u32) {
    let mut world = builders::world_with(environments);
    for record in &mut world.records.items {
        record.expires_at = Some(builders::minutes_ago(60));
        record.reaping_since = Some(builders::minutes_ago(30));
    }
    bencher.bench(|| plan(black_box(&world), &world.fleet.policy, builders::now()));
}
