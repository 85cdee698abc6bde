//! The store of a run: one writer that takes what waits, applies it in order and acknowledges it, and that breaks, stalls
//! or dies at any of these steps. What was acknowledged stays; of the rest a prefix does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forgetgate::store::{StoreError, StoreFuture};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use crate::image::Image;
use crate::script::{Kind, StoreFault};
use crate::world::{Of, World};

type Answer = Box<dyn FnOnce() + Send>;

/// Something that waits for the writer. Where it is dropped, whoever asked is told that the store is broken.
struct Work {
    what: String,
    kind: Kind,
    apply: Box<dyn FnOnce(&mut Image) -> Answer + Send>,
    /// Tells whoever asked that the store is broken, whatever becomes of the work.
    hush: Box<dyn FnOnce() + Send>,
}

/// What outlives the process, and what is to go wrong.
#[derive(Default)]
pub(crate) struct StoreState {
    pub(crate) image: Image,
    queue: Vec<Work>,
    /// Taken by the writer, and not acknowledged.
    batch: Vec<Work>,
    faults: Vec<StoreFault>,
    refuses: bool,
}

impl StoreState {
    pub(crate) fn fails(&mut self, fault: StoreFault) {
        self.faults.push(fault);
    }

    pub(crate) fn calm(&mut self) {
        self.faults.clear();
    }

    /// Is a call to be turned away?
    fn overloaded(&mut self) -> bool {
        let overload = |fault: &mut StoreFault| match fault {
            StoreFault::Overloaded { calls } if *calls > 0 => {
                *calls -= 1;
                true
            }
            StoreFault::Overloaded { .. } | StoreFault::Breaks { .. } | StoreFault::Stalls { .. } => false,
        };
        self.faults.iter_mut().any(overload)
    }

    /// The process is gone: so many percent of what was not acknowledged are there all the same.
    pub(crate) fn crash(&mut self, kept: u64) {
        let mut left: Vec<Work> = self.batch.drain(..).collect();
        left.append(&mut self.queue);
        let keep = usize::try_from((left.len() as u64 * kept).div_ceil(100)).unwrap();
        for work in left.into_iter().take(keep) {
            drop((work.apply)(&mut self.image));
        }
        self.refuses = false;
    }
}

/// The store of one life.
pub(crate) struct Store {
    world: Arc<World>,
    bell: Notify,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// What becomes of a batch.
enum Turn {
    Well,
    Breaks { kept: u64, reopened: u64 },
    Stalls(u64),
    Dies { after: bool },
}

/// So many things happen in no run that ends well, besides one each few seconds of those who look now and then.
const LINES_MAX: usize = 20_000;
const LOOK_EVERY: u64 = 500;

/// How long a batch may stall before everyone is told that the store is broken.
const STALLED: u64 = 4_000;

impl Store {
    pub(crate) fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self { world: Arc::clone(world), bell: Notify::new() })
    }

    /// The writer.
    pub(crate) async fn written(self: Arc<Self>) {
        loop {
            if self.world.state().store.queue.is_empty() {
                self.bell.notified().await;
            }
            self.world.alive().await;
            let turn = self.turn();
            sleep(Duration::from_millis(self.world.draw(Of::Store, 1, 4))).await;
            match turn {
                Turn::Well => self.applied(),
                Turn::Breaks { kept, reopened } => self.broken(kept, reopened).await,
                Turn::Stalls(time) => self.stalled(time).await,
                Turn::Dies { after } => {
                    if after {
                        let mut state = self.world.state();
                        let store = &mut state.store;
                        let done: Vec<Answer> =
                            store.batch.drain(..).map(|work| (work.apply)(&mut store.image)).collect();
                        drop(state);
                        std::mem::forget(done);
                    }
                    self.world.die();
                    self.world.alive().await;
                }
            }
        }
    }

    /// Takes what waits.
    fn turn(&self) -> Turn {
        let mut guard = self.world.state();
        let state = &mut *guard;
        state.store.batch = std::mem::take(&mut state.store.queue);
        let has = |on: Kind| {
            let with = |work: &Work| work.kind == on || (on == Kind::Commit && work.kind == Kind::Mark);
            on == Kind::Any || state.store.batch.iter().any(with)
        };
        if let Some(kill) = &mut state.armed
            && let Some((on, nth, after)) = &mut kill.on
            && has(*on)
        {
            *nth -= 1;
            if *nth == 0 {
                return Turn::Dies { after: *after };
            }
        }
        let now = self.world.clock.now();
        let Some(at) = state.store.faults.iter().position(|fault| match fault {
            StoreFault::Breaks { on, .. } => has(*on),
            StoreFault::Stalls { .. } => true,
            StoreFault::Overloaded { .. } => false,
        }) else {
            return Turn::Well;
        };
        match &mut state.store.faults[at] {
            StoreFault::Breaks { nth: 1, kept, reopened, .. } => {
                let turn = Turn::Breaks { kept: *kept, reopened: *reopened };
                state.store.faults.remove(at);
                turn
            }
            StoreFault::Breaks { nth, .. } => {
                *nth -= 1;
                Turn::Well
            }
            StoreFault::Stalls { time } => {
                let turn = Turn::Stalls(*time);
                state.store.faults.remove(at);
                state.say(now, "store", "stalls");
                turn
            }
            StoreFault::Overloaded { .. } => Turn::Well,
        }
    }

    fn applied(&self) {
        let now = self.world.clock.now();
        let mut guard = self.world.state();
        let state = &mut *guard;
        let mut answers = Vec::new();
        let mut erasures = false;
        for work in std::mem::take(&mut state.store.batch) {
            state.say(now, "store", &work.what);
            erasures |= matches!(work.kind, Kind::Create | Kind::Commit | Kind::Mark);
            answers.push((work.apply)(&mut state.store.image));
        }
        if erasures {
            state.look_at_lines(now);
        }
        drop(guard);
        answers.into_iter().for_each(|answer| answer());
    }

    /// Part of the batch is there; nobody is told so.
    async fn broken(&self, kept: u64, reopened: u64) {
        let now = self.world.clock.now();
        {
            let mut guard = self.world.state();
            let state = &mut *guard;
            let keep = usize::try_from((state.store.batch.len() as u64 * kept).div_ceil(100)).unwrap();
            state.store.refuses = true;
            state.trouble = Some(now);
            for (nth, work) in std::mem::take(&mut state.store.batch).into_iter().enumerate() {
                let there = if nth < keep { "it is there" } else { "it is lost" };
                state.say(now, "store", format_args!("breaks, {there}: {}", work.what));
                if nth < keep {
                    drop((work.apply)(&mut state.store.image));
                }
            }
            state.store.queue.clear();
            state.look_at_lines(now);
        }
        sleep(Duration::from_millis(reopened)).await;
        self.opens();
        self.world.say("store", "is open again");
    }

    fn opens(&self) {
        let now = self.world.clock.now();
        let mut state = self.world.state();
        state.store.refuses = false;
        state.trouble = Some(now);
    }

    async fn stalled(&self, time: u64) {
        let now = self.world.clock.now();
        self.world.state().trouble = Some(now + time);
        sleep(Duration::from_millis(time.min(STALLED))).await;
        if time <= STALLED {
            return self.applied();
        }
        // Whoever waits is told that the store is broken; the batch goes on.
        {
            let mut state = self.world.state();
            state.store.refuses = true;
            state.store.queue.clear();
            for work in &mut state.store.batch {
                std::mem::replace(&mut work.hush, Box::new(|| {}))();
            }
        }
        self.world.say("store", "is taken for stalled");
        sleep(Duration::from_millis(time - STALLED)).await;
        self.applied();
        self.opens();
        self.world.say("store", "moves again");
    }

    async fn ask<T: Send + 'static>(
        &self,
        what: String,
        kind: Kind,
        apply: impl FnOnce(&mut Image) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.world.alive().await;
        let looks = usize::try_from(self.world.clock.now() / LOOK_EVERY).unwrap();
        // Whoever waits for the end looks at each erasure, too.
        let looked = looks * (1 + 4 * self.world.state().store.image.jobs.len());
        if self.world.state().lines > LINES_MAX + looked {
            self.world.broken("spins", format!("more than {LINES_MAX} things have happened"));
            std::future::pending::<()>().await;
        }
        let (answer, answered) = oneshot::channel();
        {
            let now = self.world.clock.now();
            let mut guard = self.world.state();
            let state = &mut *guard;
            if kind != Kind::Any && state.store.overloaded() {
                state.say(now, "store", format_args!("turns away: {what}"));
                state.trouble = Some(now);
                return Err(StoreError::Overloaded);
            }
            if state.store.refuses {
                state.say(now, "store", format_args!("is broken for: {what}"));
                return Err(StoreError::Broken);
            }
            let answer = Arc::new(Mutex::new(Some(answer)));
            let hushed = Arc::clone(&answer);
            let apply = move |image: &mut Image| -> Answer {
                let value = apply(image);
                Box::new(move || drop(answer.lock().take().map(|answer| answer.send(value))))
            };
            let hush = Box::new(move || drop(hushed.lock().take()));
            state.store.queue.push(Work { what, kind, apply: Box::new(apply), hush });
        }
        self.bell.notify_one();
        let answer = answered.await;
        self.world.alive().await;
        answer.map_err(|_| StoreError::Broken)
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// What is there and readable without the writer.
    pub(crate) fn read<'a, T: Send + 'static>(
        &'a self,
        what: String,
        read: impl FnOnce(&mut Image) -> T + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.call(what, Kind::Any, read)
    }

    /// A step of the writer.
    pub(crate) fn call<'a, T: Send + 'static>(
        &'a self,
        what: String,
        kind: Kind,
        apply: impl FnOnce(&mut Image) -> T + Send + 'static,
    ) -> StoreFuture<'a, T> {
        Box::pin(self.ask(what, kind, apply))
    }
}
