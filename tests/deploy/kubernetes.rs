//! The gates of deploy/kubernetes start with the configuration that they are given, in the right order, and end in
//! time.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::kustomize::{build, list, text};
use crate::read;
use crate::references::{containers, folder, folders, object, workloads};

const OVERLAYS: [&str; 3] = ["overlays/sidecar-sled", "overlays/sidecar-postgres", "overlays/gateway-postgres"];
const SHARING: [&str; 2] = ["overlays/sidecar-postgres", "overlays/gateway-postgres"];

/// What an overlay makes: its objects, its gates, and their configuration.
struct Overlay {
    name: &'static str,
    made: Vec<Value>,
}

impl Overlay {
    fn of(name: &'static str) -> Self {
        Self { name, made: build(&folder(name)) }
    }

    fn config(&self) -> &str {
        text(object(&self.made, "ConfigMap"), "/data/config.toml")
    }

    fn table(&self) -> toml::Table {
        self.config().parse().expect("the config is TOML")
    }

    fn workload(&self) -> &Value {
        let all = workloads(&self.made);
        assert_eq!(all.len(), 1, "{}", self.name);
        all[0]
    }

    fn container(&self, name: &str) -> &Value {
        let all = containers(self.workload());
        all.into_iter().find(|one| text(one, "/name") == name).unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }

    fn grace(&self) -> i64 {
        self.workload()["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or_default()
    }
}

fn seconds(table: &toml::Table, pointer: [&str; 2], default: i64) -> i64 {
    let written = table.get(pointer[0]).and_then(|section| section.get(pointer[1])).and_then(toml::Value::as_str);
    written.map_or(default, |text| text.strip_suffix('s').and_then(|text| text.parse().ok()).expect("it is in seconds"))
}

/// Runs `forgetgate check` on a config whose secrets lie in `secrets` there and in a folder here.
fn check(config: &str, secrets: &str) -> Output {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be made");
    for name in secret_files(config, secrets) {
        let path = folder.path().join(name);
        fs::write(&path, "a1".repeat(32)).expect("a secret can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a secret can be made private");
    }
    let here = config.replace(secrets, &folder.path().display().to_string());
    let path = folder.path().join("config.toml");
    fs::write(&path, here).expect("the config can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_forgetgate"));
    command.args(["check", "--config"]).arg(&path).env("DATABASE_URL", database_url());
    command.output().expect("forgetgate can be run")
}

/// The URL that the README writes for the gates.
fn database_url() -> String {
    let readme = read("deploy/kubernetes/README.md");
    let urls = readme.split("--from-literal=DATABASE_URL=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let url = urls.into_iter().find(|url| url.starts_with("postgres://forgetgate:")).expect("the README writes a URL");
    url.replace("$GATE_PASSWORD", "made-up")
}

/// The names of the files in this folder that a config names.
fn secret_files(config: &str, folder: &str) -> Vec<String> {
    let folder = format!("{folder}/");
    let after = config.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split(&folder).skip(1));
    after.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// P11: the configs in the manifests are ones that this version takes.
#[test]
fn the_configs_of_the_manifests_are_accepted() {
    for overlay in OVERLAYS.map(Overlay::of) {
        let output = check(overlay.config(), "/run/forgetgate");

        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}: {said}\n{errors}", overlay.name);
        assert!(said.contains("assistant"), "check shows no upstream: {said}\n{errors}");
        assert_eq!(said.contains("PostgreSQL"), SHARING.contains(&overlay.name), "{}: {said}", overlay.name);
    }
}

/// The check above can fail: the same config with a key that nobody knows is refused with exit code 3.
#[test]
fn a_config_with_an_unknown_key_is_refused() {
    let config = Overlay::of("overlays/sidecar-sled").config().replace("drain_timeout", "drain_patience");

    let output = check(&config, "/run/forgetgate");

    assert_eq!(output.status.code(), Some(3));
    let said = [output.stdout, output.stderr].concat();
    assert!(String::from_utf8_lossy(&said).contains("drain_patience"));
}

#[test]
fn the_secrets_come_before_the_gate_and_a_sidecar_before_the_application() {
    for overlay in OVERLAYS.map(Overlay::of) {
        let names: Vec<&str> = containers(overlay.workload()).iter().map(|one| text(one, "/name")).collect();
        let is_sidecar = overlay.name.contains("sidecar");
        let order: &[&str] = if is_sidecar {
            &["forgetgate-secrets", "forgetgate", "shop"]
        } else {
            &["forgetgate-secrets", "forgetgate"]
        };
        assert_eq!(names, order, "{}", overlay.name);
        assert_eq!(text(overlay.container("forgetgate"), "/restartPolicy") == "Always", is_sidecar, "{}", overlay.name);
    }
}

#[test]
fn every_secret_that_the_config_names_is_given_to_the_gate() {
    for overlay in OVERLAYS.map(Overlay::of) {
        let args = list(overlay.container("forgetgate-secrets"), "/args").iter().filter_map(Value::as_str);
        let copied: BTreeSet<&str> = args.filter_map(|path| path.strip_prefix("/secrets/")).collect();
        let needed = secret_files(overlay.config(), "/run/forgetgate");
        assert_eq!(copied, needed.iter().map(String::as_str).collect(), "{}", overlay.name);
        let env = list(overlay.container("forgetgate"), "/env").iter().map(|variable| text(variable, "/name"));
        let is_shared = SHARING.contains(&overlay.name);
        assert_eq!(env.collect::<Vec<_>>(), if is_shared { vec!["DATABASE_URL"] } else { vec![] }, "{}", overlay.name);
    }
}

#[test]
fn probes_ask_the_admin_port_whether_the_gate_is_ready() {
    for overlay in OVERLAYS.map(Overlay::of) {
        let (gate, config) = (overlay.container("forgetgate"), overlay.table());
        let admin = config["admin"]["address"].as_str().unwrap_or_default();
        let named = |name: &str| {
            list(gate, "/ports").iter().find(|port| port["name"] == name).map(|port| &port["containerPort"])
        };
        let port = named("admin").and_then(Value::as_i64).unwrap_or_default();
        assert!(admin.ends_with(&format!(":{port}")), "the probes ask port {port}, the admin API is at {admin}");
        for (probe, path) in [("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")]
        {
            let asked = &gate[probe]["httpGet"];
            assert_eq!((text(asked, "/port"), text(asked, "/path")), ("admin", path), "{}: {probe}", overlay.name);
        }
        let listen = config["listen"][0]["address"].as_str().unwrap_or_default();
        match named("http") {
            Some(port) => assert_eq!(listen, format!("0.0.0.0:{port}")),
            None => assert!(listen.starts_with("127.0.0.1:"), "a sidecar is for its own pod: {listen}"),
        }
    }
}

/// A gate that is killed before it has drained and taken leave delays erasures at all others.
#[test]
fn gates_are_given_the_time_that_they_need_to_end() {
    for overlay in OVERLAYS.map(Overlay::of) {
        let config = overlay.table();
        let drain = seconds(&config, ["limits", "drain_timeout"], 30);
        let leaving = if SHARING.contains(&overlay.name) { 2 * seconds(&config, ["store", "ttl"], 5) } else { 0 };
        let pause = list(overlay.container("forgetgate"), "/lifecycle/preStop/exec/command").get(1);
        let pause: i64 = pause.and_then(Value::as_str).map_or(0, |text| text.parse().expect("it is in seconds"));
        // A sidecar ends after the application, which is given as long as the gate.
        let before = if overlay.name.contains("sidecar") { drain } else { pause };
        let grace = overlay.grace();
        assert!(grace > before + drain + leaving, "{}: killed after {grace} s, before it could end", overlay.name);
    }
}

/// P4: on sled there is one gate, with a volume that outlives it.
#[test]
fn only_gates_that_share_their_index_are_several() {
    for overlay in OVERLAYS.map(Overlay::of) {
        let (config, workload) = (overlay.table(), overlay.workload());
        let engine = config["store"].get("engine").and_then(toml::Value::as_str).unwrap_or("sled");
        if SHARING.contains(&overlay.name) {
            assert_eq!((engine, workload["spec"]["replicas"].as_i64()), ("postgres", Some(3)), "{}", overlay.name);
            continue;
        }
        assert_eq!((engine, workload["spec"]["replicas"].as_i64()), ("sled", Some(1)), "{}", overlay.name);
        assert_eq!(workload["kind"], "StatefulSet");
        let path = config["store"]["path"].as_str().unwrap_or_default();
        let mounts = list(overlay.container("forgetgate"), "/volumeMounts");
        let mount =
            mounts.iter().find(|mount| path.starts_with(text(mount, "/mountPath"))).expect("the store is on a volume");
        let claims = list(workload, "/spec/volumeClaimTemplates");
        assert!(
            claims.iter().any(|claim| text(claim, "/metadata/name") == text(mount, "/name")),
            "it is lost with the pod"
        );
    }
}

/// P4: whichever gate goes on with an erasure reaches the same index and the same services.
#[test]
fn gates_that_share_their_index_have_the_same_store_and_services() {
    let [one, other] = SHARING.map(|name| Overlay::of(name).table());
    for section in ["store", "upstream", "limits"] {
        assert_eq!(one[section], other[section], "{section}");
    }
}

/// The job makes the tables that the gates read.
#[test]
fn tables_are_made_where_the_gates_look_for_them() {
    let job = Overlay::of("database/migrate");
    let schema = |config: &toml::Table| config["store"].get("schema").cloned();

    let output = check(job.config(), "/run/forgetgate");

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    assert_eq!(schema(&job.table()), schema(&Overlay::of(SHARING[0]).table()));
}

/// A database that has lost its tables must be noticed: nothing that is applied all the time makes them.
#[test]
fn tables_are_made_only_by_a_job_of_its_own() {
    for folder in folders() {
        let made = build(&folder);
        let all = workloads(&made).into_iter().flat_map(containers);
        let migrating = all.filter(|one| list(one, "/args").iter().any(|arg| arg == "migrate" || arg == "--new-store"));
        assert_eq!(migrating.count(), usize::from(folder.ends_with("migrate")), "{}", folder.display());
    }
}
