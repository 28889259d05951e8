//! hatchery: a terminal dashboard and engine for feature environments on AWS.
//!
//! `ARCHITECTURE.md` describes the modules and which module may depend on which.

pub mod cli;
pub mod clock;
pub mod cloud;
mod config;
pub mod domain;
pub mod engine;
pub mod failure;
mod logging;
mod sessions;
mod signals;
pub mod stack;
pub mod tui;
