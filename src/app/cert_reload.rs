//! Looks at the files of certificates every second. A changed certificate is used for later handshakes; no connection
//! ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::{PemFault, Renew};
use crate::listen::Listening;
use crate::telemetry::{Registry, chain, events};
use crate::tls::ServerIdentity;
use crate::upstream::Site;

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Everything that has to follow its files.
pub(super) struct Renewal {
    servers: Vec<(String, Arc<ServerIdentity>)>,
    sites: Vec<Arc<Site>>,
}

impl Renewal {
    /// What is shown to callers, and what the upstreams are reached with.
    pub(super) fn of(listening: &Listening, admin: Option<&Arc<ServerIdentity>>, sites: &[Arc<Site>]) -> Self {
        let admin = admin.map(|tls| ("admin".to_owned(), Arc::clone(tls)));
        Self { servers: listening.tls().chain(admin).collect(), sites: sites.to_vec() }
    }

    /// Looks again and again, until it is told to stop.
    pub(super) async fn run(self, registry: Arc<Registry>, stop: CancellationToken) {
        if self.is_idle() {
            return;
        }
        let (this, mut tick) = (Arc::new(self), interval(EVERY));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let (this, registry) = (Arc::clone(&this), Arc::clone(&registry));
            // File systems may take their time, and others run here.
            if tokio::task::spawn_blocking(move || this.look(&registry)).await.is_err() {
                events::TaskPanicked { task: "renewal of certificates" }.emit();
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.servers.is_empty() && self.followers().next().is_none()
    }

    fn look(&self, registry: &Registry) {
        for (place, tls) in &self.servers {
            tell(place, tls.look(), registry);
        }
        for (site, renewed) in self.followers() {
            if let outcome @ Some(_) = renewed.look() {
                tell(&format!("upstream {}", site.upstream.name), outcome, registry);
            }
        }
    }

    fn followers(&self) -> impl Iterator<Item = (&Site, &dyn Renew)> {
        self.sites.iter().flat_map(|site| {
            let renewed = [site.connector.renewed(), site.authenticator.renewed()].into_iter().flatten();
            let of_keys = site.keys.all().iter().filter_map(|source| source.renewed());
            renewed.chain(site.instances.renewed()).chain(of_keys).map(|renewed| (&**site, renewed))
        })
    }
}

fn tell(place: &str, outcome: Option<Result<(), PemFault>>, registry: &Registry) {
    match outcome {
        None => {}
        Some(Ok(())) => {
            registry.certificates_changed(true);
            events::CertificatesRenewed { place }.emit();
        }
        Some(Err(fault)) => {
            registry.certificates_changed(false);
            events::CertificatesRefused { place, error: &chain(&fault) }.emit();
        }
    }
}
