//! What one object of a kustomization says of another is so: names, keys, labels, ports, and files that somebody uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kustomize::{build, documents, list, text};
use crate::{read, root};

/// Everything that can be given to `kubectl apply -k`.
pub(crate) fn folders() -> Vec<PathBuf> {
    let all = ["overlays/sidecar-sled", "overlays/sidecar-postgres", "overlays/gateway-postgres"];
    all.into_iter().chain(["database/trial", "database/migrate"]).map(folder).collect()
}

pub(crate) fn folder(name: &str) -> PathBuf {
    root().join("deploy/kubernetes").join(name)
}

/// The one object of a kind and name.
pub(crate) fn object<'a>(made: &'a [Value], kind: &str) -> &'a Value {
    let mut found = made.iter().filter(|one| text(one, "/kind") == kind);
    let first = found.next().unwrap_or_else(|| panic!("there is no {kind}"));
    assert!(found.next().is_none(), "there are several of {kind}");
    first
}

/// What runs pods.
pub(crate) fn workloads(made: &[Value]) -> Vec<&Value> {
    made.iter().filter(|one| ["Deployment", "StatefulSet", "Job"].contains(&text(one, "/kind"))).collect()
}

/// All containers of a workload, in the order in which they start.
pub(crate) fn containers(workload: &Value) -> Vec<&Value> {
    let pod = "/spec/template/spec";
    let first = list(workload, &format!("{pod}/initContainers"));
    first.iter().chain(list(workload, &format!("{pod}/containers"))).collect()
}

fn ports(workload: &Value) -> Vec<&Value> {
    containers(workload).into_iter().flat_map(|container| list(container, "/ports")).collect()
}

/// Whether a selector chooses the pods of this workload.
fn chooses(selector: Option<&Value>, workload: &Value) -> bool {
    let wanted = selector.and_then(Value::as_object).expect("there is a selector");
    let labels = &workload["spec"]["template"]["metadata"]["labels"];
    assert!(!wanted.is_empty(), "a selector that chooses everything");
    wanted.iter().all(|(label, value)| labels.get(label) == Some(value))
}

/// The secrets that the README makes, and the keys of each.
fn secrets() -> BTreeMap<String, BTreeSet<String>> {
    let readme = read("deploy/kubernetes/README.md");
    let commands = readme.split("kubectl create secret generic ").skip(1);
    let one = |rest: &str| {
        let command = rest.split("\n\n").next().unwrap_or_default().split("```").next().unwrap_or_default();
        let name = command.split_whitespace().next().expect("a secret has a name").to_owned();
        let keys = command.split("--from-literal=").skip(1).filter_map(|key| key.split('=').next());
        (name, keys.map(str::to_owned).collect())
    };
    commands.map(one).collect()
}

#[test]
fn every_secret_and_config_map_that_is_used_is_made() {
    let secrets = secrets();
    for folder in folders() {
        let made = build(&folder);
        let maps: Vec<&str> = made
            .iter()
            .filter(|one| text(one, "/kind") == "ConfigMap")
            .map(|one| text(one, "/metadata/name"))
            .collect();
        for workload in workloads(&made) {
            for volume in list(workload, "/spec/template/spec/volumes") {
                let (map, secret) = (text(volume, "/configMap/name"), text(volume, "/secret/secretName"));
                assert!(map.is_empty() || maps.contains(&map), "{}: no ConfigMap {map}", folder.display());
                assert!(secret.is_empty() || secrets.contains_key(secret), "the README makes no secret {secret}");
            }
            for variable in containers(workload).into_iter().flat_map(|container| list(container, "/env")) {
                let (name, key) =
                    (text(variable, "/valueFrom/secretKeyRef/name"), text(variable, "/valueFrom/secretKeyRef/key"));
                let is_made = secrets.get(name).is_some_and(|keys| keys.contains(key));
                assert!(variable.get("value").is_some() || is_made, "the README makes no {key} in {name}");
            }
            for container in containers(workload) {
                let mounts = list(container, "/volumeMounts").iter();
                let mount = mounts.clone().find(|mount| text(mount, "/mountPath") == "/secrets");
                for path in list(container, "/args").iter().filter_map(Value::as_str) {
                    let Some(key) = path.strip_prefix("/secrets/") else { continue };
                    let volumes = list(workload, "/spec/template/spec/volumes").iter();
                    let volume = volumes.clone().find(|one| Some(&one["name"]) == mount.map(|mount| &mount["name"]));
                    let secret = volume.map(|volume| text(volume, "/secret/secretName")).unwrap_or_default();
                    assert!(secrets[secret].contains(key), "the README makes no {key} in {secret}");
                }
            }
        }
    }
}

#[test]
fn every_mount_has_its_volume_and_nothing_else_can_be_written() {
    for folder in folders() {
        let made = build(&folder);
        for workload in workloads(&made) {
            let claims = list(workload, "/spec/volumeClaimTemplates").iter().map(|claim| text(claim, "/metadata/name"));
            let volumes = list(workload, "/spec/template/spec/volumes").iter().map(|volume| text(volume, "/name"));
            let there: BTreeSet<&str> = claims.chain(volumes).collect();
            let mut used = BTreeSet::new();
            for container in containers(workload) {
                let name = text(container, "/name");
                used.extend(list(container, "/volumeMounts").iter().map(|mount| text(mount, "/name")));
                if name == "shop" {
                    continue;
                }
                let context = &container["securityContext"];
                assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            }
            assert_eq!(used, there, "{}: what is mounted, and the volumes", folder.display());
        }
    }
}

#[test]
fn selectors_choose_the_pods_that_are_meant_and_ports_are_theirs() {
    for folder in folders() {
        let made = build(&folder);
        let workloads = workloads(&made);
        for workload in &workloads {
            if let Some(selector) = workload.pointer("/spec/selector/matchLabels") {
                assert!(chooses(Some(selector), workload), "{}: a workload without pods", folder.display());
            }
            for spread in list(workload, "/spec/template/spec/topologySpreadConstraints") {
                assert!(chooses(spread.pointer("/labelSelector/matchLabels"), workload), "{}", folder.display());
            }
        }
        for one in &made {
            let (kind, name) = (text(one, "/kind"), text(one, "/metadata/name"));
            let selector = match kind {
                "Service" => one.pointer("/spec/selector"),
                "PodDisruptionBudget" => one.pointer("/spec/selector/matchLabels"),
                "NetworkPolicy" => one.pointer("/spec/podSelector/matchLabels"),
                _ => continue,
            };
            let chosen: Vec<&&Value> = workloads.iter().filter(|workload| chooses(selector, workload)).collect();
            assert_eq!(chosen.len(), 1, "{kind} {name} is for so many workloads");
            let ports: Vec<&Value> = chosen.iter().flat_map(|workload| ports(workload)).collect();
            for port in list(one, "/spec/ports").iter().map(|port| &port["targetPort"]) {
                assert!(ports.iter().any(|known| known["name"] == *port), "{kind} {name}: no port {port}");
            }
            for rule in list(one, "/spec/ingress").iter().flat_map(|rule| list(rule, "/ports")) {
                assert!(ports.iter().any(|known| known["containerPort"] == rule["port"]), "{kind} {name}: {rule}");
            }
        }
    }
}

#[test]
fn gates_may_reach_the_database_and_it_lets_in_who_must_reach_it() {
    let trial = build(&folder("database/trial"));
    let server = object(&trial, "StatefulSet");
    let policy = object(&trial, "NetworkPolicy");
    let [rule] = list(policy, "/spec/ingress") else { panic!("one rule lets in") };
    for folder in folders().into_iter().filter(|folder| !folder.ends_with("trial") && !folder.ends_with("sidecar-sled"))
    {
        let made = build(&folder);
        for client in workloads(&made) {
            let lets_in =
                list(rule, "/from").iter().any(|from| chooses(from.pointer("/podSelector/matchLabels"), client));
            assert!(lets_in, "{}: the database keeps it out", folder.display());
        }
        let Some(policy) = made.iter().find(|one| text(one, "/kind") == "NetworkPolicy") else { continue };
        let port = &ports(server)[0]["containerPort"];
        let reaches = |rule: &Value| {
            let to = list(rule, "/to").iter().filter_map(|to| to.pointer("/podSelector/matchLabels"));
            to.into_iter().any(|pods| chooses(Some(pods), server))
                && list(rule, "/ports").iter().any(|one| one["port"] == *port)
        };
        assert!(list(policy, "/spec/egress").iter().any(reaches), "{}: no way to the database", folder.display());
    }
}

#[test]
fn every_file_belongs_to_a_kustomization() {
    let mut unused = Vec::new();
    gather(&folder(""), &mut unused);
    assert!(unused.is_empty(), "nobody names {unused:?}");
}

fn gather(folder: &Path, unused: &mut Vec<PathBuf>) {
    let named = documents_of(folder).unwrap_or_default();
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            gather(&path, unused);
        } else if !["kustomization.yaml", "README.md"].contains(&name.as_str())
            && !named.contains(&format!("\"{name}\""))
        {
            unused.push(path);
        }
    }
}

/// A kustomization as one text; `None`: the folder has none.
fn documents_of(folder: &Path) -> Option<String> {
    let path = folder.join("kustomization.yaml");
    path.exists().then(|| documents(&path).iter().map(Value::to_string).collect())
}
