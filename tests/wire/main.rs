//! The built binary against a real server of the AWS wire protocols (moto). What is asserted is what AWS's API says, not
//! what the program says of itself.
//!
//! Where moto differs from AWS: a restored database is `available` at once, a terminated instance stays listed, and an
//! instance never boots, so the tests write the bootstrap's tags themselves.

#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod commands;
mod concurrency;
mod contract;
mod faults;
mod lambda;
mod lifecycle;
mod live_tail;
mod terminal;
