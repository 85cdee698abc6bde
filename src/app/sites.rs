//! From configured upstreams to sites: their numbers in the store, the keys of their aliases, what reaches them.

use std::sync::Arc;

use crate::config::{BaseUrl, Config, Upstream};
use crate::domain::alias::AliasKey;
use crate::store::{KnownUpstream, Opened, StoreError};
use crate::upstream::{Authenticator, Connector, RootsError, Site};

/// The epoch of alias keys that is in use.
const EPOCH: u8 = 1;

/// Why the upstreams cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SitesError {
    /// The index says that an upstream holds data, and the configuration does not name it any more.
    #[error(
        "upstream \"{name}\" is not in the configuration any more, but the index says that it holds customers' data: put it back, with retired = true if it shall get no more traffic"
    )]
    Dropped {
        /// Its name.
        name: String,
    },
    /// The same name stands for another address now.
    #[error(
        "upstream \"{name}\" was at {was} and is at {now} now, but the index says that the first holds customers' data: give the new one another name and keep the old entry with retired = true"
    )]
    Repointed {
        /// Its name.
        name: String,
        /// Where it was.
        was: String,
        /// Where it is.
        now: String,
    },
    /// TLS cannot be prepared.
    #[error("upstream \"{name}\": TLS cannot be prepared")]
    Roots {
        /// Its name.
        name: String,
        /// Why.
        source: RootsError,
    },
    /// The store.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
}

/// Makes all sites, retired ones included.
pub(super) async fn build(config: &Config, opened: &Opened) -> Result<Vec<Arc<Site>>, SitesError> {
    for known in opened.index.upstreams().await? {
        check(config, &known)?;
    }
    let mut sites = Vec::with_capacity(config.upstreams.len());
    for upstream in &config.upstreams {
        let number = opened.index.upstream_number(&upstream.name, &identity(&upstream.url)).await?;
        let roots = |source| SitesError::Roots { name: upstream.name.to_string(), source };
        sites.push(Arc::new(Site {
            number,
            upstream: Arc::clone(upstream),
            aliases: AliasKey::new(&opened.keys.alias_key(&upstream.name), EPOCH),
            connector: Connector::new(upstream, config.limits.connect_timeout).map_err(roots)?,
            authenticator: Authenticator::new(upstream.credentials.as_ref(), &config.limits).map_err(roots)?,
        }));
    }
    Ok(sites)
}

fn check(config: &Config, known: &KnownUpstream) -> Result<(), SitesError> {
    if !known.has_rows {
        return Ok(());
    }
    let configured: Option<&Arc<Upstream>> = config.upstreams.iter().find(|upstream| *upstream.name == *known.name);
    let Some(upstream) = configured else { return Err(SitesError::Dropped { name: known.name.clone() }) };
    let now = identity(&upstream.url);
    if now != known.identity {
        return Err(SitesError::Repointed { name: known.name.clone(), was: known.identity.clone(), now });
    }
    Ok(())
}

/// What makes an upstream the instance that it is.
fn identity(url: &BaseUrl) -> String {
    let scheme = if url.tls { "https" } else { "http" };
    format!("{scheme}://{}:{}{}", url.host, url.port, url.path)
}
