//! Servers, account and terminal for the tests over the wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub(crate) mod account;
pub(crate) mod binary;
pub(crate) mod contract;
pub(crate) mod emulator;
pub(crate) mod emulators;
pub(crate) mod forked_server;
pub(crate) mod http;
pub(crate) mod image_builder;
pub(crate) mod issuer;
pub(crate) mod lambda_runtime;
pub(crate) mod live_tail_server;
pub(crate) mod microburst;
pub(crate) mod ministack;
pub(crate) mod moto;
pub(crate) mod proxy;
#[allow(dead_code)] // shared with the fast tests
pub(crate) mod pty;
pub(crate) mod python;
pub(crate) mod recorder;
pub(crate) mod running;
pub(crate) mod server;
pub(crate) mod session_manager;
pub(crate) mod tls_proxy;
pub(crate) mod transcript;
