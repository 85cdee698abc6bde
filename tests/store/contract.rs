//! What every engine must do, in one suite.

use forgetgate::config::Engine;
use forgetgate::domain::{Apis, LabelForm, PairKey, Tag, UnixSeconds};
use forgetgate::store::{JobWrite, ListedJob, Opened, Placement, StoreError, StoredJob};
use futures_util::future::join_all;

use crate::world::{NOW, Unnumbered, World, fact, id, job, later, name_of, rows_of, step, wait};

on_every_engine! {
    a_recorded_fact_is_found_with_all_that_was_said_of_it
    a_customer_who_was_never_seen_has_no_rows
    a_customer_who_comes_again_keeps_the_first_time_and_moves_the_last
    each_upstream_form_and_resource_is_a_row_of_its_own
    rows_are_found_under_any_of_the_tags
    rows_open_only_with_their_own_customers_id_p7
    an_erasure_marks_its_rows_and_no_others
    traffic_after_an_erasure_clears_the_mark_p4
    a_sweep_takes_what_was_marked_long_ago_and_not_cleared
    a_row_marked_twice_counts_from_the_second_time
    an_upstream_keeps_its_number_for_ever
    upstreams_say_whether_rows_point_to_them
    a_job_is_read_back_as_it_was_last_written
    a_job_of_any_size_is_kept_whole
    an_id_is_one_jobs_and_never_written_over_by_a_new_one_p5
    a_step_may_mark_any_number_of_rows
    jobs_are_listed_in_order_and_in_pages
    unfinished_jobs_are_found_by_customer_until_they_are_finished
    unfinished_jobs_are_listed_in_pages_however_many_a_customer_has
    p4_writes_have_an_order_that_marks_and_later_steps_leave
    figures_count_what_is_there
    a_fact_that_is_too_large_is_refused_and_harms_nothing
}

/// All unfinished jobs, listed in small pages, each as its list entry says, in the order of their IDs.
async fn unfinished(store: &Opened) -> Vec<StoredJob> {
    let mut listed: Vec<ListedJob> = Vec::new();
    loop {
        let cursor = listed.last().map(|job| (job.tag, job.id));
        let page = store.jobs.listed(cursor, 2).await.unwrap();
        assert!(page.len() <= 2);
        let last = page.len() < 2;
        listed.extend(page);
        if last {
            break;
        }
    }
    assert!(listed.is_sorted_by_key(|job| (job.tag, job.id)));
    listed.sort_by_key(|job| job.id);
    let mut found = Vec::new();
    for ListedJob { id, tag, summary } in listed {
        let job = store.jobs.job(id).await.unwrap().unwrap();
        assert_eq!((job.tag, &job.summary, job.finished), (tag, &summary, false));
        found.push(job.unnumbered());
    }
    found
}

pub(crate) async fn record(store: &Opened, fact: Placement) -> PairKey {
    let key = fact.key;
    store.index.record(fact).await.unwrap();
    key
}

async fn a_recorded_fact_is_found_with_all_that_was_said_of_it(store: &Opened) {
    let said =
        Placement { wire: Some("fg_anna".into()), api: Some(2), ..fact(&store.keys, "anna", 3, "assistants/a1") };
    let key = record(store, said).await;
    let rows = rows_of(store, "anna").await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].key, rows[0].first_seen, rows[0].last_seen), (key, NOW, NOW));
    assert_eq!((rows[0].erased_at, rows[0].apis), (None, Apis::of(Some(2))));
    assert_eq!((&*rows[0].resource, rows[0].wire.as_deref()), ("assistants/a1", Some("fg_anna")));
}

async fn a_customer_who_was_never_seen_has_no_rows(store: &Opened) {
    record(store, fact(&store.keys, "anna", 1, "")).await;
    assert_eq!(rows_of(store, "ann").await, []);
}

async fn a_customer_who_comes_again_keeps_the_first_time_and_moves_the_last(store: &Opened) {
    record(store, Placement { api: Some(1), ..fact(&store.keys, "anna", 1, "r") }).await;
    record(store, Placement { seen: later(60), ..fact(&store.keys, "anna", 1, "r") }).await;
    // Two workers need not come in the order of their clocks.
    record(store, Placement { seen: later(30), ..fact(&store.keys, "anna", 1, "r") }).await;
    let rows = rows_of(store, "anna").await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].first_seen, rows[0].last_seen, rows[0].apis), (NOW, later(60), Apis::of(Some(1))));
}

async fn each_upstream_form_and_resource_is_a_row_of_its_own(store: &Opened) {
    let plain = fact(&store.keys, "anna", 1, "r");
    let aliased = Placement { key: PairKey { form: LabelForm::alias(1), ..plain.key }, ..plain.clone() };
    for fact in [plain, aliased, fact(&store.keys, "anna", 1, "s"), fact(&store.keys, "anna", 2, "r")] {
        record(store, fact).await;
    }
    assert_eq!(rows_of(store, "anna").await.len(), 4);
}

async fn rows_are_found_under_any_of_the_tags(store: &Opened) {
    let here = fact(&store.keys, "anna", 1, "r");
    let older_epoch = Tag([9; 16]);
    let before = Placement { key: PairKey { tag: older_epoch, ..here.key }, ..here.clone() };
    let tags = [here.key.tag, older_epoch];
    record(store, here).await;
    record(store, before).await;
    assert_eq!(store.index.rows(&tags, &id("anna")).await.unwrap().len(), 2);
    assert_eq!(store.index.rows(&tags[1..], &id("anna")).await.unwrap().len(), 1);
}

async fn rows_open_only_with_their_own_customers_id_p7(store: &Opened) {
    record(store, fact(&store.keys, "anna", 1, "r")).await;
    let tag = [store.keys.tag(&id("anna"))];
    let opened = store.index.rows(&tag, &id("bert")).await.unwrap();
    assert_eq!(opened.iter().map(|row| (&*row.resource, row.readable)).collect::<Vec<_>>(), [("", false)]);
}

async fn an_erasure_marks_its_rows_and_no_others(store: &Opened) {
    let one = record(store, fact(&store.keys, "anna", 1, "r")).await;
    let two = record(store, fact(&store.keys, "anna", 2, "r")).await;
    record(store, fact(&store.keys, "bert", 1, "r")).await;
    let never_seen = fact(&store.keys, "carl", 1, "r").key;
    store.jobs.commit(step(job(&store.keys, 1, "anna", b""), &[one, never_seen], later(5))).await.unwrap();
    for row in rows_of(store, "anna").await {
        assert_eq!(row.erased_at, (row.key == one).then_some(later(5)), "{two:?} was not in the step");
    }
    assert_eq!(rows_of(store, "bert").await[0].erased_at, None);
    assert_eq!(rows_of(store, "carl").await, []);
}

async fn traffic_after_an_erasure_clears_the_mark_p4(store: &Opened) {
    let key = record(store, fact(&store.keys, "anna", 1, "r")).await;
    store.jobs.commit(step(job(&store.keys, 1, "anna", b""), &[key], later(5))).await.unwrap();
    record(store, Placement { seen: later(9), ..fact(&store.keys, "anna", 1, "r") }).await;
    let rows = rows_of(store, "anna").await;
    assert_eq!((rows[0].first_seen, rows[0].last_seen, rows[0].erased_at), (later(9), later(9), None));
    assert_eq!(store.index.sweep(later(1000)).await.unwrap(), 0);
    assert_eq!(rows_of(store, "anna").await.len(), 1);
}

async fn a_sweep_takes_what_was_marked_long_ago_and_not_cleared(store: &Opened) {
    let mut keys = Vec::new();
    for resource in 0..600 {
        keys.push(record(store, fact(&store.keys, "anna", 1, &resource.to_string())).await);
    }
    let fresh = record(store, fact(&store.keys, "bert", 1, "r")).await;
    record(store, fact(&store.keys, "carl", 1, "r")).await;
    store.jobs.commit(step(job(&store.keys, 1, "anna", b""), &keys, later(5))).await.unwrap();
    store.jobs.commit(step(job(&store.keys, 2, "bert", b""), &[fresh], later(10))).await.unwrap();
    assert_eq!(store.index.sweep(later(5)).await.unwrap(), 0, "marked at this very second is not before it");
    assert_eq!(store.index.sweep(later(6)).await.unwrap(), 600);
    assert_eq!(rows_of(store, "anna").await, []);
    assert_eq!(rows_of(store, "bert").await.len() + rows_of(store, "carl").await.len(), 2);
    assert_eq!(store.index.sweep(later(6)).await.unwrap(), 0);
    let figures = store.index.figures().await.unwrap();
    assert_eq!((figures.rows, figures.erased_rows), (2, 1));
}

async fn a_row_marked_twice_counts_from_the_second_time(store: &Opened) {
    let key = record(store, fact(&store.keys, "anna", 1, "r")).await;
    for at in [5, 10] {
        store.jobs.commit(step(job(&store.keys, 1, "anna", b""), &[key], later(at))).await.unwrap();
    }
    assert_eq!(store.index.figures().await.unwrap().erased_rows, 1);
    assert_eq!(store.index.sweep(later(6)).await.unwrap(), 0);
    assert_eq!(rows_of(store, "anna").await[0].erased_at, Some(later(10)));
    assert_eq!(store.index.sweep(later(11)).await.unwrap(), 1);
}

async fn an_upstream_keeps_its_number_for_ever(store: &Opened) {
    let one = store.index.upstream_number("one", "https://one").await.unwrap();
    let two = store.index.upstream_number("two", "https://two").await.unwrap();
    assert_ne!(one, two);
    assert_eq!(store.index.upstream_number("one", "https://moved").await.unwrap(), one);
    let known = store.index.upstreams().await.unwrap();
    let known: Vec<_> = known.iter().map(|known| (known.number, &*known.name, &*known.identity)).collect();
    assert_eq!(known, [(one, "one", "https://moved"), (two, "two", "https://two")]);
}

async fn upstreams_say_whether_rows_point_to_them(store: &Opened) {
    let one = store.index.upstream_number("one", "").await.unwrap();
    store.index.upstream_number("two", "").await.unwrap();
    let key = record(store, fact(&store.keys, "anna", one.0, "r")).await;
    let has_rows =
        async || store.index.upstreams().await.unwrap().iter().map(|known| known.has_rows).collect::<Vec<_>>();
    assert_eq!(has_rows().await, [true, false]);
    store.jobs.commit(step(job(&store.keys, 1, "anna", b""), &[key], NOW)).await.unwrap();
    assert_eq!(has_rows().await, [true, false], "a marked row still points");
    store.index.sweep(later(1)).await.unwrap();
    assert_eq!(has_rows().await, [false, false]);
}

async fn a_job_is_read_back_as_it_was_last_written(store: &Opened) {
    let first = job(&store.keys, 1, "anna", b"first");
    let second = StoredJob { body: b"second".to_vec(), finished: true, ..first.clone() };
    for written in [&first, &second] {
        store.jobs.commit(step(written.clone(), &[], NOW)).await.unwrap();
        assert_eq!(store.jobs.job(first.id).await.unwrap().unnumbered().as_ref(), Some(written));
    }
    assert_eq!(store.jobs.job(uuid::Uuid::from_u128(2)).await.unwrap().unnumbered(), None);
}

async fn a_job_of_any_size_is_kept_whole(store: &Opened) {
    for size in [1_000_000, 4097, 4096, 0, 300_000] {
        let body: Vec<u8> = (0..size).map(|at: u32| at.to_le_bytes()[at as usize % 3]).collect();
        let written = job(&store.keys, 1, "anna", &body);
        store.jobs.commit(step(written.clone(), &[], NOW)).await.unwrap();
        assert_eq!(store.jobs.job(written.id).await.unwrap().unnumbered(), Some(written));
    }
}

async fn an_id_is_one_jobs_and_never_written_over_by_a_new_one_p5(store: &Opened) {
    let customers: Vec<String> = (0..20).map(|number| format!("customer {number}")).collect();
    let jobs: Vec<StoredJob> = customers.iter().map(|name| job(&store.keys, 1, name, name.as_bytes())).collect();
    let created = join_all(jobs.iter().map(|job| store.jobs.create(job.clone()))).await;
    let created: Vec<bool> = created.into_iter().map(Result::unwrap).collect();
    assert_eq!(created.iter().filter(|created| **created).count(), 1, "of any number at once");
    let first = &jobs[created.iter().position(|created| *created).unwrap()];
    assert_eq!(store.jobs.job(first.id).await.unwrap().unnumbered().as_ref(), Some(first));
    assert_eq!(unfinished(store).await, std::slice::from_ref(first));
    assert_eq!(store.index.figures().await.unwrap().jobs, 1);

    let done = StoredJob { finished: true, ..first.clone() };
    store.jobs.commit(step(done.clone(), &[], NOW)).await.unwrap();
    assert!(!store.jobs.create(job(&store.keys, 1, "bert", b"b")).await.unwrap(), "nor of one that is finished");
    assert_eq!(store.jobs.job(first.id).await.unwrap().unnumbered(), Some(done));
    assert!(store.jobs.create(job(&store.keys, 2, "bert", b"b")).await.unwrap());
}

async fn a_step_may_mark_any_number_of_rows(store: &Opened) {
    let facts = (0..3000).map(|resource| fact(&store.keys, "anna", 1, &resource.to_string()));
    let keys = join_all(facts.map(|fact| record(store, fact))).await;
    store.jobs.commit(step(job(&store.keys, 1, "anna", b"b"), &keys, later(5))).await.unwrap();
    let rows = rows_of(store, "anna").await;
    assert_eq!(rows.len(), 3000);
    assert!(rows.iter().all(|row| row.erased_at == Some(later(5))));
    assert_eq!(store.index.figures().await.unwrap().erased_rows, 3000);
}

async fn jobs_are_listed_in_order_and_in_pages(store: &Opened) {
    for number in [5, 1, 3, 2, 4] {
        store.jobs.commit(step(job(&store.keys, number, "anna", b""), &[], NOW)).await.unwrap();
    }
    let mut cursor = None;
    let mut listed = Vec::new();
    loop {
        let page = store.jobs.jobs(cursor, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        cursor = Some(last.id);
        listed.extend(page.iter().map(|job| job.id.as_u128()));
    }
    assert_eq!(listed, [1, 2, 3, 4, 5]);
}

/// Whether the customer came back since an erasure was accepted is read from it, and from no clock.
async fn p4_writes_have_an_order_that_marks_and_later_steps_leave(store: &Opened) {
    let written = async || rows_of(store, "anna").await[0].written;
    let accepted = async |number| store.jobs.job(uuid::Uuid::from_u128(number)).await.unwrap().unwrap().accepted;
    let first = fact(&store.keys, "anna", 1, "r");
    record(store, first.clone()).await;
    let before = written().await;
    assert!(before > 0);
    let anna = StoredJob { accepted: 1 << 60, ..job(&store.keys, 1, "anna", b"a") };
    assert!(store.jobs.create(anna.clone()).await.unwrap());
    let made = accepted(1).await;
    assert!(before < made && made < 1 << 60, "the store says it, not the caller");
    for body in [&b"b"[..], &[7; 10_000], b"c"] {
        let changed = StoredJob { accepted: 0, body: body.to_vec(), ..anna.clone() };
        store.jobs.commit(step(changed, &[first.key], later(1))).await.unwrap();
        assert_eq!((accepted(1).await, written().await), (made, before), "a mark and a step leave it");
    }
    // A clock that was set back.
    record(store, Placement { seen: UnixSeconds(1), ..first.clone() }).await;
    let back = written().await;
    assert!(made < back);
    store.jobs.commit(step(job(&store.keys, 2, "anna", &[8; 5000]), &[], NOW)).await.unwrap();
    assert!(back < accepted(2).await);
    let also = Some(name_of(&anna, 3));
    store.jobs.commit(JobWrite { also, ..step(anna, &[], NOW) }).await.unwrap();
    assert!(accepted(2).await < accepted(3).await && accepted(1).await == made);
}

async fn unfinished_jobs_are_found_by_customer_until_they_are_finished(store: &Opened) {
    let (anna, bert) = (job(&store.keys, 1, "anna", b"a"), job(&store.keys, 2, "bert", b"b"));
    for written in [&anna, &bert] {
        store.jobs.commit(step(written.clone(), &[], NOW)).await.unwrap();
    }
    assert_eq!(unfinished(store).await, [anna.clone(), bert.clone()]);
    assert_eq!(store.jobs.unfinished_of(&[anna.tag]).await.unwrap().unnumbered(), std::slice::from_ref(&anna));
    assert_eq!(
        store.jobs.unfinished_of(&[Tag([0; 16]), bert.tag]).await.unwrap().unnumbered(),
        std::slice::from_ref(&bert)
    );
    store.jobs.commit(step(StoredJob { finished: true, ..anna.clone() }, &[], NOW)).await.unwrap();
    assert_eq!(unfinished(store).await, [bert]);
    assert_eq!(store.jobs.unfinished_of(&[anna.tag]).await.unwrap().unnumbered(), []);
    // Reopened, as when a second erasure joins.
    store.jobs.commit(step(anna.clone(), &[], NOW)).await.unwrap();
    assert_eq!(store.jobs.unfinished_of(&[anna.tag]).await.unwrap().unnumbered(), [anna]);
}

async fn unfinished_jobs_are_listed_in_pages_however_many_a_customer_has(store: &Opened) {
    let mut expected = Vec::new();
    for number in 0..25 {
        let customer = ["anna", "bert", "carl"][number % 3];
        let job = job(&store.keys, number as u128, customer, b"");
        let job = StoredJob { finished: number % 5 == 4, ..job };
        store.jobs.commit(step(job.clone(), &[], NOW)).await.unwrap();
        expected.extend((!job.finished).then_some(job));
    }
    assert_eq!(unfinished(store).await, expected);
}

async fn figures_count_what_is_there(store: &Opened) {
    let key = record(store, fact(&store.keys, "anna", 1, "r")).await;
    record(store, fact(&store.keys, "anna", 1, "r")).await;
    record(store, fact(&store.keys, "bert", 2, "r")).await;
    store.jobs.commit(step(job(&store.keys, 1, "anna", b""), &[key], NOW)).await.unwrap();
    let done = StoredJob { finished: true, ..job(&store.keys, 2, "bert", b"") };
    store.jobs.commit(step(done, &[], NOW)).await.unwrap();
    let figures = store.index.figures().await.unwrap();
    assert_eq!((figures.rows, figures.erased_rows), (2, 1));
    assert_eq!((figures.jobs, figures.unfinished_jobs), (2, 1));
    assert!(figures.syncs > 0);
    assert!(store.index.is_writable());
}

async fn a_fact_that_is_too_large_is_refused_and_harms_nothing(store: &Opened) {
    let refused = store.index.record(fact(&store.keys, "anna", 1, &"x".repeat(7000))).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
    // Twenty of the largest that are taken, side by side on one page, again and again.
    for round in 0..5 {
        for number in 0..40 {
            let resource = format!("{number}{}", "x".repeat(5800));
            record(store, Placement { seen: later(round), ..fact(&store.keys, "anna", 1, &resource) }).await;
        }
    }
    let rows = rows_of(store, "anna").await;
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row.resource.len() > 5800 && row.last_seen == later(4)));
    assert!(store.index.is_writable());
}

/// The suite above is worth what its engines are: these are all that a configuration can name.
#[test]
fn every_engine_that_can_be_configured_is_mounted() {
    for engine in [Engine::Sled, Engine::Memory, Engine::Postgres] {
        match engine {
            Engine::Sled | Engine::Memory | Engine::Postgres => {
                let world = World::new(engine);
                assert_eq!(wait(world.open().index.sweep(UnixSeconds(0))).unwrap(), 0);
            }
        }
    }
}
