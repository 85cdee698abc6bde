//! A run: lives of the process one after the other, the script's actions at their times, and the end, when all faults are
//! over and everything must come to rest.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::sleep;

use crate::asks::Asking;
use crate::life::{Life, key};
use crate::model::Outcome;
use crate::script::{Action, Kill, Millis, Script};
use crate::steps::DOUBT_MAX;
use crate::world::{Fault, World};

/// What a run has shown.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) fault: Option<Fault>,
    pub(crate) log: String,
}

/// How a life ended.
enum End {
    Killed(Kill),
    Stopped { down: Millis, jump: i64, cut: bool },
    Over,
}

/// Within this time after the last fault everything is at rest: retries wait a quarter of an hour at most.
const REST_MAX: Millis = 45 * 60_000;

pub(crate) fn run(script: &Script) -> Report {
    let world = World::new(script);
    world.furnish(|upstream| key(&world, 0, upstream, 0));
    let mut next = 0;
    let mut cut_before = false;
    loop {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let end = runtime.block_on(lived(&world, script, &mut next, cut_before));
        let down = match &end {
            End::Killed(kill) => kill.down,
            End::Stopped { down, .. } => *down,
            End::Over => 0,
        };
        world.state().dead = true;
        runtime.block_on(async { world.clock.life_ends(down) });
        drop(runtime);
        match end {
            End::Over => break,
            End::Killed(kill) => {
                cut_before = true;
                buried(&world, kill.kept, kill.jump);
            }
            End::Stopped { jump, cut, .. } => {
                cut_before = cut;
                buried(&world, 100, jump);
            }
        }
    }
    let (fault, log) = world.into_log();
    Report { fault, log }
}

/// Between two lives.
fn buried(world: &World, kept: u64, jump: i64) {
    world.cut();
    world.clock.set_by(jump);
    let now = world.clock.now();
    let mut state = world.state();
    state.store.crash(kept);
    state.look_at_lines(now);
    state.dead = false;
    state.armed = None;
    // What somebody was about to give up may be given up.
    for close in std::mem::take(&mut state.closes) {
        state.gives_up(close.customer, close.upstream, None);
    }
    // What was in doubt counts after a start if the store has it: nobody knows any more what its requester was told.
    let in_doubt = state.trouble.is_some_and(|at| at + DOUBT_MAX > now);
    let everywhere = 0..state.upstreams.len();
    for ask in &mut state.asks {
        if ask.outcome == Outcome::Open {
            ask.outcome = Outcome::Unknown;
        }
        if in_doubt && ask.doubted {
            ask.adopted.extend(everywhere.clone());
        }
    }
}

async fn lived(world: &Arc<World>, script: &Script, next: &mut usize, cut_before: bool) -> End {
    world.clock.life_begins();
    let living = async {
        let life = Life::begin(world, cut_before).await;
        while let Some((at, action)) = script.actions.get(*next) {
            world.until(*at).await;
            *next += 1;
            if let Some(end) = life.act(*next, action).await {
                return end;
            }
        }
        life.rests().await;
        End::Over
    };
    tokio::select! {
        biased;
        () = world.killed.notified() => {
            let mut state = world.state();
            match (state.fault.is_some(), state.armed.take()) {
                (false, Some(kill)) => End::Killed(kill),
                _ => End::Over,
            }
        }
        end = living => end,
    }
}

impl Life {
    /// Does what the script says; gives the end of this life if that is it.
    async fn act(self: &Arc<Self>, number: usize, action: &Action) -> Option<End> {
        let world = &self.world;
        match action.clone() {
            Action::Send(send) => self.send(number, send),
            Action::Delete { customer, upstream, wait, leaves, stranger } => {
                self.delete(Asking { customer, upstream, wait, leaves, stranger });
            }
            Action::Submit { customer, only, id } => self.submit(customer, only.as_deref(), id),
            Action::Decide { ask, verdict, upstream } => self.decide(ask, verdict, upstream),
            Action::Hold { customer, upstream } => self.hold(customer, upstream),
            Action::Unhold(nth) => self.unhold(nth),
            Action::Service { upstream, manner, times } => {
                world.say("script", format_args!("u{upstream} will take {times} deletes {manner:?}"));
                let mut state = world.state();
                state.upstreams[upstream].manners.extend((0..times).map(|_| manner));
            }
            Action::Store(fault) => {
                world.say("script", format_args!("the store {fault:?}"));
                world.state().store.fails(fault);
            }
            Action::Jump(seconds) => {
                world.say("script", format_args!("the wall clock is set by {seconds} s"));
                world.clock.set_by(seconds);
                self.eraser.wake();
            }
            Action::Kill(kill) => {
                world.say("script", format_args!("{kill:?}"));
                if kill.on.is_none() {
                    world.state().dead = true;
                    return Some(End::Killed(kill));
                }
                world.state().armed = Some(kill);
            }
            Action::Restart { down, jump } => {
                self.stopping.send_replace(true);
                let cut = self.stop().await;
                return Some(End::Stopped { down, jump, cut });
            }
            Action::Reload(reload) => self.reload(reload),
        }
        None
    }

    /// All faults are over. Waits until nothing more is to be expected, and looks at what has become of everything.
    async fn rests(&self) {
        let world = &self.world;
        {
            let now = world.clock.now();
            let mut state = world.state();
            state.armed = None;
            state.calm = true;
            state.store.calm();
            state.upstreams.iter_mut().for_each(|upstream| upstream.manners.clear());
            state.say(now, "script", "all faults are over");
        }
        let begun = world.clock.now();
        let mut pause = 1;
        loop {
            sleep(Duration::from_secs(pause)).await;
            pause = (pause * 2).min(60);
            let busy = self.busy();
            let standing = match self.views().await {
                Ok(views) => match views.restless().or(busy) {
                    None => return self.check_end(&views),
                    Some(restless) => restless,
                },
                Err(gone) => gone,
            };
            let from = begun.max(world.state().put_off);
            if world.clock.now() > from + REST_MAX {
                return world.broken("never rests", standing);
            }
        }
    }

    fn busy(&self) -> Option<String> {
        let state = self.world.state();
        let open = self.open.load(std::sync::atomic::Ordering::Relaxed);
        let asked = state.asks.iter().filter(|ask| ask.outcome == Outcome::Open).count();
        let coming = state.events.len() + state.waiting.values().filter(|waiting| !waiting.is_closed()).count();
        drop(state);
        let fenced = self.fenced();
        let late = self.inflight.is_straggling();
        let busy = open + asked + coming > 0 || late || fenced.is_some();
        busy.then(|| format!("{open} open, {asked} asked, {coming} coming, late: {late}, fenced: {fenced:?}"))
    }
}
