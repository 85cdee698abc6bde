//! One of several gates: it joins the others before anything else begins, and leaves when everything has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::StartError;
use crate::config::Config;
use crate::inflight::Inflight;
use crate::replicas::{Membership, Replicas};
use crate::store::{Opened, StoreError};

/// A gate that hears nothing from its database goes on with what has entered for so many times the time to live of a member.
const GOES_ON: u32 = 12;

/// How long the first exchange may take.
const JOIN_MAX: Duration = Duration::from_secs(60);

/// This gate's part, while it runs.
pub(super) struct Sharing {
    replicas: Replicas,
    straggle: Duration,
    running: AbortOnDropHandle<()>,
}

impl Sharing {
    /// Joins the others, where there can be some, and gives what erasures need of them. `straggle` is how long a service may still store what was cut.
    pub(super) async fn begin(
        config: &Config,
        opened: &Opened,
        inflight: &Arc<Inflight>,
        straggle: Duration,
    ) -> Result<(Option<Self>, Replicas), StartError> {
        let (Some(together), Some(postgres)) = (&opened.together, &config.store.postgres) else {
            return Ok((None, Replicas::alone(Arc::clone(inflight))));
        };
        let membership = Membership {
            members: Arc::clone(&together.members),
            name: host_name(),
            ttl: postgres.ttl,
            goes_on: postgres.ttl * GOES_ON,
            straggle,
            new_id: Uuid::now_v7,
        };
        let replicas = Replicas::together(Arc::clone(inflight), membership);
        timeout(JOIN_MAX, replicas.join()).await.map_err(|_| StoreError::Broken)?;
        let running = replicas.clone();
        let running = AbortOnDropHandle::new(tokio::spawn(async move { running.run().await }));
        Ok((Some(Self { replicas: replicas.clone(), straggle, running }), replicas))
    }

    /// `orderly`: nothing that was on its way can still arrive anywhere.
    pub(super) async fn end(self, orderly: bool) {
        drop(self.running);
        self.replicas.leave(if orderly { Duration::ZERO } else { self.straggle }).await;
    }
}

/// What people call this machine.
fn host_name() -> String {
    let name = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    let name = name.unwrap_or_default();
    name.trim().chars().take(253).collect()
}
