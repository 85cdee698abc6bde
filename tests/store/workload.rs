//! What a child does until it is killed, and the check that everything it acknowledged is still there.
//!
//! Facts and jobs are numbered, and everything about them follows from their number, so an acknowledgement is one line.

use std::cell::Cell;
use std::collections::BTreeMap;

use forgetgate::domain::{PairKey, UnixSeconds};
use forgetgate::store::{JobWrite, ListedJob, Opened, Placement, StoredJob};
use futures_util::future::join_all;

use crate::world::{fact, id, job, later, step, wait};

/// How many tasks write at once.
const WRITERS: u64 = 24;

/// How much a child does before it says that it is done.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Distinguishes the times of one run from those of another.
    pub(crate) run: u64,
    pub(crate) facts: u64,
    pub(crate) jobs: usize,
    /// Only jobs whose steps take several syncs?
    pub(crate) large_only: bool,
}

/// What a child has acknowledged.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// Fact → the run that wrote it last.
    facts: BTreeMap<u64, u64>,
    /// Job → its last stage.
    jobs: BTreeMap<u64, u64>,
}

impl Acknowledged {
    /// Takes in what a child said; other lines than acknowledgements are passed over.
    pub(crate) fn hear(&mut self, said: &str) {
        for line in said.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind @ ("fact" | "job"), number, value, "."] = words.as_slice() else { continue };
            let kept = if *kind == "fact" { &mut self.facts } else { &mut self.jobs };
            kept.insert(number.parse().unwrap(), value.parse().unwrap());
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.facts.len() + self.jobs.len()
    }
}

fn the_fact(store: &Opened, number: u64, run: u64) -> Placement {
    let upstream = u16::try_from(1 + number % 3).unwrap();
    let fact = fact(&store.keys, &format!("customer {}", number / 4), upstream, &format!("r{number}"));
    Placement { seen: later(run), ..fact }
}

/// One in sixteen jobs is large: its body takes many rows, and so do its marks.
fn is_large(number: u64) -> bool {
    number % 16 == 5
}

fn the_job(store: &Opened, number: u64, stage: u64) -> StoredJob {
    let stage_byte = u8::try_from(stage).unwrap();
    let body = vec![stage_byte; if is_large(number) { 30_000 } else { 900 }];
    StoredJob { finished: stage >= 2, ..job(&store.keys, u128::from(number), &format!("erased {number}"), &body) }
}

fn rows_of_job(store: &Opened, number: u64) -> Vec<Placement> {
    let count = if is_large(number) { 1100 } else { 3 };
    (0..count).map(|row| fact(&store.keys, &format!("erased {number}"), 1, &format!("r{row}"))).collect()
}

/// Does the load and says each thing that has been done, when it has been done.
pub(crate) fn run(store: &Opened, load: Load, say: &dyn Fn(&str)) {
    let next = Cell::new(0);
    let writer = async || {
        while next.get() < load.facts {
            let number = next.replace(next.get() + 1);
            store.index.record(the_fact(store, number, load.run)).await.unwrap();
            say(&format!("fact {number} {} .", load.run));
        }
    };
    let eraser = async || {
        let numbers = (load.run * 1_000_000..).filter(|number| !load.large_only || is_large(*number));
        for number in numbers.take(load.jobs) {
            erase(store, number, say).await;
        }
    };
    wait(async { tokio::join!(join_all((0..WRITERS).map(|_| writer())), eraser()) });
}

async fn erase(store: &Opened, number: u64, say: &dyn Fn(&str)) {
    store.jobs.commit(step(the_job(store, number, 1), &[], later(number))).await.unwrap();
    say(&format!("job {number} 1 ."));
    let rows = rows_of_job(store, number);
    let erased: Vec<PairKey> = rows.iter().map(|row| row.key).collect();
    for done in join_all(rows.into_iter().map(|row| store.index.record(row))).await {
        done.unwrap();
    }
    // A large one marks its rows again and again, so that many of its moments lie within a step.
    for stage in 2..=if is_large(number) { 6 } else { 2 } {
        let write = JobWrite {
            job: the_job(store, number, stage),
            erased: erased.clone(),
            at: later(number + stage),
            also: None,
        };
        store.jobs.commit(write).await.unwrap();
        say(&format!("job {number} {stage} ."));
    }
    if number % 8 == 7 {
        store.index.sweep(later(number - 4)).await.unwrap();
    }
}

/// Is everything there that was acknowledged, and no step half done? Says what is not.
pub(crate) fn verify(store: &Opened, acknowledged: &Acknowledged) -> Result<(), String> {
    wait(async {
        let mut rows = Vec::new();
        let mut rows_of = None;
        for (number, run) in &acknowledged.facts {
            let fact = the_fact(store, *number, *run);
            if rows_of != Some(fact.key.tag) {
                rows = store.index.rows(&[fact.key.tag], &fact.id).await.map_err(|error| error.to_string())?;
                rows_of = Some(fact.key.tag);
            }
            let row = rows.iter().find(|row| row.key == fact.key);
            let row = row.ok_or_else(|| format!("fact {number} is lost"))?;
            if row.last_seen < later(*run) || row.resource != fact.resource {
                return Err(format!("fact {number} is not as it was last written"));
            }
        }
        // All that are there count as well: they may have been half done.
        let all = store.jobs.jobs(None, usize::MAX).await.map_err(|error| error.to_string())?;
        let found = all.iter().map(|job| (u64::try_from(job.id.as_u128()).unwrap(), 0));
        for (number, stage) in found.chain(acknowledged.jobs.clone()).collect::<BTreeMap<_, _>>() {
            verify_job(store, number, stage).await?;
        }
        verify_lists(store).await
    })
}

async fn verify_job(store: &Opened, number: u64, acknowledged: u64) -> Result<(), String> {
    let read = |error: forgetgate::store::StoreError| error.to_string();
    let found = store.jobs.job(the_job(store, number, 1).id).await.map_err(read)?;
    let stage = found.as_ref().and_then(|job| job.body.first()).map_or(0, |stage| u64::from(*stage));
    if stage < acknowledged {
        return Err(format!("job {number} is at stage {stage}, {acknowledged} was acknowledged"));
    }
    if let Some(found) = found
        && found != the_job(store, number, stage)
    {
        return Err(format!("job {number} is a mixture"));
    }
    let customer = id(&format!("erased {number}"));
    let rows = store.index.rows(&store.keys.tags_all_epochs(&customer), &customer).await.map_err(read)?;
    let mark: Option<UnixSeconds> = (stage >= 2).then_some(later(number + stage));
    if rows.iter().any(|row| row.erased_at != mark) {
        return Err(format!("job {number} is at stage {stage}, and not all of its {} rows say so", rows.len()));
    }
    Ok(())
}

/// Lists and figures must agree with what they list and count.
async fn verify_lists(store: &Opened) -> Result<(), String> {
    let read = |error: forgetgate::store::StoreError| error.to_string();
    let all = store.jobs.jobs(None, usize::MAX).await.map_err(read)?;
    let figures = store.index.figures().await.map_err(read)?;
    let entry = |job: &StoredJob| ListedJob { id: job.id, tag: job.tag, summary: job.summary.clone() };
    let unfinished: Vec<_> = all.iter().filter(|job| !job.finished).map(entry).collect();
    let mut listed = store.jobs.listed(None, usize::MAX).await.map_err(read)?;
    listed.sort_by_key(|job| job.id);
    if listed != unfinished {
        return Err("the list of unfinished jobs is not what the jobs say".into());
    }
    if (figures.jobs, figures.unfinished_jobs) != (all.len() as u64, unfinished.len() as u64) {
        return Err("the figures do not count the jobs".into());
    }
    if figures.unreadable != 0 {
        return Err(format!("{} entries do not read", figures.unreadable));
    }
    let swept = store.index.sweep(UnixSeconds(u64::MAX)).await.map_err(read)?;
    if swept != figures.erased_rows {
        return Err(format!("{} rows were counted as erased, {swept} were found", figures.erased_rows));
    }
    Ok(())
}
