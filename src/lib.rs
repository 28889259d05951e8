//! hatchery
