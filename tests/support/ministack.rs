//! ministack: a second emulator of AWS, with a `CloudFormation` that refuses what it cannot create.
//! <https://github.com/ministackorg/ministack>
//!
//! Each test starts its own server on a free port, so tests share no state.

use std::ops::Deref;

use serde_json::{Value, json};

use super::emulator::Emulator;
use super::python::VirtualEnvironment;

static ENVIRONMENT: VirtualEnvironment =
    VirtualEnvironment { name: "ministack", requirements: &["ministack==1.5.33", "boto3==1.43.106"] };

/// A running server.
pub(crate) struct Ministack(Emulator);

impl Ministack {
    /// Starts a server with an empty account.
    pub(crate) fn start() -> Self {
        Self::start_with(&json!({}))
    }

    /// The same, with options of `ministack_server.py`.
    pub(crate) fn start_with(options: &Value) -> Self {
        Self(Emulator::start(&ENVIRONMENT, "ministack_server", options))
    }
}

impl Deref for Ministack {
    type Target = Emulator;

    fn deref(&self) -> &Emulator {
        &self.0
    }
}

impl From<Ministack> for Emulator {
    fn from(server: Ministack) -> Self {
        server.0
    }
}
