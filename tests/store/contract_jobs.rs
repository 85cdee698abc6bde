//! What every engine must do with the erasures' other names, their list, their retention, and with legal holds.

use forgetgate::domain::{UnixSeconds, UpstreamNumber};
use forgetgate::store::{
    HOLD_BODY_MAX, JobWrite, ListedJob, Opened, SUMMARY_BYTES_MAX, StoreError, StoredHold, StoredJob,
};
use uuid::Uuid;

use crate::world::{NOW, Unnumbered, fact, job, later, name_of, rows_of, step};

on_every_engine! {
    p5_another_name_is_made_with_its_step
    p5_a_step_whose_other_name_is_taken_writes_nothing
    p5_of_two_steps_with_one_other_name_one_is_written
    p5_a_step_over_another_version_than_was_read_is_refused
    a_list_entry_says_what_was_last_committed
    a_summary_that_is_too_long_is_refused_and_nothing_is_written
    p5_a_purge_takes_finished_jobs_of_long_ago_and_no_others
    a_purge_takes_the_other_names_with_their_job_and_not_before
    a_purge_takes_a_name_whose_job_is_gone
    a_purged_id_is_free_again_and_nothing_of_the_old_job_is_in_the_new_one
    a_purge_takes_any_number_of_jobs_and_names
    the_latest_time_is_kept_p13
    holds_are_kept_in_pages_and_written_anew_and_removed
    a_hold_that_is_too_large_is_refused
}

async fn commit(store: &Opened, job: StoredJob, also: Option<StoredJob>, at: UnixSeconds) -> bool {
    store.jobs.commit(JobWrite { job, erased: Vec::new(), at, also }).await.unwrap()
}

async fn ids(store: &Opened) -> Vec<u128> {
    store.jobs.jobs(None, usize::MAX).await.unwrap().iter().map(|job| job.id.as_u128()).collect()
}

/// Jobs and unfinished ones, as they are counted.
async fn counted(store: &Opened) -> (u64, u64) {
    let figures = store.index.figures().await.unwrap();
    (figures.jobs, figures.unfinished_jobs)
}

fn finished(job: StoredJob) -> StoredJob {
    StoredJob { finished: true, ..job }
}

async fn p5_another_name_is_made_with_its_step(store: &Opened) {
    for (number, size) in [(1, 10), (2, 10_000)] {
        let anna = job(&store.keys, number, "anna", &vec![1; size]);
        let name = StoredJob { body: vec![2; size], ..name_of(&anna, 10 + number) };
        assert!(commit(store, anna.clone(), None, NOW).await);
        assert!(commit(store, anna.clone(), Some(name.clone()), NOW).await);
        assert_eq!(store.jobs.job(name.id).await.unwrap().unnumbered(), Some(name));
        assert_eq!(store.jobs.job(anna.id).await.unwrap().unnumbered(), Some(anna));
    }
    assert_eq!((ids(store).await, counted(store).await), (vec![1, 2, 11, 12], (4, 2)));
    let first = job(&store.keys, 3, "bert", b"");
    assert!(commit(store, first.clone(), Some(name_of(&first, 13)), NOW).await, "with a job's first step, too");
    assert_eq!(counted(store).await, (6, 3));
}

async fn p5_a_step_whose_other_name_is_taken_writes_nothing(store: &Opened) {
    let placed = fact(&store.keys, "anna", 1, "r");
    let key = placed.key;
    store.index.record(placed).await.unwrap();
    let anna = job(&store.keys, 1, "anna", b"first");
    let bert = job(&store.keys, 2, "bert", b"");
    assert!(commit(store, anna.clone(), None, NOW).await && commit(store, bert, None, NOW).await);
    for taken in [1, 2] {
        let changed = StoredJob { body: b"second".to_vec(), finished: true, ..anna.clone() };
        let write = JobWrite { also: Some(name_of(&anna, taken)), ..step(changed, &[key], NOW) };
        assert!(!store.jobs.commit(write).await.unwrap());
    }
    assert_eq!(store.jobs.job(anna.id).await.unwrap().unnumbered(), Some(anna));
    assert_eq!(rows_of(store, "anna").await[0].erased_at, None);
    assert_eq!((ids(store).await, counted(store).await), (vec![1, 2], (2, 2)));
    let new = job(&store.keys, 3, "carl", b"");
    let own = StoredJob { id: new.id, ..name_of(&new, 3) };
    assert!(!commit(store, new, Some(own), NOW).await, "its own ID");
    assert_eq!(ids(store).await, [1, 2]);
}

async fn p5_of_two_steps_with_one_other_name_one_is_written(store: &Opened) {
    let jobs = [1, 2].map(|number| job(&store.keys, number, "anna", b"first"));
    for job in &jobs {
        assert!(commit(store, job.clone(), None, NOW).await);
    }
    let changed = jobs.clone().map(|job| StoredJob { body: b"second".to_vec(), ..job });
    let [one, two] = changed.map(|job| commit(store, job.clone(), Some(name_of(&job, 9)), NOW));
    let (one, two) = tokio::join!(one, two);
    assert!(one != two);
    let of = store.jobs.job(Uuid::from_u128(9)).await.unwrap().unwrap().of;
    for job in store.jobs.unfinished_of(&[jobs[0].tag]).await.unwrap() {
        assert_eq!(job.body == b"second", of == Some(job.id));
    }
}

async fn p5_a_step_over_another_version_than_was_read_is_refused(store: &Opened) {
    let placed = fact(&store.keys, "anna", 1, "r");
    store.index.record(placed.clone()).await.unwrap();
    for (number, size) in [(1, 10), (2, 10_000)] {
        let read = async || store.jobs.job(Uuid::from_u128(number)).await.unwrap().unwrap();
        assert!(store.jobs.create(job(&store.keys, number, "anna", &vec![1; size])).await.unwrap());
        let first = read().await;
        assert_eq!(first.version, 1);
        assert!(commit(store, StoredJob { body: vec![2; size], ..first.clone() }, None, NOW).await);
        let second = read().await;
        assert_eq!(second.version, 2);
        let other = Some(name_of(&first, 10 + number));
        for late in [first, StoredJob { version: 3, ..second.clone() }] {
            let late = StoredJob { body: vec![3; size], ..late };
            let refused = store.jobs.commit(JobWrite { also: other.clone(), ..step(late, &[placed.key], NOW) }).await;
            assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
        }
        assert_eq!(read().await, second);
        assert_eq!(store.jobs.job(Uuid::from_u128(10 + number)).await.unwrap(), None);
        assert!(commit(store, StoredJob { body: vec![3; size], ..second }, other, NOW).await);
        assert_eq!(read().await.version, 3);
    }
    assert_eq!(rows_of(store, "anna").await[0].erased_at, None);
    let gone = StoredJob { version: 1, ..job(&store.keys, 99, "anna", b"") };
    assert!(matches!(store.jobs.commit(step(gone, &[], NOW)).await, Err(StoreError::Conflict)), "it was purged");
}

async fn a_list_entry_says_what_was_last_committed(store: &Opened) {
    let listed = async || store.jobs.listed(None, 10).await.unwrap();
    // Small and large in turn, so that the body moves between the head and its pieces.
    for (round, size) in [100, 100, 5000, 100, 5000, 5000].into_iter().enumerate() {
        let round = u8::try_from(round).unwrap();
        let summary = vec![round; usize::from(round) * 20];
        let written = StoredJob { summary, ..job(&store.keys, 1, "anna", &vec![round; size]) };
        assert!(commit(store, written.clone(), None, NOW).await);
        let entry = ListedJob { id: written.id, tag: written.tag, summary: written.summary.clone() };
        assert_eq!(listed().await, std::slice::from_ref(&entry));
        let same_summary = StoredJob { body: vec![9; size], ..written };
        assert!(commit(store, same_summary.clone(), None, NOW).await);
        assert_eq!(listed().await, [entry]);
        assert_eq!(store.jobs.job(same_summary.id).await.unwrap().unnumbered(), Some(same_summary));
    }
    assert!(commit(store, finished(job(&store.keys, 1, "anna", b"")), None, NOW).await);
    assert_eq!(listed().await, []);
}

async fn a_summary_that_is_too_long_is_refused_and_nothing_is_written(store: &Opened) {
    let fits = StoredJob { summary: vec![7; SUMMARY_BYTES_MAX], ..job(&store.keys, 1, "anna", b"") };
    assert!(store.jobs.create(fits.clone()).await.unwrap());
    let long = StoredJob { summary: vec![7; SUMMARY_BYTES_MAX + 1], id: Uuid::from_u128(2), ..fits.clone() };
    let refused = |done| matches!(done, Err(StoreError::TooLarge { .. }));
    assert!(matches!(store.jobs.create(long.clone()).await, Err(StoreError::TooLarge { .. })));
    assert!(refused(store.jobs.commit(step(long.clone(), &[], NOW)).await));
    assert!(refused(store.jobs.commit(JobWrite { also: Some(long), ..step(fits.clone(), &[], NOW) }).await));
    assert_eq!(store.jobs.jobs(None, 10).await.unwrap().unnumbered(), [fits]);
}

async fn the_latest_time_is_kept_p13(store: &Opened) {
    let keep = async |at: Option<u64>| store.jobs.keep_time(at.map(later)).await.unwrap();
    assert_eq!(keep(None).await, None);
    let done = |number| StoredJob { finished: true, ..job(&store.keys, number, "anna", b"") };
    for (number, at) in [(1, 7), (2, 5)] {
        store.jobs.commit(step(done(number), &[], later(at))).await.unwrap();
    }
    store.jobs.commit(step(job(&store.keys, 3, "bert", b""), &[], later(60))).await.unwrap();
    assert_eq!(keep(None).await, Some(later(7)), "of an older store its last erasure says it");
    assert_eq!(keep(Some(3)).await, Some(later(7)));
    assert_eq!(keep(Some(9)).await, Some(later(3)));
    assert_eq!(keep(Some(4)).await, Some(later(9)));
    assert_eq!(keep(None).await, Some(later(9)));
}

async fn p5_a_purge_takes_finished_jobs_of_long_ago_and_no_others(store: &Opened) {
    for (number, size, is_finished, at) in
        [(1, 10, true, 5), (2, 9000, true, 5), (3, 10, false, 5), (4, 10, true, 10), (5, 9000, true, 10)]
    {
        let job = StoredJob { finished: is_finished, ..job(&store.keys, number, "anna", &vec![1; size]) };
        assert!(commit(store, job, None, later(at)).await);
    }
    // Finished long ago, and again later; and reopened.
    assert!(commit(store, finished(job(&store.keys, 6, "anna", b"")), None, later(5)).await);
    assert!(commit(store, finished(job(&store.keys, 6, "anna", b"")), None, later(10)).await);
    assert!(commit(store, finished(job(&store.keys, 7, "anna", b"")), None, later(5)).await);
    assert!(commit(store, job(&store.keys, 7, "anna", b""), None, later(5)).await);
    assert_eq!(store.jobs.purge(later(5)).await.unwrap(), 0, "in this very second is not before it");
    assert_eq!(store.jobs.purge(later(6)).await.unwrap(), 2);
    assert_eq!((ids(store).await, counted(store).await), (vec![3, 4, 5, 6, 7], (5, 2)));
    assert_eq!(store.jobs.purge(later(6)).await.unwrap(), 0);
    assert_eq!(store.jobs.purge(later(1000)).await.unwrap(), 3);
    assert_eq!((ids(store).await, counted(store).await), (vec![3, 7], (2, 2)));
    assert_eq!(store.jobs.listed(None, 10).await.unwrap().len(), 2);
}

async fn a_purge_takes_the_other_names_with_their_job_and_not_before(store: &Opened) {
    let anna = job(&store.keys, 1, "anna", b"");
    assert!(commit(store, anna.clone(), Some(name_of(&anna, 11)), later(1)).await);
    assert!(store.jobs.create(name_of(&anna, 12)).await.unwrap());
    assert_eq!(store.jobs.purge(later(1000)).await.unwrap(), 0, "their job is not finished");
    assert_eq!(ids(store).await, [1, 11, 12]);
    assert!(commit(store, finished(anna.clone()), Some(name_of(&anna, 13)), later(50)).await);
    assert_eq!(store.jobs.purge(later(50)).await.unwrap(), 0, "however old they are");
    assert_eq!(ids(store).await, [1, 11, 12, 13]);
    assert_eq!(store.jobs.purge(later(51)).await.unwrap(), 1, "names are not counted");
    assert_eq!((ids(store).await, counted(store).await), (vec![], (0, 0)));
}

async fn a_purge_takes_a_name_whose_job_is_gone(store: &Opened) {
    let anna = finished(job(&store.keys, 1, "anna", b""));
    assert!(commit(store, anna.clone(), None, later(1)).await);
    assert_eq!(store.jobs.purge(later(2)).await.unwrap(), 1);
    let late = StoredJob { received: later(3), ..name_of(&anna, 11) };
    assert!(store.jobs.create(late).await.unwrap());
    assert_eq!(store.jobs.purge(later(3)).await.unwrap(), 0);
    assert_eq!(store.jobs.purge(later(4)).await.unwrap(), 1);
    assert_eq!((ids(store).await, counted(store).await), (vec![], (0, 0)));
}

async fn a_purged_id_is_free_again_and_nothing_of_the_old_job_is_in_the_new_one(store: &Opened) {
    let old = finished(job(&store.keys, 1, "anna", &[1; 20_000]));
    assert!(commit(store, old.clone(), Some(name_of(&old, 11)), later(1)).await);
    assert_eq!(store.jobs.purge(later(2)).await.unwrap(), 1);
    let new = job(&store.keys, 1, "bert", &[2; 5000]);
    assert!(store.jobs.create(new.clone()).await.unwrap());
    assert_eq!(store.jobs.jobs(None, 10).await.unwrap().unnumbered(), std::slice::from_ref(&new));
    assert_eq!(store.jobs.purge(later(1000)).await.unwrap(), 0);
    assert_eq!(store.jobs.job(new.id).await.unwrap().unnumbered(), Some(new));
}

async fn a_purge_takes_any_number_of_jobs_and_names(store: &Opened) {
    let anna = finished(job(&store.keys, 0, "anna", &[1; 5000]));
    assert!(commit(store, anna.clone(), None, later(1)).await);
    let names = (10_000..10_900).map(|number| store.jobs.create(name_of(&anna, number)));
    let others = (1..600).map(|number| store.jobs.create(finished(job(&store.keys, number, "bert", &[2; 3000]))));
    for created in futures_util::future::join_all(names.chain(others)).await {
        assert!(created.unwrap());
    }
    assert!(commit(store, job(&store.keys, 600, "carl", b""), None, NOW).await);
    assert_eq!(counted(store).await, (1501, 1));
    assert_eq!(store.jobs.purge(later(2)).await.unwrap(), 600);
    assert_eq!((ids(store).await, counted(store).await), (vec![600], (1, 1)));
}

fn hold(store: &Opened, number: u128, upstream: Option<u16>, body: &[u8]) -> StoredHold {
    let tag = store.keys.tag(&crate::world::id("anna"));
    StoredHold { id: Uuid::from_u128(number), tag, upstream: upstream.map(UpstreamNumber), body: body.to_vec() }
}

async fn holds_are_kept_in_pages_and_written_anew_and_removed(store: &Opened) {
    let first = [hold(store, 2, None, b""), hold(store, 1, Some(0), b"why"), hold(store, 3, Some(7), &[7; 5000])];
    for hold in &first {
        store.jobs.hold(hold.clone()).await.unwrap();
    }
    let [two, one, three] = first;
    assert_eq!(store.jobs.holds(None, 2).await.unwrap(), [one.clone(), two.clone()]);
    assert_eq!(store.jobs.holds(Some(two.id), 2).await.unwrap(), std::slice::from_ref(&three));
    let anew = hold(store, 2, Some(1), b"anew");
    store.jobs.hold(anew.clone()).await.unwrap();
    assert!(store.jobs.unhold(one.id).await.unwrap());
    assert!(!store.jobs.unhold(one.id).await.unwrap());
    assert_eq!(store.jobs.holds(None, 10).await.unwrap(), [anew, three]);
    assert_eq!(store.jobs.purge(UnixSeconds(u64::MAX)).await.unwrap(), 0);
    assert_eq!(store.jobs.holds(None, 10).await.unwrap().len(), 2, "a purge is not for them");
}

async fn a_hold_that_is_too_large_is_refused(store: &Opened) {
    let too_large = hold(store, 1, None, &vec![1; HOLD_BODY_MAX + 1]);
    assert!(matches!(store.jobs.hold(too_large).await, Err(StoreError::TooLarge { .. })));
    for number in 0..40 {
        store.jobs.hold(hold(store, number, None, &vec![1; HOLD_BODY_MAX])).await.unwrap();
    }
    assert_eq!(store.jobs.holds(None, 100).await.unwrap().len(), 40);
    assert!(store.index.is_writable());
}
