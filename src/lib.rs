//! hatchery: a terminal dashboard and engine for dynamic feature environments on AWS.
//!
//! The map of the modules and the rule of who may know whom are in `ARCHITECTURE.md`.

pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod domain;
pub mod engine;
pub mod failure;
pub mod logging;
pub mod tui;
