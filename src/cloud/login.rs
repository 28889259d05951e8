//! How a user logs in to AWS.

use std::fmt;

use crate::domain::text::Untrusted;

/// The command of the AWS CLI that opens the session from which a profile has its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    kind: LoginKind,
    /// The profile of the session, which may be the source of the one in use.
    profile: Untrusted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginKind {
    /// IAM Identity Center.
    Sso,
    /// The user's login to the AWS Management Console.
    Console,
}

impl Login {
    #[must_use]
    pub fn new(kind: LoginKind, profile: &str) -> Self {
        Self { kind, profile: profile.into() }
    }

    /// Returns the command without the profile.
    #[must_use]
    pub fn command(&self) -> &'static str {
        match self.kind {
            LoginKind::Sso => "aws sso login",
            LoginKind::Console => "aws login",
        }
    }

    /// Returns the arguments of `aws`.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let words = self.command().split(' ').skip(1).map(str::to_owned);
        // In one argument, so that no name is taken for an option.
        words.chain([format!("--profile={}", self.profile.raw())]).collect()
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} --profile {}", self.command(), self.profile)
    }
}
