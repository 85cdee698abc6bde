//! Legal holds. A hold is the customer's, whenever an erasure is asked for and however often: it is asked about when a
//! delete is about to be sent, and once more when it is. See docs/decisions/035-legal-holds.md.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::domain::erasure::OnHold;
use crate::domain::{CustomerId, Tag, UnixSeconds, UpstreamNumber};
use crate::store::seal::Keys;
use crate::store::{Jobs, StoreError, StoredHold};

/// Holds at most: all of them are in memory.
const HOLDS_MAX: usize = 100_000;

const PAGE: usize = 500;

const CORRUPT: StoreError = StoreError::Corrupt { what: "a legal hold" };

/// The version in which holds are written.
const VERSION: u32 = 1;

/// The names under which a hold of one customer may stand.
pub(super) type Tags = SmallVec<[Tag; 2]>;

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
    /// Those of which it is not known whether the store has them. They hold.
    doubted: Mutex<HashSet<Uuid>>,
    /// Held by whoever writes one, so that none is taken for gone that is not written yet.
    writing: tokio::sync::RwLock<()>,
}

impl Holds {
    pub(super) fn new(store: Arc<dyn Jobs>, keys: Arc<Keys>) -> Self {
        Self {
            store,
            keys,
            known: RwLock::default(),
            doubted: Mutex::default(),
            writing: tokio::sync::RwLock::default(),
        }
    }

    /// Reads all of them: before anything is sent. One that does not read holds its customer everywhere.
    pub(super) async fn load(&self) -> Result<(), StoreError> {
        let read = self.read().await?;
        *self.known.write() = read;
        Ok(())
    }

    /// Reads them anew, since another gate has changed them; what is being written here at this moment stays. Gives whose have
    /// come or gone.
    pub(super) async fn load_again(&self) -> Result<Vec<Tag>, StoreError> {
        let _written = self.writing.write().await;
        let read = self.read().await?;
        let doubted = self.doubted.lock().clone();
        let mut known = self.known.write();
        let mut read = read;
        for id in doubted {
            if let Some((tag, hold)) = known.by_id.get(&id).filter(|_| !read.by_id.contains_key(&id)) {
                read.insert(id, *tag, hold.clone());
            }
        }
        let changed = |one: &Known, other: &Known| {
            let gone = one.by_id.iter().filter(|(id, _)| !other.by_id.contains_key(id));
            gone.map(|(_, (tag, _))| *tag).collect::<Vec<_>>()
        };
        let mut tags = changed(&known, &read);
        tags.extend(changed(&read, &known));
        *known = read;
        Ok(tags)
    }

    async fn read(&self) -> Result<Known, StoreError> {
        let (mut cursor, mut known) = (None, Known::default());
        loop {
            let page = self.store.holds(cursor, PAGE).await?;
            cursor = page.last().map(|hold| hold.id);
            let more = page.len() == PAGE;
            for stored in page {
                let hold = self
                    .open(&stored)
                    .unwrap_or_else(|_| Hold::new(stored.upstream, UnixSeconds(0), String::new(), "unreadable".into()));
                known.insert(stored.id, stored.tag, hold);
            }
            if !more {
                return Ok(known);
            }
        }
    }

    fn open(&self, stored: &StoredHold) -> Result<Hold, StoreError> {
        let plain = self.keys.open_job(stored.id, &stored.body).map_err(|_| CORRUPT)?;
        serde_json::from_slice(&plain).map_err(|_| CORRUPT)
    }

    /// The names under which a hold of this customer stands, and those of the text that a service may read in this ID: two
    /// texts that one service takes for one customer are held as one.
    pub(super) fn tags(&self, customer: &CustomerId) -> Tags {
        let mut tags = self.keys.tags_all_epochs(customer);
        let read = customer.read_loosely();
        if read != *customer {
            tags.extend(self.keys.tags_all_epochs(&read));
        }
        tags
    }

    /// The name under which a new hold of this customer stands.
    pub(super) fn tag(&self, customer: &CustomerId) -> Tag {
        self.keys.tag(&customer.read_loosely())
    }

    pub(super) fn are_none(&self) -> bool {
        self.known.read().by_id.is_empty()
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
    /// holds as may be. With [`StoreError::Broken`] it may have been written: it holds until [`Self::look`] says so.
    pub(super) async fn set(&self, id: Uuid, tag: Tag, hold: Hold) -> Result<bool, StoreError> {
        if self.known.read().by_id.len() >= HOLDS_MAX {
            return Ok(false);
        }
        let body = serde_json::to_vec(&hold).map_err(|_| CORRUPT)?;
        let body = self.keys.seal_job(id, &body).map_err(|_| StoreError::Broken)?;
        let _writing = self.writing.read().await;
        // In force first: what is being sent meanwhile asks again.
        self.known.write().insert(id, tag, hold.clone());
        let written = self.store.hold(StoredHold { id, tag, upstream: hold.upstream, body }).await;
        if written.as_ref().is_err_and(|error| !matches!(error, StoreError::Broken)) {
            self.known.write().remove(id);
        }
        written.map(|()| true)
    }

    /// Whose it is, and where; `None`: there is none of this ID.
    pub(super) fn one(&self, id: Uuid) -> Option<(Tag, Option<UpstreamNumber>)> {
        self.known.read().by_id.get(&id).map(|(tag, hold)| (*tag, hold.upstream))
    }

    /// Takes a hold off. With [`StoreError::Broken`] it may be gone from the store: it holds until [`Self::look`] says so.
    pub(super) async fn lift(&self, id: Uuid) -> Result<(), StoreError> {
        let _writing = self.writing.read().await;
        self.store.unhold(id).await?;
        self.known.write().remove(id);
        Ok(())
    }

    /// A write of it is in doubt. `false`: that was known.
    pub(super) fn doubt(&self, id: Uuid) -> bool {
        self.doubted.lock().insert(id)
    }

    /// Whether the store has it. What the store has is in force from now on.
    pub(super) async fn look(&self, id: Uuid) -> Result<bool, StoreError> {
        let before = id.as_u128().checked_sub(1).map(Uuid::from_u128);
        let there = self.store.holds(before, 1).await?.first().is_some_and(|hold| hold.id == id);
        if !there {
            self.known.write().remove(id);
        }
        self.doubted.lock().remove(&id);
        Ok(there)
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
