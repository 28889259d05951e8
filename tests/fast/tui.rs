//! The dashboard: its update function, its screens and its loop.

mod driver;
mod screens;
mod update;
