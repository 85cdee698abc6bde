//! Durable rows per second through the store, next to what the disk and bare sled give in the same run. Ratios count, not
//! figures: `cargo bench --bench store`.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock itself")]

mod support;

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use forgetgate::domain::{
    CustomerId, Instance, InstanceHash, LabelForm, PairKey, ResourceHash, UnixSeconds, UpstreamNumber,
};
use forgetgate::store::seal::Keys;
use forgetgate::store::{Opened, Placement, open};
use tokio::sync::oneshot;

use crate::support::{config, copied, runtime};

const LENGTH: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

fn main() {
    let mut out = std::io::stdout();
    let directory = tempfile::tempdir().expect("a directory");
    let keys = Keys::derive(&[7; 32]);
    let seal = per_call(20_000, |number| placement(&keys, number));
    writeln!(out, "tag and placement: {seal:.0} ns").expect("stdout");
    let id = CustomerId::new("customer-4711-of-assistant").expect("an ID");
    let tag = per_call(200_000, |_| keys.tag(&id));
    let key = placement(&keys, 1).key;
    let seal = per_call(50_000, |_| keys.seal_row(&id, key, b"\0\x10assistants/a123\0"));
    writeln!(out, "tag {tag:.0} ns, seal of a row {seal:.0} ns").expect("stdout");
    writeln!(out, "fdatasync of 64 B, one after another: {:.0}/s", bare_sync(directory.path())).expect("stdout");
    for waiting in [1, 16, 128, 1024] {
        let mut ratios = Vec::new();
        for round in 0..ROUNDS {
            let bare = bare_sled(&directory.path().join(format!("bare-{waiting}-{round}")), waiting);
            let (ours, syncs) = ours(&directory.path().join(format!("ours-{waiting}-{round}")), waiting);
            ratios.push(ours / bare);
            writeln!(out, "{waiting:>5} at once: bare sled + fdatasync {bare:>7.0}/s, store {ours:>7.0}/s in {syncs:>6.0} syncs/s, ratio {:.2}", ours / bare).expect("stdout");
        }
        let again = opened_again(&directory.path().join(format!("ours-{waiting}-0")));
        writeln!(out, "{waiting:>5} at once: {again}").expect("stdout");
        ratios.sort_by(f64::total_cmp);
        writeln!(out, "{waiting:>5} at once: median ratio {:.2}", ratios.get(ROUNDS / 2).copied().unwrap_or(f64::NAN))
            .expect("stdout");
    }
}

fn per_call<T>(calls: u32, mut call: impl FnMut(u64) -> T) -> f64 {
    let start = Instant::now();
    for number in 0..calls {
        black_box(call(u64::from(number)));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

fn placement(keys: &Keys, number: u64) -> Placement {
    let id = CustomerId::new(&format!("customer-{number:012}")).expect("an ID");
    let key = PairKey {
        tag: keys.tag(&id),
        upstream: UpstreamNumber(1),
        form: LabelForm::RAW,
        resource: ResourceHash(number.to_be_bytes()),
        instance: InstanceHash::DEFAULT,
    };
    Placement {
        key,
        id,
        resource: "assistants/a123".into(),
        instance: Instance::default(),
        wire: None,
        api: Some(2),
        seen: UnixSeconds(1_800_000_000),
    }
}

fn bare_sync(directory: &Path) -> f64 {
    let mut file =
        OpenOptions::new().create(true).append(true).mode(0o600).open(directory.join("sync")).expect("a file");
    let (start, mut count) = (Instant::now(), 0.0);
    while start.elapsed() < LENGTH {
        file.write_all(&[7; 64]).and_then(|()| file.sync_data()).expect("a sync");
        count += 1.0;
    }
    count / start.elapsed().as_secs_f64()
}

/// `waiting` tasks on one runtime, each of which waits for its row before it sends the next.
fn rows_per_second<W: Future<Output = ()> + 'static>(waiting: u64, write: impl Fn(u64) -> W + Copy + 'static) -> f64 {
    let runtime = runtime();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let start = Instant::now();
        let tasks: Vec<_> = (0..waiting)
            .map(|task| {
                tokio::task::spawn_local(async move {
                    let mut count = 0;
                    while start.elapsed() < LENGTH {
                        write((task << 40) + count).await;
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let mut total = 0;
        for task in tasks {
            total += task.await.expect("a task");
        }
        #[allow(clippy::cast_precision_loss, reason = "a count of seconds' worth of rows")]
        let total = total as f64;
        total / start.elapsed().as_secs_f64()
    })
}

fn ours(directory: &Path, waiting: u64) -> (f64, f64) {
    let store: &'static Opened = Box::leak(Box::new(open(&config(directory)).expect("a store")));
    let rate = rows_per_second(waiting, move |number| async move {
        store.index.record(placement(&store.keys, number)).await.expect("a row");
    });
    #[allow(clippy::cast_precision_loss, reason = "a count of seconds' worth of syncs")]
    let syncs = runtime().block_on(store.index.figures()).expect("figures").syncs as f64;
    (rate, syncs / LENGTH.as_secs_f64())
}

/// How long opening takes after a kill: a copy of the files of a store that is still open.
fn opened_again(directory: &Path) -> String {
    copied(directory, &directory.with_extension("copy"));
    let start = Instant::now();
    let store = open(&config(&directory.with_extension("copy"))).expect("a store");
    let took = start.elapsed();
    let rows = runtime().block_on(store.index.figures()).expect("figures").rows;
    format!("opened again after a kill, {rows} rows counted, in {took:?}")
}

type Row = (Vec<u8>, Vec<u8>, oneshot::Sender<()>);

/// The same rows, unsealed, through the same batches: what sled and the disk give at best.
fn bare_sled(directory: &Path, waiting: u64) -> f64 {
    let db = sled::Config::new().path(directory).cache_capacity(64 << 20).flush_every_ms(None).open().expect("sled");
    let tree = db.open_tree("rows").expect("a tree");
    let data = OpenOptions::new().write(true).open(directory.join("db")).expect("its file");
    let (sender, receiver) = mpsc::sync_channel::<Row>(16_384);
    let writer = std::thread::spawn(move || {
        while let Ok(first) = receiver.recv() {
            let mut batch = vec![first];
            batch.extend(receiver.try_iter().take(511));
            for (key, value, _) in &batch {
                tree.insert(key, value.as_slice()).expect("an insert");
            }
            db.flush().expect("a flush");
            data.sync_data().expect("a sync");
            for (_, _, done) in batch {
                done.send(()).expect("somebody who waits");
            }
        }
    });
    let keys = Arc::new(Keys::derive(&[7; 32]));
    let state: &'static _ = Box::leak(Box::new((sender, keys)));
    let rate = rows_per_second(waiting, move |number| async move {
        let (done, answer) = oneshot::channel();
        let fact = placement(&state.1, number);
        state.0.try_send((fact.key.to_bytes().to_vec(), vec![7; 64], done)).expect("room");
        answer.await.expect("an answer");
    });
    drop(writer);
    rate
}
