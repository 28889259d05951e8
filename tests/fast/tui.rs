//! The dashboard: its update function, its screens and its loop.

mod driver;
mod gallery;
mod hold;
mod logs;
mod main_screen;
mod notifications;
mod pages;
mod presenter;
mod random;
mod screens;
mod soak;
mod update;
mod writes;
