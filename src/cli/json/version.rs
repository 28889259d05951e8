//! The version of the JSON documents.

pub(crate) const VERSION: u32 = 1;
