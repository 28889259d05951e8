//! The dashboard: its update function, its screens and its loop.

mod day;
mod dialog_clicks;
mod driver;
mod fleets;
mod gallery;
mod hold;
mod logs;
mod main_screen;
mod notifications;
mod pages;
mod presenter;
mod random;
mod registry;
mod screens;
mod soak;
mod update;
mod writes;
