//! The dashboard, over AWS and over the simulated cloud.

use std::path::PathBuf;

use clap::Args;

use super::Global;
use crate::config::Config;
use crate::failure::{Failure, Kind};

/// The demo's own flags.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many times faster than life
    #[arg(long, default_value_t = 30.0, value_name = "TIMES")]
    speed: f64,
    /// The same seed tells the same story
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Write a picture of the dashboard to this SVG file instead
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

pub(crate) fn run(_: &Global, _: &Config) -> Result<(), Failure> {
    Err(Failure::new(Kind::Failed, "not here yet", ""))
}

pub(crate) fn demo(_: &DemoArgs, _: &Global, _: &Config) -> Result<(), Failure> {
    Err(Failure::new(Kind::Failed, "not here yet", ""))
}
