//! Memory of the dashboard with 10,000 environments and 1,000 databases: less than 80 MB, also while it gets a second observation.
//! "max alloc" is the result; the times mean nothing.
#![allow(clippy::unwrap_used)] // for what cannot fail here

mod large_fleet;

use std::sync::Arc;

use divan::{AllocProfiler, Bencher};
use hatchery::engine::Event;
use hatchery::tui::app::{Model, Msg};
use large_fleet::{ENVIRONMENTS, model, sample_fleet, world};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// The dashboard with its first observation.
#[divan::bench(args = ENVIRONMENTS, sample_count = 3, sample_size = 1)]
fn dashboard(environments: u32) -> Model {
    model(environments)
}

/// The dashboard and a second observation in which every environment has changed, so that nothing is shared.
#[divan::bench(args = ENVIRONMENTS, sample_count = 3, sample_size = 1)]
fn refresh(bencher: Bencher<'_, '_>, environments: u32) {
    bencher.bench_local(|| {
        let mut model = model(environments);
        let mut changed = world(environments);
        for record in &mut changed.records.items {
            record.note = Some("changed".into());
        }
        sample_fleet::send(&mut model, Msg::Engine(Event::World(Arc::new(changed))));
        (sample_fleet::draw(&model), model)
    });
}
