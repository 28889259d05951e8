//! The setting `spare`: a fixed target number of free databases, or a forecast.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The target number of free databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spare {
    Fixed(u32),
    /// Forecast from the launch history; see [`crate::domain::Target`].
    Auto,
}

impl Spare {
    pub const MAX: u32 = 1_000;
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
            Ok(number) if number <= Self::MAX => Ok(Self::Fixed(number)),
            _ => Err("use a whole number from 0 to 1000, or auto"),
        }
    }
}

impl Serialize for Spare {
    /// Serialises a number or `auto`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(number) => serializer.serialize_u32(*number),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}
