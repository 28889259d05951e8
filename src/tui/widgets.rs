//! What screens are made of.

pub mod frame;
pub mod spans;
pub mod table;
