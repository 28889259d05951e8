//! The base templates that launches have just checked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::ResponseLaunchTemplateData;

use crate::domain::RecordId;

/// How long a launch copies the base template that it has checked, for all claims that it tries.
const MAX_AGE: Duration = Duration::from_secs(30);

/// The launch data of base templates, and when it was read.
#[derive(Default)]
pub(super) struct CheckedBases(Mutex<BTreeMap<RecordId, (Instant, ResponseLaunchTemplateData)>>);

impl CheckedBases {
    pub(super) fn insert(&self, id: &RecordId, data: &ResponseLaunchTemplateData) {
        let mut bases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bases.insert(id.clone(), (Instant::now(), data.clone()));
    }

    pub(super) fn get(&self, id: &RecordId) -> Option<ResponseLaunchTemplateData> {
        let bases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bases.get(id).filter(|(read, _)| read.elapsed() < MAX_AGE).map(|(_, data)| data.clone())
    }
}
