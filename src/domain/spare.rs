//! How many free databases a policy asks for: a number, or as many as the demand needs.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// How many free databases to hold: the "+1" of n+1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spare {
    /// Always this many.
    Fixed(u32),
    /// As many as the launch history says are needed; see [`crate::domain::Target`].
    Auto,
}

impl Spare {
    /// The most that a policy may ask for.
    pub const MOST: u32 = 1_000;
}

impl fmt::Display for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(number) => number.fmt(f),
            Self::Auto => f.pad("auto"),
        }
    }
}

impl FromStr for Spare {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(number) if number <= Self::MOST => Ok(Self::Fixed(number)),
            _ => Err("use a whole number from 0 to 1000, or auto"),
        }
    }
}

impl Serialize for Spare {
    /// A number, or the word `auto`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(number) => serializer.serialize_u32(*number),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}
