//! The instances that traffic has shown, for people and metrics, and for which of them the gate has credentials.

use super::Eraser;
use super::settings::with_seen;
use super::views::InstanceView;
use crate::domain::Instance;
use crate::domain::erasure::Which;
use crate::store::StoreError;

impl Eraser {
    /// All instances that were ever recorded with a row, upstream by upstream.
    ///
    /// # Errors
    /// The store's.
    pub async fn instances(&self) -> Result<Vec<InstanceView>, StoreError> {
        let settings = self.settings();
        let (known, seen) = (self.shared.index.upstreams().await?, self.shared.index.instances().await?);
        let mut views = Vec::with_capacity(seen.len());
        for upstream in known {
            let of_site = settings.site(upstream.number).map(|site| site.instances.known().as_ref().clone());
            let instances = with_seen(of_site.unwrap_or_default(), &seen, upstream.number);
            for entry in seen.iter().filter(|entry| entry.upstream == upstream.number) {
                let places = entry.instance.as_ref().map(|instance| instances.resolve(instance)).unwrap_or_default();
                let unnamed = places.iter().any(|place| matches!(place.which, Which::Unnamed(_)));
                let shown: Vec<String> = places.iter().filter_map(|place| place.shown()).collect();
                views.push(InstanceView {
                    upstream: upstream.name.clone(),
                    instance: Some(shown.join(", ")).filter(|shown| !shown.is_empty()),
                    path: entry.instance.as_ref().and_then(path),
                    has_credentials: !unnamed && !places.is_empty(),
                    answered: entry.answered,
                    first_seen: entry.first_seen,
                    last_seen: entry.last_seen,
                });
            }
        }
        Ok(views)
    }
}

fn path(instance: &Instance) -> Option<String> {
    Some(instance.prefix.to_string()).filter(|path| !path.is_empty())
}
