//! Servers, account and terminal for the tests over the wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub(crate) mod account;
pub(crate) mod binary;
pub(crate) mod contract;
pub(crate) mod microburst;
pub(crate) mod moto;
pub(crate) mod proxy;
pub(crate) mod pty;
pub(crate) mod server;
