//! Fleets of up to 10,000 environments and 1,000 databases, and a dashboard that shows one.
#![allow(dead_code)] // each benchmark uses its part

#[path = "../../tests/support/builders.rs"]
pub(crate) mod builders;
#[path = "../../tests/support/sample_fleet.rs"]
pub(crate) mod sample_fleet;

use hatchery::domain::World;
use hatchery::tui::app::Model;
use sample_fleet::{options, press, seeing};

pub(crate) const ENVIRONMENTS: [u32; 3] = [100, 1_000, 10_000];

/// A world with one database per ten environments, half of which have a note.
pub(crate) fn world(environments: u32) -> World {
    let mut world = builders::world_with(environments);
    world.databases.items.truncate((environments / 10) as usize);
    for (index, record) in world.records.items.iter_mut().enumerate() {
        record.owner = ["amy", "sam", "jo", "lin", "pwong"][index % 5].into();
        record.name = format!("{}-{index}", ["checkout-fix", "kyc-redesign", "fx-rates"][index % 3]).into();
        record.note = (index % 2 == 0).then(|| "drops the second voucher".into());
    }
    world
}

/// The dashboard at 160×45, with the selection in the middle.
pub(crate) fn model(environments: u32) -> Model {
    let mut model = seeing(options(), world(environments), 160, 45);
    press(&mut model, &["end"]);
    for _ in 0..environments / 50 {
        press(&mut model, &["ctrl-u"]);
    }
    model
}
