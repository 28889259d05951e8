//! moto: a server of the AWS wire protocols, installed and started by the tests.
//!
//! Each test starts its own server on a free port, so tests share no state.

use std::ops::Deref;

use serde_json::{Value, json};

use super::emulator::Emulator;
pub(crate) use super::emulator::{REGION, credentials};
use super::python::VirtualEnvironment;

/// moto, and what works with it.
pub(crate) static ENVIRONMENT: VirtualEnvironment = VirtualEnvironment {
    name: "moto",
    requirements: &[
        "moto[server,awslambda,cloudformation,cloudwatch,ec2,iam,logs,rds,s3,servicequotas,sqs,sts]==5.2.5",
        "microburst==0.10.0",
        "cfn-lint==1.58.0",
    ],
};

/// A running server.
pub(crate) struct Moto(Emulator);

impl Moto {
    /// Starts a server with an empty account.
    pub(crate) fn start() -> Self {
        Self::start_with(&json!({}))
    }

    /// The same, with options of `moto_rules.py`.
    pub(crate) fn start_with(options: &Value) -> Self {
        Self(Emulator::start(&ENVIRONMENT, "moto_server", options))
    }
}

impl Deref for Moto {
    type Target = Emulator;

    fn deref(&self) -> &Emulator {
        &self.0
    }
}

impl From<Moto> for Emulator {
    fn from(server: Moto) -> Self {
        server.0
    }
}
