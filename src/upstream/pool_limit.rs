//! How many exchanges a worker has with one upstream at once, and so how many connections: who wants one more waits in
//! line, for a bounded time. An upstream that hangs then holds its places, and not those of all the others.
//!
//! They are one thread's, as the connections are: a request takes its place and gives it back without a lock.
//! See docs/decisions/008-pool-limit.md.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// All places of one pool.
#[derive(Debug)]
pub(super) struct Places {
    line: Rc<Line>,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Line {
    free: Cell<usize>,
    /// Places that there are no longer: so many go when they come back.
    surplus: Cell<usize>,
    waiting: RefCell<VecDeque<oneshot::Sender<Place>>>,
}

/// One exchange's place. Dropped, it is the next one's.
#[derive(Debug)]
pub struct Place(Rc<Line>);

/// Every place is taken, and none came free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no connection to the service came free in time")]
pub struct NoPlace;

impl Places {
    pub(super) fn new(count: usize, patience: Duration) -> Self {
        let line = Rc::new(Line::default());
        line.free.set(count.max(1));
        Self { line, patience }
    }

    /// There are so many more from now on, or fewer: what is taken stays so until it comes back.
    pub(super) fn resize(&self, before: usize, count: usize) {
        let (before, count) = (before.max(1), count.max(1));
        let Line { free, surplus, .. } = &*self.line;
        let gone = before.saturating_sub(count);
        let now = gone.min(free.get());
        free.set(free.get() - now);
        surplus.set(surplus.get() + gone - now);
        let more = count.saturating_sub(before);
        let kept = more.min(surplus.get());
        surplus.set(surplus.get() - kept);
        (kept..more).for_each(|_| self.line.come_free());
    }

    /// A place that is free. Whoever waits comes first: none is free then.
    pub(super) fn free(&self) -> Option<Place> {
        let left = self.line.free.get().checked_sub(1)?;
        self.line.free.set(left);
        Some(Place(Rc::clone(&self.line)))
    }

    /// The next one, in the order in which they were asked for.
    pub(super) async fn wait(&self) -> Result<Place, NoPlace> {
        let (place, next) = oneshot::channel();
        {
            let mut waiting = self.line.waiting.borrow_mut();
            // All have the same patience, so that those who have lost it are in front.
            while waiting.pop_front_if(|first| first.is_closed()).is_some() {}
            waiting.push_back(place);
        }
        timeout(self.patience, next).await.ok().and_then(Result::ok).ok_or(NoPlace)
    }
}

impl Line {
    /// Gives a place to the first who still waits.
    fn come_free(self: &Rc<Self>) {
        loop {
            let first = self.waiting.borrow_mut().pop_front();
            match first {
                // Nothing else runs on this thread meanwhile: who waits now takes it.
                Some(first) if !first.is_closed() => return drop(first.send(Place(Rc::clone(self)))),
                Some(_) => {}
                None => return self.free.set(self.free.get() + 1),
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.0.surplus.get().checked_sub(1) {
            Some(left) => self.0.surplus.set(left),
            None => self.0.come_free(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::{NoPlace, Places};

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn p12_places_go_round_in_the_order_in_which_they_were_asked_for() {
        let places = Places::new(1, LONG);
        let held = places.free().unwrap();
        assert!(places.free().is_none());
        let (mut one, mut two, mut three) = (Box::pin(places.wait()), Box::pin(places.wait()), pin!(places.wait()));
        for waiting in [&mut one, &mut two] {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        assert!(three.as_mut().now_or_never().is_none());
        drop(two);
        drop(held);
        assert!(places.free().is_none(), "it is the first one's already");
        drop(one);
        let last = three.as_mut().now_or_never().unwrap().unwrap();
        assert!(places.free().is_none());
        drop(last);
        assert!(places.free().is_some());
    }

    #[tokio::test]
    async fn p12_who_lost_patience_leaves_no_trace_in_the_line() {
        let places = Places::new(1, Duration::ZERO);
        let held = places.free().unwrap();
        for _ in 0..100 {
            assert_eq!(places.wait().await.unwrap_err(), NoPlace);
        }
        assert!(places.line.waiting.borrow().len() <= 1);
        drop(held);
        assert!(places.free().is_some());
    }

    #[tokio::test]
    async fn p12_places_that_are_no_more_go_as_they_come_back_and_new_ones_are_the_waiting_ones() {
        let places = Places::new(3, LONG);
        let [one, two, three] = [(); 3].map(|()| places.free().unwrap());
        places.resize(3, 1);
        drop((one, two));
        assert!(places.free().is_none());
        places.resize(1, 2);
        let more = places.free().unwrap();
        places.resize(2, 1);
        places.resize(1, 2);
        assert!(places.free().is_none());
        let mut waiting = pin!(places.wait());
        assert!(waiting.as_mut().now_or_never().is_none());
        places.resize(2, 3);
        let last = waiting.as_mut().now_or_never().unwrap().unwrap();
        assert!(places.free().is_none());
        drop((three, more, last));
        assert!([(); 3].map(|()| places.free()).iter().all(Option::is_some));
        assert!(places.free().is_some(), "those just above came back");
    }
}
