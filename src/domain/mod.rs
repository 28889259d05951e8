//! Pure types and rules: no I/O, no clock, no randomness.
//!
//! Everything here follows from AWS's listings. The domain imports no other module of the crate.

pub mod access;
pub mod audit;
pub mod company_tags;
pub mod cost;
pub mod database;
pub mod demand;
pub mod deployment;
pub mod diff;
pub mod environment;
pub mod error;
pub mod fleet;
pub mod format;
pub mod health;
pub mod history;
pub mod hold;
pub mod hours;
pub mod hydration;
pub mod ids;
pub mod instance;
pub mod ip_ranges;
pub mod items;
pub mod launches;
pub mod lifecycle;
pub mod metrics;
pub mod notice;
pub mod notify;
pub mod pipeline;
pub mod policy;
pub mod pool;
pub mod progress;
pub mod proof;
pub mod record;
pub mod registry;
pub mod replacement;
pub mod spare;
pub mod step_failure;
pub mod tags;
pub mod target;
pub mod text;
pub mod unreadable;
pub mod user_data;
pub mod world;

pub use access::{Access, Address, Endpoint};
pub use audit::{AuditEvent, Outcome};
pub use company_tags::CompanyTags;
pub use database::{Database, NewDatabase, Snapshot, StatusClass};
pub use deployment::{Deployment, DeploymentState, DeploymentStatus, Rollout, RolloutState};
pub use environment::{Environment, EnvironmentState, Lookup};
pub use error::{CloudError, ErrorClass};
pub use fleet::{Fleet, Image, LastPass, NewFleet, Subnet};
pub use hold::Hold;
pub use hours::Hours;
pub use hydration::Hydration;
pub use ids::{
    DatabaseId, EnvironmentId, FleetName, ImageId, InstanceId, InvalidName, Label, LogGroupName, Number,
    RecordId, SnapshotId, SubnetId,
};
pub use instance::{Instance, InstanceState, Phase};
pub use launches::{Launch, Launches};
pub use metrics::Metrics;
pub use notice::{Message, Notice, NoticeKind};
pub use notify::Destination;
pub use pipeline::{Pipeline, PipelineKind, Run, RunState};
pub use policy::Policy;
pub use pool::{DatabaseState, Pool};
pub use proof::Proof;
pub use record::{
    LaunchFailure, NewEnvironment, NewRecord, Purpose, Record, RecordKind, Replaces, Termination,
};
pub use registry::{ImageTag, ImageTags, Registry};
pub use replacement::{Place, Replacements};
pub use spare::Spare;
pub use step_failure::StepFailure;
pub use tags::{TagChanges, Tags};
pub use target::Target;
pub use unreadable::{Parsed, Unreadable, UnreadableKind};
pub use world::{Listing, World};
