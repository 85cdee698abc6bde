//! Legal holds. A hold is the customer's, whenever an erasure is asked for and however often: it is asked about when a
//! delete is about to be sent, and once more when it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::erasure::OnHold;
use crate::domain::{Tag, UnixSeconds, UpstreamNumber};
use crate::store::seal::Keys;
use crate::store::{Jobs, StoreError, StoredHold};

/// Holds at most: all of them are in memory.
const HOLDS_MAX: usize = 100_000;

const PAGE: usize = 500;

const CORRUPT: StoreError = StoreError::Corrupt { what: "a legal hold" };

/// The version in which holds are written.
const VERSION: u32 = 1;

/// A legal hold, without whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hold {
    v: u32,
    /// At one upstream only.
    pub(super) upstream: Option<UpstreamNumber>,
    /// Since when.
    pub(super) at: UnixSeconds,
    /// By whom.
    pub(super) by: String,
    /// Why.
    pub(super) reason: String,
}

impl Hold {
    pub(super) const fn new(upstream: Option<UpstreamNumber>, at: UnixSeconds, by: String, reason: String) -> Self {
        Self { v: VERSION, upstream, at, by, reason }
    }
}

#[derive(Debug, Default)]
struct Known {
    by_tag: HashMap<Tag, Vec<(Uuid, Option<UpstreamNumber>)>>,
    by_id: BTreeMap<Uuid, (Tag, Hold)>,
}

impl Known {
    fn insert(&mut self, id: Uuid, tag: Tag, hold: Hold) {
        self.by_tag.entry(tag).or_default().push((id, hold.upstream));
        self.by_id.insert(id, (tag, hold));
    }

    fn remove(&mut self, id: Uuid) {
        let Some((tag, _)) = self.by_id.remove(&id) else { return };
        if let Some(of_tag) = self.by_tag.get_mut(&tag) {
            of_tag.retain(|(other, _)| *other != id);
            if of_tag.is_empty() {
                self.by_tag.remove(&tag);
            }
        }
    }
}

/// All holds.
pub(super) struct Holds {
    store: Arc<dyn Jobs>,
    keys: Arc<Keys>,
    known: RwLock<Known>,
}

impl Holds {
    pub(super) fn new(store: Arc<dyn Jobs>, keys: Arc<Keys>) -> Self {
        Self { store, keys, known: RwLock::default() }
    }

    /// Reads all of them: before anything is sent. One that does not read holds its customer everywhere.
    pub(super) async fn load(&self) -> Result<(), StoreError> {
        let mut cursor = None;
        loop {
            let page = self.store.holds(cursor, PAGE).await?;
            cursor = page.last().map(|hold| hold.id);
            let more = page.len() == PAGE;
            let mut known = self.known.write();
            for stored in page {
                let hold = self
                    .open(&stored)
                    .unwrap_or_else(|_| Hold::new(stored.upstream, UnixSeconds(0), String::new(), "unreadable".into()));
                known.insert(stored.id, stored.tag, hold);
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn open(&self, stored: &StoredHold) -> Result<Hold, StoreError> {
        let plain = self.keys.open_job(stored.id, &stored.body).map_err(|_| CORRUPT)?;
        serde_json::from_slice(&plain).map_err(|_| CORRUPT)
    }

    /// What is on hold of the customer with these tags.
    pub(super) fn of(&self, tags: &[Tag]) -> OnHold {
        let known = self.known.read();
        let mut held = OnHold::default();
        for (_, upstream) in tags.iter().filter_map(|tag| known.by_tag.get(tag)).flatten() {
            match upstream {
                None => held.everywhere = true,
                Some(upstream) => held.upstreams.push(*upstream),
            }
        }
        held
    }

    /// Puts a customer on hold. When this returns nothing is sent for that customer any more. `false`: there are as many
    /// holds as may be.
    pub(super) async fn set(&self, id: Uuid, tag: Tag, hold: Hold) -> Result<bool, StoreError> {
        if self.known.read().by_id.len() >= HOLDS_MAX {
            return Ok(false);
        }
        let body = serde_json::to_vec(&hold).map_err(|_| CORRUPT)?;
        let body = self.keys.seal_job(id, &body).map_err(|_| StoreError::Broken)?;
        // In force first: what is being sent meanwhile asks again.
        self.known.write().insert(id, tag, hold.clone());
        let written = self.store.hold(StoredHold { id, tag, upstream: hold.upstream, body }).await;
        if written.is_err() {
            self.known.write().remove(id);
        }
        written.map(|()| true)
    }

    /// Takes a hold off. Gives whose it was; `None`: there is none of this ID.
    pub(super) async fn lift(&self, id: Uuid) -> Result<Option<Tag>, StoreError> {
        let Some(tag) = self.known.read().by_id.get(&id).map(|(tag, _)| *tag) else { return Ok(None) };
        self.store.unhold(id).await?;
        self.known.write().remove(id);
        Ok(Some(tag))
    }

    /// The holds of these tags at this upstream, or everywhere.
    pub(super) fn ids_of(&self, tags: &[Tag], upstream: Option<UpstreamNumber>) -> Vec<Uuid> {
        let known = self.known.read();
        let theirs = tags.iter().filter_map(|tag| known.by_tag.get(tag)).flatten();
        theirs.filter(|(_, at)| *at == upstream).map(|(id, _)| *id).collect()
    }

    /// In the order of their IDs, from the first after `cursor`.
    pub(super) fn page(&self, cursor: Option<Uuid>, limit: usize) -> Vec<(Uuid, Hold)> {
        let known = self.known.read();
        let after = known.by_id.iter().filter(|(id, _)| cursor.is_none_or(|cursor| **id > cursor));
        after.take(limit).map(|(id, (_, hold))| (*id, hold.clone())).collect()
    }
}
