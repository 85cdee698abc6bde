//! The fences of other gates, put up here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::body::{AckBody, DrainAsked, Drained, FenceBody};
use super::{Shared, State};
use crate::domain::{Tag, UpstreamNumber};
use crate::inflight::{Fence, Generation};
use crate::store::FenceRow;

/// For how long one stands that does not read: everywhere, until its owner gives it up.
const UNREAD: Duration = Duration::from_secs(60);

/// Another's fence in this gate's table.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) owner: Uuid,
    tag: Tag,
    fence: Arc<Fence>,
    ends: Instant,
    asked: BTreeSet<(u16, u64)>,
    pub(super) ack: AckBody,
}

/// What is waited for here, for another gate.
enum Wait {
    Recorded,
    Drained(DrainAsked, Generation),
}

impl Shared {
    /// Puts up, moves or takes down what others have written.
    pub(super) fn mirror(self: &Arc<Self>, state: &mut State, rows: Vec<FenceRow>) {
        for row in rows {
            let body = FenceBody::read(&row.body);
            state.holds_changed |= body.as_ref().is_none_or(|body| body.holds);
            let unread = FenceBody::standing(UNREAD, None);
            self.mirror_one(state, &row, &body.unwrap_or(unread));
            state.seen = state.seen.max(row.number);
        }
    }

    fn mirror_one(self: &Arc<Self>, state: &mut State, row: &FenceRow, body: &FenceBody) {
        if body.upstreams().is_some_and(|only| only.is_empty()) {
            // Who has waited here is let in; what still waits for its drain keeps nobody out.
            if let Some(mirror) = state.mirrors.remove(&row.id) {
                mirror.fence.narrow(&[]);
            }
            return;
        }
        if !state.mirrors.contains_key(&row.id) {
            let life = Duration::from_millis(body.life) + self.membership.ttl * 2;
            let fence = Arc::new(self.inflight.fence(row.tag, body.upstreams(), life));
            state.numbers.note(row.tag, row.number, fence.generation());
            self.wait(row.id, Arc::clone(&fence), Wait::Recorded);
            let (asked, ack) = (BTreeSet::new(), AckBody::default());
            let ends = Instant::now() + life;
            state.mirrors.insert(row.id, Mirror { owner: row.owner, tag: row.tag, fence, ends, asked, ack });
        }
        let Some(mirror) = state.mirrors.get_mut(&row.id) else { return };
        if let Some(only) = body.upstreams() {
            mirror.fence.narrow(&only);
        }
        let (tag, own) = (mirror.tag, mirror.fence.generation());
        for asked in &body.drains {
            if mirror.asked.insert((asked.upstream, asked.before)) {
                let before = state.numbers.of(tag, asked.before).unwrap_or(own);
                self.wait(row.id, Arc::clone(&mirror.fence), Wait::Drained(asked.clone(), before));
            }
        }
    }

    /// On a task of its own; what it finds is said with the next exchange.
    fn wait(self: &Arc<Self>, id: Uuid, fence: Arc<Fence>, wait: Wait) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let mut drained = None;
            match wait {
                Wait::Recorded => fence.recorded().await,
                Wait::Drained(asked, before) => {
                    let limit = Duration::from_millis(asked.limit);
                    let found = fence.drained(UpstreamNumber(asked.upstream), before, limit).await;
                    drained = Some(Drained::new(&asked, &found, Instant::now()));
                }
            }
            let mut state = shared.state.lock();
            let Some(mirror) = state.mirrors.get_mut(&id) else { return };
            match drained {
                None => mirror.ack.recorded = true,
                Some(drained) => mirror.ack.drained.push(drained),
            }
            state.unsaid_acks.insert(id);
            drop(state);
            shared.bell.notify_one();
        });
    }
}

impl State {
    /// Those go whose time is over: their owners have stopped counting on them.
    pub(super) fn forget_mirrors(&mut self, now: Instant) {
        self.mirrors.retain(|_, mirror| now < mirror.ends);
    }

    /// A member under a new ID says everything again.
    pub(super) fn say_all_acks(&mut self) {
        let said = self.mirrors.iter().filter(|(_, mirror)| mirror.ack != AckBody::default());
        self.unsaid_acks = said.map(|(id, _)| *id).collect();
    }
}
