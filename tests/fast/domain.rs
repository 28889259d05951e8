//! The domain: what is parsed from tags, what a world says of its environments, and what is formatted for people.

mod deployments;
mod environments;
mod format;
mod health;
mod metrics;
mod progress;
mod tags;
mod world;
