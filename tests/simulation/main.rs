//! The real barrier and the real eraser in a world in which everything goes wrong that may: services, store, clocks, the
//! process itself. One seed is one history; it is the same each time, and a seed that breaks a promise is made short.
//!
//! `CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_INCREMENTAL=0 cargo test --test simulation`; `FORGETGATE_SEED=n` runs one seed,
//! `FORGETGATE_SEEDS=n` so many, `FORGETGATE_CAMPAIGN=100` the full 100,000.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that finds something else has failed")]
#![allow(clippy::infinite_loop, reason = "services and store go on until their life ends")]
#![allow(clippy::mem_forget, reason = "a process that dies answers nobody")]

mod asks;
mod callers;
mod campaign;
mod check;
mod clock;
mod contract;
mod drawn;
mod image;
mod life;
mod lines;
mod model;
mod network;
mod operators;
mod reloads;
mod run;
mod script;
mod seed;
mod services;
mod shrink;
mod steps;
mod store;
mod world;

use script::Script;

#[test]
fn a_seed_is_the_same_history_each_time() {
    for seed in 0..40 {
        let script = Script::new(seed);
        let (once, again) = (run::run(&script), run::run(&script));
        assert!(once.log.lines().count() > 20, "seed {seed} does nothing");
        for (nth, (one, other)) in once.log.lines().zip(again.log.lines()).enumerate() {
            assert_eq!(one, other, "seed {seed}, line {}", nth + 1);
        }
        assert_eq!(once.log, again.log, "seed {seed}");
    }
}

#[test]
fn p4_and_p5_hold_whatever_goes_wrong() {
    let failures = campaign::campaign(&seed::seeds(), Script::new);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The same where homes do not answer callers' own deletes and carry them out later.
#[test]
fn p4_holds_whatever_becomes_of_callers_own_deletes_that_are_not_answered() {
    let all = seed::seeds();
    let part = all.start..all.start + (all.end - all.start).div_ceil(10);
    let failures = campaign::campaign(&part, Script::unanswered);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
