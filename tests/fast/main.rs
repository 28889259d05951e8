//! Everything that needs neither AWS nor an emulator: the domain, the plan, the command line, the dashboard, the simulated cloud's contract.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod architecture;
mod cli;
mod demand;
mod domain;
mod pictures;
mod plan;
mod sim;
mod tui;

#[path = "../support"]
mod support {
    pub(crate) mod builders;
    pub(crate) mod contract;
    pub(crate) mod sample_fleet;
    pub(crate) mod svg;
    pub(crate) mod worlds;
}
