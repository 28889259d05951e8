//! Everything that needs neither AWS nor an emulator: the domain, the plan, the command line, the dashboard, the simulated cloud's contract.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod architecture;
mod cli;
mod commands;
mod demand;
mod domain;
mod pictures;
mod plan;
mod sim;
#[cfg(unix)]
mod terminal;
mod tui;

#[path = "../support"]
mod support {
    pub(crate) mod builders;
    pub(crate) mod contract;
    #[cfg(unix)]
    #[allow(dead_code)] // shared with the tests over the wire
    pub(crate) mod pty;
    pub(crate) mod sample_fleet;
    pub(crate) mod svg;
    pub(crate) mod worlds;
}
