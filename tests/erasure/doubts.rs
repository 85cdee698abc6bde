//! Decisions of people whose writes are in doubt: until it is known what the store has, nothing is sent (P4).

use std::sync::atomic::Ordering::SeqCst;

use forgetgate::config::Erasure;
use forgetgate::domain::LabelForm;
use forgetgate::domain::erasure::{JobState, Verdict};
use forgetgate::erasure::{Decided, Problem};

use crate::failing::{Fails, failing, turns};
use crate::service::soon;
use crate::world::{Plan, World, erasure, id, pair, submission, upstream};

fn decided(verdict: Verdict) -> Decided {
    Decided { verdict, by: "A. Person".into(), note: "court".into(), upstream: None }
}

fn is_in_doubt<T>(answer: &Result<T, Problem>) -> bool {
    matches!(answer, Err(Problem::Unconfirmed))
}

async fn until_holds(world: &World, count: usize) {
    let known = async {
        while world.eraser.holds(None, 10).await.unwrap().holds.len() != count {
            tokio::task::yield_now().await;
        }
    };
    soon(known).await;
}

#[tokio::test]
async fn p4_a_hold_whose_write_is_in_doubt_holds_until_it_is_known_and_after_that_as_the_store_says() {
    for (fails, stays) in [(Fails::Before, false), (Fails::After, true)] {
        let (plan, failing) = failing(Fails::Not, Plan::default());
        let (world, one, _two) = pair(plan, |_| {}).await;
        let asked = world.submit(submission("nobody")).await.unwrap().id;
        world.until_state(asked, JobState::Done).await;
        failing.breaks.store(true, SeqCst);
        *failing.fails.lock() = fails;
        assert!(is_in_doubt(&world.eraser.hold(&id("ann"), decided(Verdict::Hold)).await));
        world.labelled("ann", "one", LabelForm::RAW).await;
        turns().await;
        assert_eq!(world.eraser.holds(None, 10).await.unwrap().holds.len(), 1, "{fails:?}: it holds");

        failing.mend();
        until_holds(&world, usize::from(stays)).await;
        let asked = world.submit(submission("ann")).await.unwrap().id;
        let state = if stays { JobState::Held } else { JobState::Settling };
        world.until_state(asked, state).await;
        assert_eq!(one.calls().len(), usize::from(!stays), "{fails:?}");
    }
}

#[tokio::test]
async fn p4_the_end_of_a_hold_that_is_in_doubt_releases_nothing_until_it_is_known() {
    for (fails, stays) in [(Fails::Before, true), (Fails::After, false)] {
        let (plan, failing) = failing(Fails::Not, Plan::default());
        let (world, one, _two) = pair(plan, |_| {}).await;
        let hold = world.eraser.hold(&id("ann"), decided(Verdict::Hold)).await.unwrap();
        let asked = world.erase("ann", "one").await;
        world.until_state(asked, JobState::Held).await;
        failing.breaks.store(true, SeqCst);
        *failing.fails.lock() = fails;
        assert!(is_in_doubt(&world.eraser.unhold(hold.id, "A. Person".into()).await));
        turns().await;
        assert_eq!((one.calls().len(), world.eraser.holds(None, 10).await.unwrap().holds.len()), (0, 1), "{fails:?}");

        failing.mend();
        if stays {
            turns().await;
            world.until_state(asked, JobState::Held).await;
            world.eraser.unhold(hold.id, "A. Person".into()).await.unwrap();
        }
        world.until_state(asked, JobState::Settling).await;
        until_holds(&world, 0).await;
        assert_eq!(one.calls().len(), 1, "{fails:?}");
    }
}

#[tokio::test]
async fn p10_an_approval_that_is_in_doubt_sends_nothing_until_it_is_known_and_keeps_the_customer_out() {
    for (fails, approved) in [(Fails::Before, false), (Fails::After, true)] {
        let above = Erasure { erasures_per_minute: 0, ..erasure() };
        let (plan, failing) = failing(Fails::Not, Plan { erasure: above, ..Plan::default() });
        let (world, one, _two) = pair(plan, |_| {}).await;
        world.labelled("ann", "one", LabelForm::RAW).await;
        let asked = world.submit(submission("ann")).await.unwrap().id;
        failing.breaks.store(true, SeqCst);
        *failing.fails.lock() = fails;
        assert!(is_in_doubt(&world.eraser.decide(asked, decided(Verdict::Approve)).await));
        world.pass(61);
        turns().await;
        assert_eq!(one.calls().len(), 0, "{fails:?}");
        assert!(world.is_kept_out("ann", "one"), "{fails:?}: nothing newer is swept away");

        failing.mend();
        if !approved {
            world.let_in("ann", "one").await;
            assert_eq!(world.show(asked).await.state, JobState::AwaitingApproval);
            world.eraser.decide(asked, decided(Verdict::Approve)).await.unwrap();
        }
        world.until_state(asked, JobState::Settling).await;
        assert_eq!(one.calls().len(), 1, "{fails:?}");
    }
}

#[tokio::test]
async fn p4_a_hold_that_is_in_force_is_not_said_to_have_failed_because_an_erasure_could_not_note_it() {
    let (plan, failing) = failing(Fails::Not, Plan::default());
    let (one, two) = (crate::service::Service::start().await, crate::service::Service::start().await);
    let upstreams = vec![upstream("one", &one.url), upstream("two", &two.url)];
    let mut world = World::idle(plan, upstreams).await;
    let asked = world.erase("ann", "one").await;
    *failing.fails.lock() = Fails::JobsOnly;

    let view = world.eraser.decide(asked, decided(Verdict::Hold)).await.unwrap();

    assert_eq!(view.state, JobState::Held);
    failing.mend();
    world.work();
    turns().await;
    assert_eq!((one.calls().len(), world.show(asked).await.state), (0, JobState::Held));
}
