//! The findings of the health check.

use serde::{Deserialize, Serialize};

/// The severity of a verdict.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Level {
    /// No action is needed.
    Info,
    /// Becomes a problem for users unless it is resolved.
    Warning,
    /// A problem for users now.
    Error,
}

impl Level {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One finding of the health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub level: Level,
    /// A stable identifier for scripts, such as `pool-empty`.
    pub code: String,
    /// The problem, and what to do about it.
    pub message: String,
}

/// What introduces the command that helps.
const COMMANDS: [&str; 3] = ["with: ", "see: ", "see hatchery "];

impl Verdict {
    /// Splits the message into the problem and what to do about it.
    #[must_use]
    pub fn parts(&self) -> (&str, Option<&str>) {
        let message = self.message.as_str();
        let command = COMMANDS.iter().filter_map(|command| message.find(command)).min();
        match command.and_then(|at| message[..at].rfind("; ")) {
            Some(end) => (&message[..end], Some(&message[end + 2..])),
            None => (message, None),
        }
    }
}

/// Adds a verdict.
pub(super) type Report<'a> = &'a mut dyn FnMut(Level, &str, String);

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "no engine has run for 2h; the last one was ci; start one with: hatchery engine; or not",
        "no engine has run for 2h; the last one was ci",
        Some("start one with: hatchery engine; or not")
    )]
    #[case(
        "the image failed: a; b; see hatchery images",
        "the image failed: a; b",
        Some("see hatchery images")
    )]
    #[case("no database is free; 1 being restored", "no database is free; 1 being restored", None)]
    #[case("see: hatchery", "see: hatchery", None)]
    fn advice_is_split_off(#[case] message: &str, #[case] problem: &str, #[case] advice: Option<&str>) {
        let verdict = Verdict { level: Level::Info, code: String::new(), message: message.to_owned() };
        assert_eq!(verdict.parts(), (problem, advice));
    }
}
