//! A real PgBouncer in transaction mode before the server: each transaction may get another of its connections.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};

use forgetgate::config::{Engine, Store};
use forgetgate::domain::{CustomerId, Instance, InstanceHash, LabelForm, PairKey, UnixSeconds, UpstreamNumber};
use forgetgate::store::{Opened, Placement, Server, StoredJob, open_or_make};
use uuid::Uuid;

use crate::connect::{config, said};
use crate::server::{PASSWORD, Postgres, USER, as_nobody, folder, given};

/// Runs it until no more can come, and removes what is left of it.
const KEEPER: &str = r#"
"$2" "$1/pooler.ini" 2>&1 < /dev/null &
pid=$!
cat > /dev/null
kill -TERM "$pid"
wait
rm -rf "$1"
"#;

struct Pooler {
    port: u16,
    keeper: Child,
    end: Option<ChildStdin>,
}

impl Pooler {
    /// With two connections to the server, whoever many connect.
    fn before(postgres: &Postgres) -> Self {
        let folder = folder();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let written = |name: &str, text: &str| {
            fs::write(folder.join(name), text).unwrap();
            given(&folder.join(name));
        };
        written("users.txt", &format!("\"{USER}\" \"{PASSWORD}\"\n"));
        written(
            "pooler.ini",
            &format!(
                "[databases]\npostgres = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 2\n",
                postgres.port(),
                folder.join("users.txt").display(),
            ),
        );
        let mut keeper = as_nobody("sh".into());
        keeper.args(["-c", KEEPER, "keeper"]).arg(&folder).arg(program());
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let end = keeper.stdin.take();
        let mut lines = BufReader::new(keeper.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("process up")), "it does not start");
        // It goes on talking, and must not be left with nobody to listen.
        std::thread::spawn(move || lines.for_each(drop));
        Self { port, keeper, end }
    }

    fn url(&self) -> String {
        Postgres::shared().url_at(&format!("127.0.0.1:{}", self.port))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.end.take());
        self.keeper.wait().unwrap();
    }
}

fn program() -> PathBuf {
    let found = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].map(PathBuf::from).into_iter().find(|path| path.exists());
    found.expect("PgBouncer is not installed: apt-get install pgbouncer (tests/run does it)")
}

#[tokio::test]
async fn sessions_behind_a_pooler_share_its_connections() {
    let pooler = Pooler::before(Postgres::shared());
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&config(folder.path(), &pooler.url()));
    let mut sessions = Vec::new();
    for _ in 0..8 {
        sessions.push(said(server.connect().await).unwrap());
    }
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..5 {
        for session in &sessions {
            let row =
                session.client.query_typed_one("SELECT pg_backend_pid(), current_setting('statement_timeout')", &[]);
            let row = row.await.unwrap_or_else(|error| panic!("{round}: {error:?}"));
            seen.insert(row.get::<_, i32>(0));
            assert_eq!(row.get::<_, &str>(1), "0", "it refuses settings of a session");
        }
    }
    assert!(seen.len() <= 2, "{seen:?}");
}

/// P3 and P5: a store behind a pooler keeps what it acknowledges, and is opened again with all of it.
#[test]
fn p5_a_store_behind_a_pooler_keeps_what_it_acknowledges() {
    let pooler = Pooler::before(Postgres::shared());
    let folder = tempfile::tempdir().unwrap();
    let postgres = forgetgate::config::Postgres { schema: "pooled".to_owned(), ..config(folder.path(), &pooler.url()) };
    let key_file = folder.path().join("key");
    let config = Store { engine: Engine::Postgres, key_file, postgres: Some(postgres), ..Store::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let now = UnixSeconds(1_800_000_000);
    let job = |store: &Opened, number: u128| StoredJob {
        id: Uuid::from_u128(number),
        tag: store.keys.tag(&customer(1)),
        finished: false,
        received: now,
        of: None,
        accepted: 0,
        version: 0,
        summary: vec![1],
        body: vec![2],
    };
    let store = open_or_make(&config).unwrap();
    runtime.block_on(async {
        let facts = (0..200).map(|number| store.index.record(fact(&store, number, now)));
        for recorded in futures_util::future::join_all(facts).await {
            recorded.unwrap();
        }
        for number in 1..=20 {
            assert!(store.jobs.create(job(&store, number)).await.unwrap());
            assert!(!store.jobs.create(job(&store, number)).await.unwrap(), "its ID is taken");
        }
    });
    drop(store);
    let store = open_or_make(&config).unwrap();
    runtime.block_on(async {
        for number in 0..200 {
            let id = customer(number);
            let rows = store.index.rows(&store.keys.tags_all_epochs(&id), &id).await.unwrap();
            assert_eq!(rows.iter().map(|row| &*row.resource).collect::<Vec<_>>(), ["a/b"]);
        }
        let listed = store.jobs.unfinished_of(&[store.keys.tag(&customer(1))]).await.unwrap();
        assert_eq!(listed.len(), 20);
    });
}

fn customer(number: u32) -> CustomerId {
    CustomerId::new(&format!("customer-{number}")).unwrap()
}

fn fact(store: &Opened, number: u32, seen: UnixSeconds) -> Placement {
    let id = customer(number);
    let tag = store.keys.tag(&id);
    let resource = store.keys.resource_hash(tag, "a/b");
    let (upstream, form) = (UpstreamNumber(1), LabelForm::RAW);
    Placement {
        key: PairKey { tag, upstream, form, resource, instance: InstanceHash::DEFAULT },
        id,
        resource: "a/b".into(),
        instance: Instance::default(),
        wire: None,
        api: None,
        seen,
    }
}
