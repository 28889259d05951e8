//! A process and its network, which do not last: calls hang for seconds or for hours, and the process dies at any of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hatchery::clock::Clock;
use hatchery::domain::CloudError;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::Notify;

use crate::cloud_layer::{Call, Hook, LAUNCH};

/// The chance that a call hangs, before it is sent or after it was answered.
const CHANCE: f64 = 0.001;

/// The same for the launch of an instance, of which there are few.
const CHANCE_OF_LAUNCH: f64 = 0.03;

/// Whether networks hang and processes die, and how often they have.
#[derive(Default)]
pub(crate) struct FaultSwitch {
    calm: AtomicBool,
    hangs: AtomicU64,
    deaths: AtomicU64,
}

impl FaultSwitch {
    /// From now on all goes well.
    pub(crate) fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// What has gone wrong, by kind.
    pub(crate) fn faults(&self) -> [(&'static str, u64); 2] {
        [("call hung", &self.hangs), ("engine died", &self.deaths)]
            .map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }
}

/// When a process dies: before or after one of its calls.
pub(crate) struct CrashSchedule {
    left: AtomicU64,
    pub(crate) over: Notify,
}

impl CrashSchedule {
    /// A life of so many moments; there are two in each call.
    pub(crate) fn of(moments: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(moments), over: Notify::new() })
    }

    /// For ever.
    pub(crate) fn eternal() -> Arc<Self> {
        Self::of(u64::MAX)
    }

    async fn pass(&self, fault_switch: &FaultSwitch) {
        let less = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) == Err(0) {
            fault_switch.deaths.fetch_add(1, Ordering::Relaxed);
            self.over.notify_one();
            // The dead do not go on.
            std::future::pending::<()>().await;
        }
    }
}

pub(crate) struct Frail {
    random: Option<Mutex<ChaCha8Rng>>,
    clock: Clock,
    life: Arc<CrashSchedule>,
    fault_switch: Arc<FaultSwitch>,
}

impl Frail {
    pub(crate) fn new(
        hangs: bool,
        seed: u64,
        clock: Clock,
        life: Arc<CrashSchedule>,
        fault_switch: Arc<FaultSwitch>,
    ) -> Self {
        Self { random: hangs.then(|| Mutex::new(ChaCha8Rng::seed_from_u64(seed))), clock, life, fault_switch }
    }

    /// One moment, at which a process may die or hang.
    async fn moment(&self, call: &Call) {
        if !self.fault_switch.calm.load(Ordering::Relaxed) {
            self.life.pass(&self.fault_switch).await;
            self.hang(call).await;
        }
    }

    /// As often for some seconds as for some hours.
    async fn hang(&self, call: &Call) {
        let Some(random) = &self.random else { return };
        let pause = {
            let mut random = random.lock().unwrap();
            let chance = if call.operation == LAUNCH { CHANCE_OF_LAUNCH } else { CHANCE };
            random.random_bool(chance).then(|| 5.0 * f64::powf(4_000.0, random.random::<f64>()))
        };
        if let Some(pause) = pause {
            self.fault_switch.hangs.fetch_add(1, Ordering::Relaxed);
            self.clock.sleep(Duration::from_secs_f64(pause)).await;
        }
    }
}

#[async_trait]
impl Hook for Frail {
    async fn before(&self, call: &Call) {
        self.moment(call).await;
    }

    async fn after(&self, call: &Call, _: Option<&CloudError>) {
        self.moment(call).await;
    }
}
