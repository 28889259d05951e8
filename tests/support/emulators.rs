//! The emulators that a story runs on.

use serde_json::{Value, json};

use super::emulator::Emulator;
use super::ministack::Ministack;
use super::moto::Moto;

/// Both know what a fleet needs; what they get wrong differs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EmulatorKind {
    Moto,
    Ministack,
}

impl EmulatorKind {
    /// Starts a server with an empty account.
    pub(crate) fn start(self) -> Emulator {
        self.start_with(&json!({}))
    }

    /// The same, where writes do not find what EC2 has just created.
    pub(crate) fn start_with_write_lag(self) -> Emulator {
        self.start_with(&json!({ "write_lag": 1.0 }))
    }

    fn start_with(self, options: &Value) -> Emulator {
        match self {
            Self::Moto => Moto::start_with(options).into(),
            Self::Ministack => Ministack::start_with(options).into(),
        }
    }
}
