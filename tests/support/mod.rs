//! What the tests over the wire share.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test binary uses its own part

pub(crate) mod account;
pub(crate) mod binary;
pub(crate) mod contract;
pub(crate) mod http;
pub(crate) mod lambda_runtime;
pub(crate) mod live_tail_server;
pub(crate) mod microburst;
pub(crate) mod moto;
pub(crate) mod proxy;
pub(crate) mod pty;
pub(crate) mod running;
pub(crate) mod server;
