//! From one configuration to the next while requests are on their way: everything is made ready first, and only when
//! nothing can fail any more is anything changed. See docs/decisions/048-reload.md.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};

use super::components::{Parts, WAITING_SHARE, names};
use super::config_diff;
use super::upstreams::{self, Draft, Made, Making, SitesError};
use crate::config::{Config, Fault, Loaded, OpenWebsockets};
use crate::domain::erasure::NamedInstance;
use crate::listen::{DoorError, Prepared};
use crate::proxy::Shared;
use crate::store::StoreError;
use crate::telemetry::{chain, change_logging, events};
use crate::upstream::Closed;

/// So long a reload waits for deletes to be accepted at an upstream that it moves, before it is refused.
const ACCEPTED_SOON: Duration = Duration::from_secs(2);

/// After a change it looks again so soon, and then half as often each time: every unfinished erasure is read for it.
const PAUSE: Duration = Duration::from_millis(10);

impl Parts {
    /// Turns to another configuration, and gives what has changed.
    ///
    /// # Errors
    /// Everything that is in the way, each with its place in the file; nothing has changed then.
    pub(super) async fn turn(&mut self, loaded: &Loaded) -> Result<Vec<String>, Vec<Fault>> {
        let before = self.state.config.config();
        let mut faults = config_diff::need_restart(&before, loaded);
        faults.extend(self.misfits(loaded).await);
        let drafts = self.drafts(&loaded.config).await;
        let (drafts, failed) = parted(drafts);
        faults.extend(failed.iter().map(|error| fault_of(error, loaded)));
        let prepared = self.listening.prepare(&loaded.config.listen);
        let prepared = match prepared {
            Ok(prepared) if faults.is_empty() => prepared,
            Ok(_) => return Err(faults),
            Err(failed) => {
                faults.extend(failed.into_iter().map(|(nth, error)| fault_of_listener(nth, &error, loaded)));
                faults.sort();
                return Err(faults);
            }
        };
        upstreams::keys_tried(drafts.iter().map(Draft::token_keys)).await;
        let mut left = self.leave(&loaded.config).await;
        // Looked at once more: now nothing can come to those that are left.
        let mut faults = self.misfits(loaded).await;
        let (named, unnamed) = parted(self.names(&drafts, &loaded.config).await);
        faults.extend(unnamed.iter().map(|error| fault_of(error, loaded)));
        let awaited = self.awaited(loaded).await.unwrap_or_else(|error| vec![error.into()]);
        faults.extend(awaited.iter().map(|error| fault_of(error, loaded)));
        if !faults.is_empty() {
            return Err(faults);
        }
        // The store is told where they are now. A stop may come before it has been told all: what is still on its way then
        // must not be recorded as if it were there.
        left.iter_mut().for_each(Closed::keep);
        let made = match self.finish(drafts.into_iter().zip(named), loaded).await {
            Ok(made) => made,
            Err(faults) => {
                left.into_iter().for_each(Closed::open);
                return Err(faults);
            }
        };
        let changed = config_diff::between(&before, &loaded.config);
        self.put_in_force(&loaded.config, made, prepared).await;
        Ok(changed)
    }

    /// From upstreams that move, go or lose an instance nothing more is recorded where they were.
    async fn leave(&self, config: &Config) -> Vec<Closed> {
        let stays = |made: &Made| {
            let of_its_name = config.upstreams.iter().find(|upstream| upstream.name == made.site.upstream.name);
            of_its_name.is_some_and(|upstream| made.stays(upstream))
        };
        let mut left = Vec::new();
        for made in self.made.iter().filter(|made| !stays(made)) {
            left.push(made.site.recordings.close().await);
        }
        left
    }

    async fn misfits(&self, loaded: &Loaded) -> Vec<Fault> {
        match self.opened.index.upstreams().await {
            Ok(known) => {
                upstreams::misfits(&loaded.config, &known).iter().map(|error| fault_of(error, loaded)).collect()
            }
            Err(error) => vec![fault_of(&error.into(), loaded)],
        }
    }

    /// The named instances of each upstream, unless one has lost its name that may not.
    async fn names(&self, drafts: &[Draft], config: &Config) -> Vec<Result<Vec<NamedInstance>, SitesError>> {
        match self.opened.index.upstreams().await {
            Ok(known) => drafts.iter().map(|draft| draft.names(config, &known)).collect(),
            Err(error) => vec![Err(error.into())],
        }
    }

    /// Upstreams that move away from a delete that they still have to take. What one held before the gate was there is in
    /// no index. Most deletes are accepted within moments, and where a request for erasure has to go is known as soon: a
    /// gate that erases all day long can be reloaded.
    async fn awaited(&self, loaded: &Loaded) -> Result<Vec<SitesError>, StoreError> {
        let moved = upstreams::moved(&loaded.config, &self.opened.index.upstreams().await?);
        if moved.is_empty() {
            return Ok(Vec::new());
        }
        let (until, mut pause) = (Instant::now() + ACCEPTED_SOON, PAUSE);
        loop {
            let changed = self.eraser.changed();
            let awaited = self.eraser.awaits().await?;
            if Instant::now() >= until || !moved.iter().any(|(number, _)| awaited.contains(number)) {
                let refused = moved.into_iter().filter(|(number, _)| awaited.contains(number));
                return Ok(refused.map(|(_, error)| error).collect());
            }
            let again = async {
                changed.await;
                sleep(pause).await;
            };
            timeout_at(until, again).await.ok();
            pause *= 2;
        }
    }

    /// Reads the files that upstreams name: not on this thread, which accepts connections.
    async fn drafts(&self, config: &Config) -> Vec<Result<Draft, SitesError>> {
        let (upstreams, before) = (config.upstreams.clone(), self.made.clone());
        let mut making = Making::after(&before, &config.limits, &self.opened.keys, &self.registry);
        let drafting = spawn_blocking(move || {
            let of = |name: &str| before.iter().find(|made| *made.site.upstream.name == *name);
            upstreams.iter().map(|upstream| upstreams::draft(upstream, &mut making, of(&upstream.name))).collect()
        });
        drafting.await.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()))
    }

    /// The store learns new upstreams, and new addresses of those without data. What fails half-way is taken back: a start
    /// from the old file would find another address otherwise.
    async fn finish(
        &self,
        drafts: impl Iterator<Item = (Draft, Vec<NamedInstance>)>,
        loaded: &Loaded,
    ) -> Result<Vec<Made>, Vec<Fault>> {
        let mut made = Vec::new();
        let finished = async {
            for (draft, named) in drafts {
                let before = self.made.iter().find(|made| made.site.upstream.name == *draft.name());
                made.push(draft.finish(&self.opened, before, named).await?);
            }
            upstreams::tell_names(&self.opened, &made).await
        };
        if let Err(error) = finished.await {
            for before in &self.made {
                upstreams::take_back(&self.opened, before).await;
            }
            return Err(vec![fault_of(&error.into(), loaded)]);
        }
        Ok(made)
    }

    /// From here on nothing fails. The eraser is first: it knows an upstream before anything is recorded there.
    async fn put_in_force(&mut self, config: &Config, made: Vec<Made>, prepared: Prepared) {
        let sites: Vec<_> = made.iter().map(|made| Arc::clone(&made.site)).collect();
        self.made = made;
        if let Err(error) = change_logging(&config.log) {
            events::Warned { what: &chain(&error) }.emit();
        }
        let slots = self.registry.configure(&names(config));
        let access_log = self.access.log(&config.log, &self.registry).unwrap_or_else(|error| {
            events::Warned { what: &format!("no access log: the system gives no thread: {error}") }.emit();
            None
        });
        let straggle = config.longest_response_timeout();
        self.eraser.reconfigure(sites.clone(), config.erasure.clone(), straggle);
        self.inflight.set_straggle(straggle);
        self.inflight.set_waiting_max(config.limits.in_flight_max / WAITING_SHARE);
        self.shared = Arc::new(Shared {
            routes: self.shared.routes.next(&sites, &slots),
            sites,
            slots,
            inflight: Arc::clone(&self.inflight),
            index: Arc::clone(&self.opened.index),
            keys: Arc::clone(&self.opened.keys),
            limits: config.limits.clone(),
            barrier_timeout: config.erasure.barrier_timeout,
            closes_websockets: config.erasure.open_websockets == OpenWebsockets::Close,
            workers: self.shared.workers,
            access_log,
        });
        self.state.config.replace(Arc::new(config.clone()));
        self.listening.reload(prepared, &self.shared, &self.registry).await;
        self.renew();
    }
}

fn parted<T, E>(results: Vec<Result<T, E>>) -> (Vec<T>, Vec<E>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(error) => bad.push(error),
        }
    }
    (good, bad)
}

fn fault_of_listener(nth: usize, error: &std::io::Error, loaded: &Loaded) -> Fault {
    let said = chain(error);
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(DoorError::Ca(_)) => {
            let right = "an authority's certificate and its key, as `forgetgate ca init` makes them";
            return loaded.fault(&format!("listen[{}].ca", nth + 1), said, right);
        }
        Some(DoorError::Tls(_)) => {
            return loaded.fault(&format!("listen[{}].tls", nth + 1), said, "a certificate and its key, in PEM");
        }
        None => {}
    }
    let what = format!("cannot be listened at: {said}");
    loaded.fault(&format!("listen[{}].address", nth + 1), what, "an address that is free and ours")
}

/// At the place in the file that it is about.
fn fault_of(error: &SitesError, loaded: &Loaded) -> Fault {
    let name = error.upstream();
    let at = loaded.config.upstreams.iter().position(|upstream| Some(&*upstream.name) == name);
    let key = match (at, error.key()) {
        (Some(at), Some(key)) => format!("upstream[{}].{key}", at + 1),
        _ => "upstream".to_owned(),
    };
    let right = match error {
        SitesError::Dropped { .. } => "all upstreams that hold data, retired ones included",
        SitesError::Repointed { .. } => "the URL as it was; a new name for what is at the new one",
        SitesError::Unnamed { .. } => {
            "each instance that has had a name, or its key in `also` of another; instances = \"one\" if all keys open one"
        }
        SitesError::Awaited { .. } => {
            "the URL as it was, until the erasure is over; a new name for what is at the new one"
        }
        SitesError::Roots { .. } => "certificates in PEM, of a name that can be checked",
        SitesError::Keys { .. } => "a JSON Web Key Set that can be read, or the address of one",
        SitesError::Store(_) => "the same file, once the store can be used again",
    };
    loaded.fault(&key, chain(error), right)
}
