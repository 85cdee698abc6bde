//! From configured upstreams to sites: their numbers in the store, the keys of their aliases, what reaches them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::named;
use crate::config::{self, BaseUrl, Config, Limits, Upstream};
use crate::domain::UpstreamNumber;
use crate::domain::alias::AliasKey;
use crate::domain::erasure::NamedInstance;
use crate::domain::instance::InstanceRule;
use crate::store::seal::Keys;
use crate::store::{KnownUpstream, Opened, StoreError};
use crate::telemetry::Registry;
use crate::upstream::{Authenticator, Connector, Instances, KeySource, KeySources, KeysError, RootsError, Site};

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
    /// The index says that the upstream holds data, and one of its instances has no name any more.
    #[error(
        "{instance} of upstream \"{name}\" is not in the configuration any more, but the index says that the upstream holds customers' data, and what is there would not be asked for: put it back, or name its key among those of the instance that it opens"
    )]
    Unnamed {
        /// The upstream's name.
        name: String,
        /// Which instance.
        instance: String,
    },
    /// The same name stands for another address now, and something is still to be deleted at the first.
    #[error(
        "upstream \"{name}\" was at {was} and is at {now} now, but an erasure has not been accepted at the first: its delete would go where the data is not"
    )]
    Awaited {
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
    /// The keys that tokens are verified with.
    #[error("upstream \"{name}\": the keys that tokens are verified with cannot be prepared")]
    Keys {
        /// Its name.
        name: String,
        /// Why.
        source: KeysError,
    },
    /// The store.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
}

impl SitesError {
    /// The upstream that it is about.
    pub(super) fn upstream(&self) -> Option<&str> {
        match self {
            Self::Dropped { name }
            | Self::Repointed { name, .. }
            | Self::Unnamed { name, .. }
            | Self::Awaited { name, .. }
            | Self::Roots { name, .. }
            | Self::Keys { name, .. } => Some(name),
            Self::Store(_) => None,
        }
    }

    /// The key that it is about, beneath that of its upstream; `None` where there is no upstream.
    pub(super) const fn key(&self) -> Option<&'static str> {
        match self {
            Self::Dropped { .. } | Self::Store(_) => None,
            Self::Repointed { .. } | Self::Awaited { .. } => Some("url"),
            Self::Unnamed { .. } => Some("instance"),
            Self::Roots { .. } => Some("tls.ca"),
            Self::Keys { .. } => Some("policy.derive"),
        }
    }
}

/// One upstream at run time, and what else a later configuration must know to take it over.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) site: Arc<Site>,
    connect_timeout: Duration,
    response_timeout: Duration,
    /// Its instances with a name, as the store has them.
    named: Vec<NamedInstance>,
}

impl Made {
    /// Whether it is the same instance as one at this URL.
    pub(super) fn is_at(&self, url: &BaseUrl) -> bool {
        identity(&self.site.upstream.url) == identity(url)
    }

    /// Whether it is where it was, and everything that is sent to it may still be sent there.
    pub(super) fn stays(&self, upstream: &Upstream) -> bool {
        let before = &self.site.upstream;
        let has = |name| upstream.instances.named.iter().any(|entry| entry.name == name);
        let names_stay = before.instances.named.iter().all(|entry| has(Arc::clone(&entry.name)));
        let own_stays = upstream.credentials.is_some() || before.credentials.is_none();
        self.is_at(&upstream.url) && names_stay && own_stays
    }
}

/// An upstream before the store has given its number.
#[derive(Debug)]
pub(super) struct Draft {
    upstream: Arc<Upstream>,
    connector: Connector,
    authenticator: Authenticator,
    instances: Arc<Instances>,
    token_keys: KeySources,
    connect_timeout: Duration,
    response_timeout: Duration,
}

/// What all upstreams are made with.
#[derive(Clone, Debug)]
pub(super) struct Making {
    pub(super) limits: Limits,
    pub(super) keys: Arc<Keys>,
    pub(super) registry: Arc<Registry>,
    /// Sets of keys that are there already: whoever names the same one shares it.
    pub(super) known: Vec<Arc<KeySource>>,
}

impl Making {
    /// With the sets of these.
    pub(super) fn after(made: &[Made], limits: &Limits, keys: &Arc<Keys>, registry: &Arc<Registry>) -> Self {
        let known = made.iter().flat_map(|made| made.site.keys.all().iter().map(Arc::clone)).collect();
        Self { limits: limits.clone(), keys: Arc::clone(keys), registry: Arc::clone(registry), known }
    }
}

/// How long a start or a reload waits for the first keys of issuers. What has not come by then is fetched behind it.
const FIRST_KEYS: Duration = Duration::from_secs(3);

/// Waits until each set of keys of these upstreams was fetched once, or could not be.
pub(super) async fn keys_tried(sources: impl Iterator<Item = &KeySources>) {
    let all = sources.flat_map(|sources| sources.all()).map(|source| source.tried());
    timeout(FIRST_KEYS, join_all(all)).await.ok();
}

/// Makes all sites, retired ones included.
pub(super) async fn build(config: &Config, opened: &Opened, registry: &Arc<Registry>) -> Result<Vec<Made>, SitesError> {
    let known = opened.index.upstreams().await?;
    let misfit = misfits(config, &known).into_iter().next();
    misfit.map_or(Ok(()), Err)?;
    let mut sites = Vec::with_capacity(config.upstreams.len());
    let mut making = Making::after(&[], &config.limits, &opened.keys, registry);
    for upstream in &config.upstreams {
        let draft = draft(upstream, &mut making, None)?;
        let named = draft.names(config, &known)?;
        sites.push(draft.finish(opened, None, named).await?);
    }
    Ok(sites)
}

/// What reaches an upstream: as before where nothing about it has changed, so that connections, TLS sessions and tokens
/// are kept: their certificates follow their files. Reads files.
pub(super) fn draft(upstream: &Arc<Upstream>, making: &mut Making, before: Option<&Made>) -> Result<Draft, SitesError> {
    let Making { limits, keys, registry, known } = making;
    let roots = |source| SitesError::Roots { name: upstream.name.to_string(), source };
    let limits = &upstream.limits.over(limits);
    let (connect_timeout, response_timeout) = (limits.connect_timeout, limits.response_timeout);
    let reached = before.filter(|made| {
        let was = &made.site.upstream;
        (&was.url, &was.tls, was.http2, &was.proxy) == (&upstream.url, &upstream.tls, upstream.http2, &upstream.proxy)
            && made.connect_timeout == connect_timeout
    });
    let connector = match reached {
        Some(made) => made.site.connector.clone(),
        None => Connector::new(upstream, connect_timeout).map_err(roots)?,
    };
    let authenticated = before.filter(|made| {
        (&made.site.upstream.credentials, &made.site.upstream.proxy) == (&upstream.credentials, &upstream.proxy)
            && (made.connect_timeout, made.response_timeout) == (connect_timeout, response_timeout)
    });
    let authenticator = match authenticated {
        Some(made) => made.site.authenticator.clone(),
        None => Authenticator::behind(&upstream.proxy, upstream.credentials.as_ref(), limits).map_err(roots)?,
    };
    let told = authenticated.filter(|made| told_apart_by(&made.site.upstream) == told_apart_by(upstream));
    let instances = match told {
        Some(made) => Arc::clone(&made.site.instances),
        None => Arc::new(Instances::new(upstream, keys.fingerprints(), limits).map_err(roots)?),
    };
    // No call is judged at an upstream that takes none.
    let policies = upstream.policies().filter(|_| !upstream.retired);
    let token_keys = KeySources::of(policies, &upstream.proxy, limits, known, registry)
        .map_err(|source| SitesError::Keys { name: upstream.name.to_string(), source })?;
    known.extend(token_keys.all().iter().map(Arc::clone));
    let upstream = Arc::clone(upstream);
    Ok(Draft { upstream, connector, authenticator, instances, token_keys, connect_timeout, response_timeout })
}

/// All that tells an upstream's instances apart, besides its credentials.
fn told_apart_by(upstream: &Upstream) -> (&config::Instances, &str, bool, InstanceRule) {
    (&upstream.instances, &upstream.url.path, upstream.inject, upstream.instance_rule())
}

impl Draft {
    pub(super) fn name(&self) -> &Arc<str> {
        &self.upstream.name
    }

    pub(super) const fn token_keys(&self) -> &KeySources {
        &self.token_keys
    }

    /// Its instances with a name, as the store is to have them.
    ///
    /// # Errors
    /// Where one has none any more, and there is data.
    pub(super) fn names(&self, config: &Config, known: &[KnownUpstream]) -> Result<Vec<NamedInstance>, SitesError> {
        let now = self.instances.known();
        let before = known.iter().find(|known| *known.name == *self.upstream.name);
        let before = before.map_or(&[][..], |known| &known.named);
        if let Some(dropped) =
            named::dropped(before, &now).filter(|_| holding(config, known).contains(&&*self.upstream.name))
        {
            let instance = match &*dropped.name {
                "" => "the instance that the own credentials open".to_owned(),
                name => format!("instance \"{name}\""),
            };
            return Err(SitesError::Unnamed { name: self.upstream.name.to_string(), instance });
        }
        Ok(named::remembered(before, &now))
    }

    /// Asks the store for the number, and tells it the address, unless both are known.
    pub(super) async fn finish(
        self,
        opened: &Opened,
        before: Option<&Made>,
        named: Vec<NamedInstance>,
    ) -> Result<Made, StoreError> {
        let Self { upstream, connector, authenticator, instances, token_keys: keys, connect_timeout, response_timeout } =
            self;
        let known = before.filter(|made| made.is_at(&upstream.url));
        let number = match known {
            Some(made) => made.site.number,
            None => opened.index.upstream_number(&upstream.name, &identity(&upstream.url)).await?,
        };
        let aliases = AliasKey::new(&opened.keys.alias_key(&upstream.name), EPOCH);
        let stays = known.filter(|made| made.stays(&upstream));
        let recordings = stays.map_or_else(Arc::default, |made| Arc::clone(&made.site.recordings));
        let site = Arc::new(Site { number, upstream, aliases, connector, authenticator, instances, keys, recordings });
        Ok(Made { site, connect_timeout, response_timeout, named })
    }
}

/// Tells the store which instances have a name: when nothing else is in the way of this configuration, since whatever had a
/// name once is not dropped any more while there is data.
pub(super) async fn tell_names(opened: &Opened, made: &[Made]) -> Result<(), StoreError> {
    for made in made {
        opened.index.name_instances(made.site.number, made.named.clone()).await?;
    }
    Ok(())
}

/// Tells the store where an upstream is after all. Where it cannot be told, a later start says what it believes.
pub(super) async fn take_back(opened: &Opened, made: &Made) {
    let upstream = &made.site.upstream;
    opened.index.upstream_number(&upstream.name, &identity(&upstream.url)).await.ok();
    opened.index.name_instances(made.site.number, made.named.clone()).await.ok();
}

/// The upstreams that hold data. What an upstream with rows passes on is in the rows of no other.
fn holding<'a>(config: &'a Config, known: &'a [KnownUpstream]) -> Vec<&'a str> {
    let mut holding: Vec<&str> = known.iter().filter(|known| known.has_rows).map(|known| &*known.name).collect();
    let mut at = 0;
    while let Some(from) = holding.get(at).copied() {
        let from = config.upstreams.iter().filter(|upstream| *upstream.name == *from);
        let to = from.flat_map(|upstream| &upstream.passes_to).filter(|to| !holding.contains(&&***to));
        let to: BTreeSet<&str> = to.map(|to| &**to).collect();
        holding.extend(to);
        at += 1;
    }
    holding
}

/// What does not fit what the index holds.
pub(super) fn misfits(config: &Config, known: &[KnownUpstream]) -> Vec<SitesError> {
    let holding = holding(config, known);
    let held = known.iter().filter(|known| holding.contains(&&*known.name));
    held.filter_map(|known| check(config, known).err()).collect()
}

/// Upstreams that the store knows at another address than the configuration, and what is wrong with that while an erasure
/// has not been accepted there.
pub(super) fn moved(config: &Config, known: &[KnownUpstream]) -> Vec<(UpstreamNumber, SitesError)> {
    let moved = |known: &KnownUpstream| {
        let upstream = config.upstreams.iter().find(|upstream| *upstream.name == *known.name)?;
        let (name, was, now) = (known.name.clone(), known.identity.clone(), identity(&upstream.url));
        (was != now).then_some((known.number, SitesError::Awaited { name, was, now }))
    };
    known.iter().filter_map(moved).collect()
}

/// None of these moves away from a delete that it still has to take. Where one would, the store is told again where all of
/// them are: nothing has come to where they were to be.
pub(super) async fn stay(
    moved: Vec<(UpstreamNumber, SitesError)>,
    awaited: &BTreeSet<UpstreamNumber>,
    opened: &Opened,
) -> Result<(), SitesError> {
    if !moved.iter().any(|(number, _)| awaited.contains(number)) {
        return Ok(());
    }
    for (_, error) in &moved {
        if let SitesError::Awaited { name, was, .. } = error {
            opened.index.upstream_number(name, was).await?;
        }
    }
    moved.into_iter().find(|(number, _)| awaited.contains(number)).map_or(Ok(()), |(_, error)| Err(error))
}

/// One that holds data.
fn check(config: &Config, known: &KnownUpstream) -> Result<(), SitesError> {
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
