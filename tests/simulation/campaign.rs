//! Very many seeds, on all processors, and what is told of those that break a promise.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::run::run;
use crate::script::Script;
use crate::shrink::shrunk;

/// Failures of one promise that are made short and told, unless `FORGETGATE_TOLD` says otherwise. With `FORGETGATE_WHOLE` they
/// are told as they are.
const TOLD: usize = 1;

/// Lines of a log that are told.
const LOG_LINES: usize = 120;

/// Runs these seeds' scripts, which are drawn so. Gives what is to be told of each promise that was broken.
pub(crate) fn campaign(seeds: &Range<u64>, draw: fn(u64) -> Script) -> Vec<String> {
    let next = AtomicU64::new(seeds.start);
    let broken: Mutex<BTreeMap<&'static str, Vec<u64>>> = Mutex::default();
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if let Some(fault) = run(&draw(seed)).fault {
                        broken.lock().entry(fault.promise).or_default().push(seed);
                    }
                }
            });
        }
    });
    broken.into_inner().into_iter().map(|(promise, seeds)| told(promise, seeds, draw)).collect()
}

/// Reads are in the log for the sake of comparison.
fn is_read(line: &str) -> bool {
    const READS: [&str; 7] = ["job ", "jobs", "listed", "rows", "upstreams", "unfinished of", "sweep "];
    line.get(9..)
        .and_then(|rest| rest.strip_prefix("store    "))
        .is_some_and(|what| READS.iter().any(|read| what.starts_with(read)))
}

fn told(promise: &str, mut seeds: Vec<u64>, draw: fn(u64) -> Script) -> String {
    seeds.sort_unstable();
    let mut text = format!("## {promise}: {} seeds: {:?}\n", seeds.len(), seeds.iter().take(12).collect::<Vec<_>>());
    let tell = std::env::var("FORGETGATE_TOLD").map_or(TOLD, |number| number.parse().unwrap());
    for seed in seeds.into_iter().take(tell) {
        let script = draw(seed);
        let report = run(&script);
        let whole = std::env::var_os("FORGETGATE_WHOLE").is_some();
        let (script, report) = if whole { (script, report) } else { shrunk(&script, report) };
        let fault = report.fault.map(|fault| fault.what).unwrap_or_default();
        text += &format!("seed {seed}: {fault}\n{:?}\n", script.land);
        for (at, action) in &script.actions {
            text += &format!("{at:>8} {action:?}\n");
        }
        let lines: Vec<&str> = report.log.lines().filter(|line| whole || !is_read(line)).collect();
        let skipped = if whole { 0 } else { lines.len().saturating_sub(LOG_LINES) };
        text += &format!("… {skipped} lines\n{}\n", lines[skipped..].join("\n"));
    }
    text
}
