//! Makes the script of a failed run as short as it can be, so that what is left of it is the fault.

use crate::run::{Report, run};
use crate::script::{Action, Authority, Fate, Script};

/// The shortest script found that breaks the same promise, and its report.
pub(crate) fn shrunk(script: &Script, report: Report) -> (Script, Report) {
    let Some(fault) = report.fault.clone() else { return (script.clone(), report) };
    let (mut best, mut shown) = (script.clone(), report);
    let fails = |script: &Script| {
        let report = run(script);
        report.fault.as_ref().is_some_and(|other| other.promise == fault.promise).then_some(report)
    };
    let mut piece = best.actions.len().div_ceil(2).max(1);
    loop {
        let mut changed = false;
        let mut at = 0;
        while at < best.actions.len() {
            let mut less = best.clone();
            less.actions.drain(at..(at + piece).min(best.actions.len()));
            match fails(&less) {
                Some(report) => (best, shown, changed) = (less, report, true),
                None => at += piece,
            }
        }
        if piece > 1 {
            piece = piece.div_ceil(2);
        } else if !changed {
            break;
        }
    }
    for simpler in simplifications() {
        let mut less = best.clone();
        simpler(&mut less);
        if let Some(report) = fails(&less) {
            (best, shown) = (less, report);
        }
    }
    (best, shown)
}

type Simpler = fn(&mut Script);

fn simplifications() -> [Simpler; 8] {
    [
        |script| script.land.upstreams.iter_mut().for_each(|place| place.passes_to.clear()),
        |script| script.land.upstreams.iter_mut().for_each(|place| place.per_minute = None),
        |script| script.land.upstreams.iter_mut().for_each(|place| place.held_before = false),
        |script| script.land.upstreams.iter_mut().for_each(|place| place.aliased = false),
        |script| script.land.upstreams.iter_mut().for_each(|place| place.group = "default"),
        |script| script.land.erasures_per_minute = 60,
        |script| script.land.authority = Authority::Open,
        |script| {
            for (_, action) in &mut script.actions {
                if let Action::Send(send) = action {
                    (send.before, send.store_after, send.resource) = (0, 1, 0);
                    if matches!(send.fate, Fate::Socket { .. }) {
                        send.fate = Fate::Whole { answer_after: 1 };
                    }
                }
            }
        },
    ]
}
