//! P7: a customer's ID that nobody would write by chance is sent through every door, and then looked for wherever it must
//! not be: logs at their loudest, metrics, the admin API's answers, refusals, and every byte of the store's files.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use forgetgate::{config, store};
use forgetgate_stand_ins::{Kind, Options, Running, Seen, Silence};
use serde_json::{Value, json};

use crate::support::{Answer, Call, Gate, Setup, Site, eventually, service_for, service_of};

/// The canary's name, which stands in all of its IDs.
const NAME: &str = "zq7canary9kx";
const PERSONAL: &str = "zq7canary9kx@example.com";
const KEY: &str = "Basic YXBpa2V5OktFWQ==";

/// A service whose deletes settle at once, so that an erasure is over.
const QUICK: &str = r#"
[[profile]]
name = "quick"
source = "these tests"
error = "watson"
label = { header = "X-Watson-Metadata", field = "customer_id", grammar = "watson" }
settle = "0s"
[profile.erase]
call = "DELETE /v1/user_data"
query = { customer_id = "{id}" }
success = "2xx"
[[profile.endpoint]]
call = "POST /v1/recognize"
is = ["labelled"]
[[profile.endpoint]]
call = "DELETE /v1/user_data"
is = ["erase"]
"#;

struct Scene {
    gate: Gate,
    service: Running,
    assistant: Running,
    /// Everything that the gate said of its own, and nobody asked it to repeat.
    heard: Vec<(String, String)>,
}

/// The name in the forms in which bytes are written down.
fn needles() -> Vec<String> {
    let mut needles = vec![NAME.to_owned(), HEXLOWER.encode(NAME.as_bytes())];
    // Base64 of a text within another depends on where it begins; the letters at the edges depend on the neighbours.
    for before in 0..3 {
        let text = BASE64.encode(&[&b"\0\0\0"[..before], NAME.as_bytes(), b"\0\0"].concat());
        needles.push(text.to_ascii_lowercase()[4..text.len() - 4].to_owned());
    }
    needles
}

fn holds_canary(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    needles().iter().any(|needle| text.contains(needle))
}

impl Scene {
    fn new(format: &str) -> Self {
        let options = Options::basic("apikey", "KEY");
        let (service, assistant) = (service_for(options.clone()), service_of(Kind::Assistant, options));
        let credentials = "credentials = { apikey = { file = \"api.key\" } }";
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let mut setup = Setup::new([
            Site::new("speech", "quick", service.addr).with(credentials),
            Site::new("assistant", "watson-assistant", assistant.addr).with(credentials),
            Site::new("gone", "watson-speech-to-text", nowhere),
            Site::new("derived", "watson-assistant", assistant.addr).with(
                "[upstream.policy]\nmissing = \"derive\"\nderive = [{ json = \"/user_id\" }, { query = \"user\" }]",
            ),
        ]);
        setup.log = format!("format = \"{format}\"\nlevel = \"trace\"\naccess = true\n");
        setup.limits = "response_timeout = \"1s\"\n".to_owned();
        setup.erasure = "authorize = \"home\"\nerasures_per_minute = 1000\nbarrier_timeout = \"1s\"\n".to_owned();
        setup.more = QUICK.to_owned();
        let mut gate = Gate::idle(&setup);
        fs::write(gate.folder().join("api.key"), "KEY").unwrap();
        gate.restart();
        Self { gate, service, assistant, heard: Vec::new() }
    }

    /// Sends a call that must have this status; what the gate answers of its own is searched later.
    fn send(&mut self, what: &str, call: &Call, status: u16) -> Answer {
        let answer = call.send(self.gate.addr).unwrap();
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        self.heard.push((what.to_owned(), answer.text()));
        answer
    }

    fn admin(&mut self, what: &str, call: &Call, status: u16) -> Answer {
        let answer = call.send(self.gate.admin).unwrap();
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        self.heard.push((what.to_owned(), answer.text()));
        answer
    }

    /// Looks for the canary wherever it must not be.
    fn search(&mut self, when: &str) {
        for target in
            ["/metrics", "/readyz", "/api/v1/erasures", "/api/v1/upstreams", "/api/v1/config", "/api/v1/openapi.json"]
        {
            self.admin(target, &Call::get(target), 200);
        }
        let erasures = self.gate.get("/api/v1/erasures").json();
        for erasure in erasures["erasures"].as_array().unwrap() {
            let target = format!("/api/v1/erasures/{}", erasure["id"].as_str().unwrap());
            self.admin("an erasure", &Call::get(&target), 200);
        }
        for (what, text) in &self.heard {
            assert!(!holds_canary(text), "{when}, {what}: {text}");
        }
        self.search_log(when);
        let mut files = 0;
        search_files(&self.gate.folder().join("index"), &mut files);
        assert!(files > 1, "{when}: there is no store");
    }

    fn search_log(&self, when: &str) {
        let log = self.gate.log();
        assert!(log.contains("recognize"), "{when}: no line in the log is about a call: {log}");
        assert!(!holds_canary(&log), "{when}: {log}");
    }
}

fn search_files(folder: &Path, files: &mut usize) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search_files(&path, files);
            continue;
        }
        *files += 1;
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(!holds_canary(&text), "{}", path.display());
    }
}

fn audio(customer: &str) -> Call {
    Call::audio(customer).with("Authorization", KEY)
}

fn message(name: &str, body: &str) -> Call {
    let target = format!("/{name}/api/v1/workspaces/w1/message?version=2021-06-14");
    Call::new("POST", &target).with("Authorization", KEY).with("Content-Type", "application/json").body(body.as_bytes())
}

fn user_data(name: &str, query: &str) -> Call {
    Call::new("DELETE", &format!("/{name}/api/v1/user_data?{query}"))
}

/// Labels that pass, are rewritten, derived, refused, and cannot be delivered.
fn traffic(scene: &mut Scene) {
    scene.send("labelled", &audio(NAME), 200);
    scene.send("rewritten", &audio(PERSONAL), 200);
    scene.send("derived from a body", &message("derived", &json!({ "user_id": NAME }).to_string()), 200);
    scene.send("invalid", &audio(&format!("{NAME}=x")), 400);
    scene.send("two lines", &audio(NAME).label(NAME), 400);
    scene.send("a twin", &audio(NAME).with("X_Watson_Metadata", &format!("customer_id={NAME}")), 400);
    scene.send("nominated", &audio(NAME).with("Connection", "X-Watson-Metadata"), 400);
    let path = format!("/speech/api/v1//recognize/../{NAME}%2f");
    scene.send("an ambiguous path", &Call::new("POST", &path).label(NAME), 400);
    scene.send("no route", &Call::get(&format!("/{NAME}?customer_id={NAME}")), 404);
    let long = format!("/speech/api/v1/models?{}", format!("u={NAME}&").repeat(8000));
    drop(Call::get(&long).send(scene.gate.addr));
    let gone = Call::new("POST", "/gone/api/v1/recognize").label(NAME).body(b"a sound");
    scene.send("unreachable", &gone, 502);
    scene.send("own words", &audio(NAME).with("X-Request-Id", "fine").with("User-Agent", NAME), 200);
    scene.send("a method of one's own", &Call::new(&NAME.to_ascii_uppercase(), "/speech/api/v1/models"), 401);
    let filter = format!("/assistant/api/v1/logs?version=2021-06-14&filter=customer_id::{NAME}");
    let logs = Call::get(&filter).with("Authorization", KEY).send(scene.gate.addr).unwrap();
    assert!(logs.status < 500, "{}", logs.text());
    scene.service.hang(Silence::Calls);
    scene.send("timed out", &audio(NAME), 504);
    scene.service.hang(Silence::Nobody);
    scene.service.answer_calls_with(500, None);
    scene.send("failed", &audio(NAME), 500);
    scene.service.answer_as_usual();
}

/// Erasures that are refused, unauthorised and badly asked for.
fn vain_erasures(scene: &mut Scene) {
    scene.send("no authority", &user_data("speech", &format!("customer_id={NAME}")), 401);
    let twice = format!("customer_id={NAME}&customer_id={NAME}");
    scene.send("two IDs", &user_data("speech", &twice).with("Authorization", KEY), 400);
    scene.send("no home", &user_data("gone", &format!("customer_id={NAME}")), 503);
    let erasures = "/api/v1/erasures";
    for (what, body) in [
        ("not JSON", format!("{{{NAME}")),
        ("an unknown field", json!({ "customer_id": "x", NAME: 1 }).to_string()),
        ("another type", json!({ "customer_id": [NAME] }).to_string()),
        ("a bad time", json!({ "customer_id": NAME, "submitted_time": NAME }).to_string()),
        ("a personal reason", json!({ "customer_id": NAME, "reason": format!("asked by {NAME}") }).to_string()),
        ("no such upstream", json!({ "customer_id": NAME, "upstreams": [NAME] }).to_string()),
    ] {
        let call = Call::new("POST", erasures).with("Content-Type", "application/json").body(body.as_bytes());
        let answer = call.send(scene.gate.admin).unwrap();
        assert!((400..500).contains(&answer.status), "{what}: {}", answer.text());
        scene.heard.push((what.to_owned(), answer.text()));
    }
    scene.admin("an ID in a query", &Call::get(&format!("/api/v1/upstreams?customer_id={NAME}")), 400);
    scene.admin("an ID in a path", &Call::get(&format!("/api/v1/erasures/{NAME}")), 404);
    scene.admin("an unknown path", &Call::get(&format!("/api/{NAME}")), 404);
    scene.admin("a dry run", &Call::admin(erasures, &json!({ "customer_id": NAME, "dry_run": true })), 200);
    scene.admin("recipients", &Call::admin("/api/v1/recipients", &json!({ "customer_id": NAME })), 200);
}

/// Erasures in every state, each with its ID sealed in the store.
fn erasures(scene: &mut Scene) {
    let authorised = |query: &str| user_data("speech", query).with("Authorization", KEY);
    for (status, state) in [(500, "retrying"), (401, "blocked"), (404, "refused")] {
        scene.service.answer_deletes_with(status, None);
        let body = json!({ "customer_id": NAME, "upstreams": ["speech"] });
        let id =
            scene.admin(state, &Call::admin("/api/v1/erasures", &body), 202).json()["id"].as_str().unwrap().to_owned();
        scene.gate.until(&id, state, |erasure| erasure["targets"][0]["state"] == state);
        scene.search(state);
    }
    scene.service.answer_as_usual();
    scene.service.hang(Silence::Deletes);
    let held = user_data("speech", &format!("customer_id={NAME}")).with("Authorization", KEY);
    drop(held.begin(scene.gate.addr).unwrap());
    scene.service.hang(Silence::Nobody);
    for customer in [NAME, PERSONAL] {
        let answer = scene.send("accepted", &authorised(&format!("customer_id={customer}")), 200);
        let id = answer.header("forgetgate-erasure").unwrap().to_owned();
        let retry = Call::admin(&format!("/api/v1/erasures/{id}/retry"), &json!({ "by": "Ada" }));
        drop(retry.send(scene.gate.admin).unwrap());
        scene.gate.until(&id, "erased at speech", |erasure| {
            let targets = erasure["targets"].as_array().unwrap();
            let here = |target: &&Value| target["upstream"] == "speech";
            targets.iter().any(|target| here(&target))
                && targets.iter().filter(here).all(|target| target["state"] == "settled")
        });
    }
}

fn everything(format: &str) {
    let mut scene = Scene::new(format);
    traffic(&mut scene);
    let arrived = |service: &Running| {
        let told = |seen: &Seen| holds_canary(&String::from_utf8_lossy(&seen.head));
        service.seen().iter().filter(|seen| told(seen)).count()
    };
    assert!(arrived(&scene.service) >= 4 && arrived(&scene.assistant) >= 1, "the canary did reach the services");
    scene.search("after traffic");
    vain_erasures(&mut scene);
    scene.search("after vain erasures");
    erasures(&mut scene);
    scene.search("after erasures");
    scene.gate.kill();
    eventually("the log is read to its end", || scene.gate.log().ends_with('\n'));
    scene.search_log("killed");
    scene.gate.restart();
    scene.service.delay(Duration::ZERO..Duration::from_millis(1));
    scene.send("after a restart", &audio(NAME), 200);
    scene.search("after a restart");
    assert_eq!(scene.gate.stop().code(), Some(0));
    search_files(&scene.gate.folder().join("index"), &mut 0);
    search_erasures(scene.gate.folder());
}

/// Whoever has the key opens every body of an erasure that is still in the store. As long as an erasure is under way its
/// ID is in there; once it is over, no entry has it any more. (The engine's file may keep the bytes of removed entries;
/// they are sealed.)
fn search_erasures(folder: &Path) {
    let opened = store::open(&kept(folder)).unwrap();
    let keys = Arc::clone(&opened.keys);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let jobs = runtime.block_on(opened.jobs.jobs(None, 10_000)).unwrap();
    let (mut over, mut under_way) = (0, 0);
    for (id, body) in jobs.into_iter().map(|job| (job.id, job.body)) {
        let body: Value = serde_json::from_slice(&keys.open_job(id, &body).unwrap()).unwrap();
        let Some(erasure) = body["body"].get("erasure") else { continue };
        let sealed = erasure["sealed"].as_str().map(|sealed| BASE64.decode(sealed.as_bytes()).unwrap());
        assert!(!holds_canary(&body.to_string()), "in what is sealed together there is no ID in the clear: {body}");
        if erasure["job"]["done"].is_null() {
            let opened = keys.open_job(id, &sealed.expect("a retry needs the ID")).unwrap();
            assert!(holds_canary(std::str::from_utf8(&opened).unwrap()));
            under_way += 1;
        } else {
            assert_eq!(sealed, None, "the ID of an erasure that is over");
            over += 1;
        }
    }
    assert!(over > 0 && under_way > 0, "{over} over, {under_way} under way");
}

fn kept(folder: &Path) -> config::Store {
    config::Store {
        engine: config::Engine::Sled,
        path: folder.join("index"),
        key_file: folder.join("index.key"),
        lease: Duration::from_secs(600),
        cache_entries: 1000,
        cache_bytes: 16 << 20,
        snapshot: None,
        postgres: None,
    }
}

#[test]
fn p7_no_sink_holds_the_id_of_a_customer_and_the_log_is_text() {
    everything("text");
}

#[test]
fn p7_no_sink_holds_the_id_of_a_customer_and_the_log_is_json() {
    everything("json");
}

/// The search itself: what it must find, it finds.
#[test]
fn p7_the_canary_would_be_found() {
    for text in [NAME.to_uppercase(), BASE64.encode(format!("x{NAME}y").as_bytes()), HEXLOWER.encode(NAME.as_bytes())] {
        assert!(holds_canary(&format!("line of a log: {text}.")), "{text}");
    }
}
