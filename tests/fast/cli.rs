//! The command line: help, JSON documents, and every error sentence. Commands that need a cloud run on the simulated one.

mod documents;
mod errors;
mod fleets;
mod harness;
mod help;
mod lag;
mod outcomes;
mod prove;
mod redeploy;
mod test_notice;
mod text;
mod themes;
mod wait;
