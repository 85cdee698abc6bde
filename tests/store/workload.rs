//! What a child does until it is killed, and the check that everything it acknowledged is still there.
//!
//! Facts and jobs are numbered, and everything about them follows from their number, so an acknowledgement is one line.

use std::cell::Cell;
use std::collections::BTreeMap;

use forgetgate::domain::{PairKey, UnixSeconds};
use forgetgate::store::{JobWrite, ListedJob, Opened, Placement, StoredHold, StoredJob};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::world::{Unnumbered, fact, id, job, later, name_of, step, wait};

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
    /// Hold → 1 set, 0 being taken off, 2 taken off.
    holds: BTreeMap<u64, u64>,
    /// Job of long ago → 1 written, 2 about to be purged, with all before it, 3 purged.
    old: BTreeMap<u64, u64>,
}

impl Acknowledged {
    /// Takes in what a child said; other lines than acknowledgements are passed over.
    pub(crate) fn hear(&mut self, said: &str) {
        for line in said.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, number, value, "."] = words.as_slice() else { continue };
            let kept = match *kind {
                "fact" => &mut self.facts,
                "job" => &mut self.jobs,
                "hold" => &mut self.holds,
                "old" => &mut self.old,
                _ => continue,
            };
            kept.insert(number.parse().unwrap(), value.parse().unwrap());
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.facts.len() + self.jobs.len() + self.holds.len() + self.old.len()
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

/// Where the IDs of the other kinds of entries begin: other names of jobs, jobs of long ago, and their other names.
const NAMES: u128 = 1 << 64;
const OLD: u128 = 2 << 64;
const OLD_NAMES: u128 = 3 << 64;

/// A finished job that retention will take, and its other name.
fn the_old(store: &Opened, number: u64) -> [StoredJob; 2] {
    let body = vec![7; if number % 4 == 1 { 9000 } else { 900 }];
    let old = StoredJob { finished: true, ..job(&store.keys, OLD + u128::from(number), "old", &body) };
    let name = name_of(&old, OLD_NAMES + u128::from(number));
    [old, name]
}

/// Long before all else.
fn old_time(number: u64) -> UnixSeconds {
    UnixSeconds(1000 + number)
}

fn the_hold(store: &Opened, number: u64) -> StoredHold {
    let tag = store.keys.tag(&id(&format!("erased {number}")));
    StoredHold { id: Uuid::from_u128(u128::from(number)), tag, upstream: None, body: vec![7; 300] }
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
    let keeper = async || {
        for number in (load.run * 1_000_000..).take(load.jobs) {
            hold(store, number, say).await;
            grow_old(store, number, say).await;
        }
    };
    wait(async { tokio::join!(join_all((0..WRITERS).map(|_| writer())), eraser(), keeper()) });
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
        let job = the_job(store, number, stage);
        let also = (stage == 2).then(|| name_of(&job, NAMES + u128::from(number)));
        let write = JobWrite { job, erased: erased.clone(), at: later(number + stage), also };
        store.jobs.commit(write).await.unwrap();
        say(&format!("job {number} {stage} ."));
    }
    if number % 8 == 7 {
        store.index.sweep(later(number - 4)).await.unwrap();
    }
}

async fn hold(store: &Opened, number: u64, say: &dyn Fn(&str)) {
    store.jobs.hold(the_hold(store, number)).await.unwrap();
    say(&format!("hold {number} 1 ."));
    if number.is_multiple_of(2) {
        say(&format!("hold {number} 0 ."));
        assert!(store.jobs.unhold(the_hold(store, number).id).await.unwrap());
        say(&format!("hold {number} 2 ."));
    }
}

async fn grow_old(store: &Opened, number: u64, say: &dyn Fn(&str)) {
    let [job, name] = the_old(store, number);
    let write = JobWrite { job, erased: Vec::new(), at: old_time(number), also: Some(name) };
    assert!(store.jobs.commit(write).await.unwrap());
    say(&format!("old {number} 1 ."));
    if number % 3 == 2 {
        say(&format!("old {number} 2 ."));
        store.jobs.purge(UnixSeconds(old_time(number).0 + 1)).await.unwrap();
        say(&format!("old {number} 3 ."));
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
        let all = store.jobs.jobs(None, usize::MAX).await.map_err(|error| error.to_string())?.unnumbered();
        let found = all.iter().filter_map(|job| Some((u64::try_from(job.id.as_u128()).ok()?, 0)));
        for (number, stage) in found.chain(acknowledged.jobs.clone()).collect::<BTreeMap<_, _>>() {
            verify_job(store, number, stage).await?;
        }
        verify_old(store, &all, &acknowledged.old)?;
        verify_holds(store, &acknowledged.holds).await?;
        verify_lists(store).await
    })
}

async fn verify_job(store: &Opened, number: u64, acknowledged: u64) -> Result<(), String> {
    let read = |error: forgetgate::store::StoreError| error.to_string();
    let found = store.jobs.job(the_job(store, number, 1).id).await.map_err(read)?.unnumbered();
    let stage = found.as_ref().and_then(|job| job.body.first()).map_or(0, |stage| u64::from(*stage));
    if stage < acknowledged {
        return Err(format!("job {number} is at stage {stage}, {acknowledged} was acknowledged"));
    }
    if let Some(found) = found
        && found != the_job(store, number, stage)
    {
        return Err(format!("job {number} is a mixture"));
    }
    let name = name_of(&the_job(store, number, 2), NAMES + u128::from(number));
    let found = store.jobs.job(name.id).await.map_err(read)?.unnumbered();
    if found != (stage >= 2).then_some(name) {
        return Err(format!("job {number} is at stage {stage}, and its other name is not as that says"));
    }
    let customer = id(&format!("erased {number}"));
    let rows = store.index.rows(&store.keys.tags_all_epochs(&customer), &customer).await.map_err(read)?;
    let mark: Option<UnixSeconds> = (stage >= 2).then_some(later(number + stage));
    if rows.iter().any(|row| row.erased_at != mark) {
        return Err(format!("job {number} is at stage {stage}, and not all of its {} rows say so", rows.len()));
    }
    Ok(())
}

/// A job of long ago is there with its other name, or gone with it, and gone if that was acknowledged.
fn verify_old(store: &Opened, all: &[StoredJob], old: &BTreeMap<u64, u64>) -> Result<(), String> {
    let last = |state| old.iter().filter(|(_, said)| **said >= state).map(|(number, _)| *number).max();
    let there = all.iter().filter(|job| job.id.as_u128() >= OLD);
    let mut there: BTreeMap<u128, &StoredJob> = there.map(|job| (job.id.as_u128(), job)).collect();
    for number in old.keys() {
        let [job, name] = the_old(store, *number);
        let found = [&job, &name].map(|kept| there.remove(&kept.id.as_u128()).map(|found| found == kept));
        let whole = found == [Some(true), Some(true)];
        let may_be_gone = last(2).is_some_and(|last| *number <= last);
        let must_be_gone = last(3).is_some_and(|last| *number <= last);
        let gone = found == [None, None];
        // A job whose names are many loses them before it goes; never the other way round.
        let going = found == [Some(true), None];
        let fine = if must_be_gone { gone } else { whole || may_be_gone && (gone || going) };
        if !fine {
            return Err(format!("job {number} of long ago and its name: {found:?}, {must_be_gone} {may_be_gone}"));
        }
    }
    // Written and not acknowledged: whole as well.
    for id in there.keys() {
        let number = u64::try_from(id % NAMES).unwrap();
        let whole = [OLD, OLD_NAMES].iter().all(|kind| there.contains_key(&(kind + u128::from(number))));
        let going = *id < OLD_NAMES && last(2).is_some_and(|last| number <= last);
        if !(whole || going) {
            return Err(format!("of {id:x} only one half was written"));
        }
    }
    Ok(())
}

async fn verify_holds(store: &Opened, said: &BTreeMap<u64, u64>) -> Result<(), String> {
    let there = store.jobs.holds(None, usize::MAX).await.map_err(|error| error.to_string())?;
    for (number, state) in said {
        let is_there = there.contains(&the_hold(store, *number));
        if (is_there && *state == 2) || (!is_there && *state == 1) {
            return Err(format!("hold {number} is not as it was last acknowledged"));
        }
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
