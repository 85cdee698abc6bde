//! Everything that the kustomizations make is what Kubernetes' own schemas say, and what kustomize makes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kustomize::{build, parsed, text};
use crate::references::folders;
use crate::root;

/// The oldest version that has native sidecars, and the newest that the schemas are there for.
const VERSIONS: [&str; 2] = ["1.29", "1.37"];

/// The folder that `target/` is, wherever it lies.
fn target() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
    folder.to_path_buf()
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let mut command = Command::new(root().join("tests/deploy/install"));
        let status = command.env("CARGO_TARGET_DIR", target()).status().expect("the script can be run");
        assert!(status.success(), "the schemas could not be installed");
    });
}

/// What the schemas of this version say of these objects.
fn judged(objects: &[Value], version: &str) -> Output {
    install();
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be made");
    let path = folder.path().join("objects.yaml");
    let written: Vec<String> = objects.iter().map(Value::to_string).collect();
    fs::write(&path, written.join("\n---\n")).expect("the objects can be written");
    let mut command = Command::new(target().join("tools/kubernetes/bin/kubernetes-validate"));
    command.args(["--strict", "--kubernetes-version", version]).arg(path).output().expect("it can be run")
}

#[test]
fn what_is_made_is_what_the_schemas_of_kubernetes_say() {
    for folder in folders() {
        let made = build(&folder);
        for version in VERSIONS {
            let output = judged(&made, version);

            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{} and {version}: {said}", folder.display());
            let passed = said.lines().filter(|line| line.contains(" passed for resource ")).count();
            assert_eq!(passed, made.len(), "{} and {version}: {said}", folder.display());
        }
    }
}

/// The check above can fail: a field that is misspelt, a number that is text.
#[test]
fn what_the_schemas_do_not_say_is_refused() {
    let budget = |spec: Value| json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "made-up"}, "spec": spec});
    let selector = json!({"matchLabels": {"app": "shop"}});
    assert!(judged(&[budget(json!({"maxUnavailable": 1, "selector": selector}))], "1.37").status.success());

    for wrong in [json!({"maxUnavailble": 1, "selector": selector}), json!({"maxUnavailable": 1, "selector": "shop"})] {
        assert!(!judged(&[budget(wrong.clone())], "1.37").status.success(), "{wrong} was taken");
    }
}

/// tests/run says so where there is no kubectl.
#[test]
fn what_is_made_is_what_kubectl_makes() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        return;
    }
    for folder in folders() {
        let output = Command::new("kubectl").arg("kustomize").arg(&folder).output().expect("kubectl can be run");

        assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
        let theirs = parsed(&String::from_utf8_lossy(&output.stdout), "what kubectl says");
        assert_eq!(sorted(theirs), sorted(build(&folder)), "{}", folder.display());
    }
}

fn sorted(mut objects: Vec<Value>) -> Vec<Value> {
    objects.sort_by_key(|object| format!("{} {}", text(object, "/kind"), text(object, "/metadata/name")));
    objects
}
