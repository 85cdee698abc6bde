//! Durable rows per second through the store on a PostgreSQL of its own, next to what a bare client that sends the same columns
//! in the same batches gets out of the same server in the same run. Ratios count, not figures: `cargo bench --bench postgres`.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock itself")]

#[path = "../postgres/server.rs"]
mod server;
#[allow(dead_code, reason = "several benches share it, and each uses a part")]
mod support;

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forgetgate::config::{Engine, Postgres as Config, Secret, Store, UpstreamTls};
use forgetgate::domain::{
    CustomerId, Instance, InstanceHash, LabelForm, PairKey, ResourceHash, UnixSeconds, UpstreamNumber,
};
use forgetgate::store::seal::Keys;
use forgetgate::store::{Opened, Placement, open};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::NoTls;
use tokio_postgres::types::Type;

use crate::server::Postgres;
use crate::support::{config, runtime};

const LENGTH: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;

/// Rows of one run are new in the next.
static RUN: AtomicU64 = AtomicU64::new(0);

fn main() {
    let mut out = std::io::stdout();
    let server = Postgres::start(&["max_wal_size = '2GB'", "shared_buffers = '256MB'"]);
    let directory = tempfile::tempdir().expect("a directory");
    let store: &'static Opened = Box::leak(Box::new(opened(&server, directory.path())));
    let bare = bare_client(&server);
    let only: Option<u64> = std::env::var("FORGETGATE_WAITING").ok().and_then(|waiting| waiting.parse().ok());
    for waiting in [1, 16, 128, 1024].into_iter().filter(|waiting| only.is_none_or(|only| only == *waiting)) {
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let bare = rows_per_second(waiting, move |number| async move {
                let (done, answer) = oneshot::channel();
                bare.send((number, done)).await.expect("room");
                answer.await.expect("an answer");
            });
            let ours = rows_per_second(waiting, move |number| async move {
                store.index.record(placement(&store.keys, number)).await.expect("a row");
            });
            ratios.push(ours / bare);
            writeln!(
                out,
                "{waiting:>5} at once: bare client {bare:>7.0}/s, store {ours:>7.0}/s, ratio {:.2}",
                ours / bare
            )
            .expect("stdout");
        }
        ratios.sort_by(f64::total_cmp);
        let median = ratios.get(ROUNDS / 2).copied().unwrap_or(f64::NAN);
        writeln!(out, "{waiting:>5} at once: median ratio {median:.2}").expect("stdout");
    }
}

fn opened(server: &Postgres, directory: &Path) -> Opened {
    let url = directory.join("url");
    std::fs::write(&url, server.url()).expect("a file");
    let postgres = Config {
        url: Secret::file(url),
        schema: "forgetgate".to_owned(),
        ttl: Duration::from_secs(5),
        notify_url: None,
        tls: UpstreamTls::default(),
    };
    open(&Store { engine: Engine::Postgres, postgres: Some(postgres), ..config(directory) }).expect("a store")
}

fn placement(keys: &Keys, number: u64) -> Placement {
    let id = CustomerId::new(&format!("customer-{number:016}")).expect("an ID");
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

/// `waiting` tasks on one runtime, each of which waits for its row before it sends the next.
fn rows_per_second<W: Future<Output = ()> + 'static>(waiting: u64, write: impl Fn(u64) -> W + Copy + 'static) -> f64 {
    let run = RUN.fetch_add(1, Ordering::Relaxed);
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime(), async move {
        let start = Instant::now();
        let tasks: Vec<_> = (0..waiting)
            .map(|task| {
                tokio::task::spawn_local(async move {
                    let mut count = 0;
                    while start.elapsed() < LENGTH {
                        write((run << 48) + (task << 32) + count).await;
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

type Bare = mpsc::Sender<(u64, oneshot::Sender<()>)>;

/// A thread that writes whatever waits in one statement, and wakes all who waited: rows of the same columns, made of nothing.
fn bare_client(server: &Postgres) -> &'static Bare {
    let (sender, mut receiver) = mpsc::channel::<(u64, oneshot::Sender<()>)>(16_384);
    let url = server.url();
    server.sql(
        "CREATE TABLE bare (tag bytea, upstream int4, form int2, resource bytea, instance bytea, first_seen int8, last_seen int8,
             erased_at int8, apis int8, layout int2, sealed bytea, written int8,
             PRIMARY KEY (tag, upstream, form, resource, instance))",
    );
    std::thread::spawn(move || {
        runtime().block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
            tokio::spawn(connection);
            let mut works = Vec::new();
            while receiver.recv_many(&mut works, 512).await > 0 {
                write_bare(&client, &works).await;
                works.drain(..).for_each(|(_, done)| done.send(()).expect("somebody who waits"));
            }
        });
    });
    Box::leak(Box::new(sender))
}

const BARE: &str = "\
INSERT INTO bare (tag, upstream, form, resource, instance, first_seen, last_seen, apis, layout, sealed, written)
SELECT n.*, 7 FROM unnest($1::bytea[], $2::int4[], $3::int2[], $4::bytea[], $5::bytea[], $6::int8[], $7::int8[], $8::int8[],
    $9::int2[], $10::bytea[]) AS n
ON CONFLICT (tag, upstream, form, resource, instance) DO UPDATE SET last_seen = excluded.last_seen";

async fn write_bare(client: &tokio_postgres::Client, works: &[(u64, oneshot::Sender<()>)]) {
    // Spread as hashes are.
    let spread = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    let tags: Vec<[u8; 16]> = works
        .iter()
        .map(|(number, _)| [spread(*number), number.to_be_bytes()].concat().try_into().expect("16 bytes"))
        .collect();
    let tags: Vec<&[u8]> = tags.iter().map(<[u8; 16]>::as_slice).collect();
    let numbers: Vec<[u8; 8]> = works.iter().map(|(number, _)| number.to_be_bytes()).collect();
    let resources: Vec<&[u8]> = numbers.iter().map(<[u8; 8]>::as_slice).collect();
    let count = works.len();
    let (upstreams, forms, layouts) = (vec![1_i32; count], vec![0_i16; count], vec![2_i16; count]);
    let (instances, times, apis) = (vec![&[0_u8; 8][..]; count], vec![1_800_000_000_i64; count], vec![4_i64; count]);
    let sealed = vec![&[7_u8; 50][..]; count];
    client
        .execute_typed(
            BARE,
            &[
                (&tags, Type::BYTEA_ARRAY),
                (&upstreams, Type::INT4_ARRAY),
                (&forms, Type::INT2_ARRAY),
                (&resources, Type::BYTEA_ARRAY),
                (&instances, Type::BYTEA_ARRAY),
                (&times, Type::INT8_ARRAY),
                (&times, Type::INT8_ARRAY),
                (&apis, Type::INT8_ARRAY),
                (&layouts, Type::INT2_ARRAY),
                (&sealed, Type::BYTEA_ARRAY),
            ],
        )
        .await
        .expect("a statement");
}
