//! What deploy/ offers works with this version: configs are accepted, units and manifests are sound and fit each other.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use saphyr::{LoadableYamlNode, Yaml};
use tempfile::TempDir;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text of the manifest, and in it the config.
struct Manifest {
    text: String,
}

impl Manifest {
    fn read() -> Self {
        Self { text: read("deploy/kubernetes/sidecar.yaml") }
    }

    fn documents(&self) -> Vec<Yaml<'_>> {
        Yaml::load_from_str(&self.text).expect("the manifest is YAML")
    }

    fn config(&self) -> String {
        let documents = self.documents();
        let map = documents.iter().find(|one| text(&one["kind"]) == "ConfigMap").expect("there is a ConfigMap");
        text(&map["data"]["config.toml"]).to_owned()
    }
}

/// What the pods are made from.
fn pod<'a>(documents: &'a [Yaml<'a>]) -> &'a Yaml<'a> {
    let set = documents.iter().find(|one| text(&one["kind"]) == "StatefulSet").expect("there is a StatefulSet");
    &set["spec"]["template"]["spec"]
}

fn text<'a>(value: &'a Yaml<'_>) -> &'a str {
    value.as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Yaml<'a>) -> &'a [Yaml<'a>] {
    value.as_vec().map(Vec::as_slice).unwrap_or_default()
}

fn named<'a>(values: &'a Yaml<'a>, name: &str) -> &'a Yaml<'a> {
    list(values).iter().find(|one| text(&one["name"]) == name).unwrap_or_else(|| panic!("{name} is missing"))
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
    let command = Command::new(env!("CARGO_BIN_EXE_forgetgate")).args(["check", "--config"]).arg(&path).output();
    command.expect("forgetgate can be run")
}

/// The names of the files in this folder that a config names.
fn secret_files(config: &str, folder: &str) -> Vec<String> {
    let folder = format!("{folder}/");
    let after = config.split(&folder).skip(1);
    after.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// P11: the config in the manifest is one that this version takes.
#[test]
fn the_config_of_the_manifest_is_accepted() {
    let output = check(&Manifest::read().config(), "/run/forgetgate");

    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("assistant"), "check shows no upstream: {said}\n{errors}");
}

/// The check above can fail: the same config with a key that nobody knows is refused with exit code 3.
#[test]
fn a_config_with_an_unknown_key_is_refused() {
    let config = Manifest::read().config().replace("drain_timeout", "drain_patience");

    let output = check(&config, "/run/forgetgate");

    assert_eq!(output.status.code(), Some(3));
    let said = [output.stdout, output.stderr].concat();
    assert!(String::from_utf8_lossy(&said).contains("drain_patience"));
}

#[test]
fn the_sidecar_starts_before_the_application_and_ends_after_it() {
    let manifest = Manifest::read();
    let config: toml::Table = manifest.config().parse().expect("the config is TOML");
    let documents = manifest.documents();
    let pod = pod(&documents);
    let sidecar = named(&pod["initContainers"], "forgetgate");

    assert_eq!(text(&sidecar["restartPolicy"]), "Always");
    let admin = config["admin"]["address"].as_str().unwrap_or_default();
    let port = named(&sidecar["ports"], "admin")["containerPort"].as_integer().unwrap_or_default();
    assert!(admin.ends_with(&format!(":{port}")), "the probes ask port {port}, the admin API is at {admin}");
    for (probe, path) in [("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")] {
        let asked = &sidecar[probe]["httpGet"];
        assert_eq!((text(&asked["port"]), text(&asked["path"])), ("admin", path), "{probe}");
    }
    let drain = config["limits"]["drain_timeout"].as_str().and_then(|text| text.strip_suffix('s'));
    let drain: i64 = drain.and_then(|seconds| seconds.parse().ok()).expect("drain_timeout is in seconds");
    let grace = pod["terminationGracePeriodSeconds"].as_integer().unwrap_or_default();
    assert!(grace > 2 * drain, "the pod is killed after {grace} s, before both could end");
}

#[test]
fn every_file_that_the_sidecar_needs_is_mounted_and_nothing_else_can_be_written() {
    let manifest = Manifest::read();
    let documents = manifest.documents();
    let pod = pod(&documents);
    let set = documents.iter().find(|one| text(&one["kind"]) == "StatefulSet").expect("there is a StatefulSet");
    let claims = list(&set["spec"]["volumeClaimTemplates"]).iter().map(|claim| text(&claim["metadata"]["name"]));
    let volumes: Vec<&str> = list(&pod["volumes"]).iter().map(|one| text(&one["name"])).chain(claims).collect();

    for container in list(&pod["initContainers"]) {
        for mount in list(&container["volumeMounts"]) {
            assert!(volumes.contains(&text(&mount["name"])), "no volume {}", text(&mount["name"]));
        }
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"].as_bool(), Some(true));
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"].as_bool(), Some(false));
    }
    let copied: Vec<String> = list(&named(&pod["initContainers"], "forgetgate-secrets")["args"])
        .iter()
        .filter_map(|path| text(path).strip_prefix("/secrets/"))
        .map(str::to_owned)
        .collect();
    let mut needed = secret_files(&manifest.config(), "/run/forgetgate");
    needed.sort_unstable();
    let mut sorted = copied;
    sorted.sort_unstable();
    assert_eq!(sorted, needed);
}

#[test]
fn the_units_are_ones_that_systemd_takes() {
    let unit = read("deploy/systemd/forgetgate.service");
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be made");
    let paths = ["forgetgate.service", "forgetgate.socket"].map(|name| folder.path().join(name));
    // systemd looks whether the program is there.
    let here = unit.replace("/usr/local/bin/forgetgate", env!("CARGO_BIN_EXE_forgetgate"));
    fs::write(&paths[0], here).expect("the unit can be written");
    fs::write(&paths[1], read("deploy/systemd/forgetgate.socket")).expect("the unit can be written");

    let output = Command::new("systemd-analyze").arg("verify").args(&paths).output();

    let output = output.expect("systemd-analyze, of Debian's package systemd, can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    let about_us: Vec<&str> = said.lines().filter(|line| line.contains("forgetgate.s")).collect();
    assert!(output.status.success() && about_us.is_empty(), "{said}");
    for line in
        ["NoNewPrivileges=yes", "ProtectSystem=strict", "DynamicUser=yes", "RestartPreventExitStatus=3", "Type=notify"]
    {
        assert!(unit.lines().any(|written| written == line), "{line} is missing");
    }
}

#[test]
fn the_container_is_built_from_what_is_there_and_does_not_run_as_root() {
    let containerfile = read("deploy/Containerfile");
    let manifest: toml::Table = read("Cargo.toml").parse().expect("Cargo.toml is TOML");

    let toolchain = manifest["workspace"]["package"]["rust-version"].as_str().unwrap_or_default();
    assert!(containerfile.lines().any(|line| line == format!("ARG RUST={toolchain}")), "another toolchain");
    let copies = containerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from="));
    for source in copies.flat_map(|line| line.split(' ').skip(1).collect::<Vec<_>>().into_iter().rev().skip(1)) {
        assert!(root().join(source).exists(), "{source} is not there");
    }
    // cargo reads the manifest of every member, whichever it builds.
    for member in manifest["workspace"]["members"].as_array().into_iter().flatten().filter_map(toml::Value::as_str) {
        assert!(copied(&containerfile, member), "the build lacks {member}");
    }
    for line in ["RUN cargo build --locked --profile dist --package forgetgate", "COPY --from=build /src/target/dist/"]
    {
        assert!(containerfile.lines().any(|written| written.starts_with(line)), "{line} is missing");
    }
    assert!(manifest["profile"].get("dist").is_some(), "there is no profile dist");
    let user = containerfile.lines().filter_map(|line| line.strip_prefix("USER ")).next_back();
    assert!(user.is_some_and(|user| !user.starts_with('0') && !user.starts_with("root")), "{user:?}");
}

/// Does the build get this path of the project, or the folder at the root that holds it?
fn copied(containerfile: &str, path: &str) -> bool {
    let top = path.split('/').next().unwrap_or_default();
    let copies = containerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from="));
    copies.flat_map(str::split_whitespace).any(|word| word == top)
}

/// The files of the project that the sources embed by a path that leads out of `src`, but for those of tests.
fn embedded(folder: &std::path::Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.ends_with("tests") || path.ends_with("tests.rs") {
            continue;
        }
        if path.is_dir() {
            embedded(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let named = text.split("include_str!(\"").skip(1).filter_map(|after| after.split('"').next());
            let named = named.filter_map(|named| path.with_file_name(named).canonicalize().ok());
            let named = named.filter_map(|named| Some(named.strip_prefix(root()).ok()?.to_path_buf()));
            let outside = named.filter(|named| !named.components().any(|part| part.as_os_str() == "src"));
            found.extend(outside.map(|named| named.to_string_lossy().into_owned()));
        }
    }
}

#[test]
fn the_container_is_built_with_every_file_that_the_program_embeds() {
    let containerfile = read("deploy/Containerfile");
    let (mut by_program, mut by_demo) = (Vec::new(), Vec::new());
    embedded(&root().join("src"), &mut by_program);
    embedded(&root().join("demo/src"), &mut by_demo);

    assert_eq!(by_demo, ["config.toml"], "what is embedded is found");
    for named in by_program {
        assert!(copied(&containerfile, &named), "the build lacks {named}");
    }
}

#[test]
fn the_program_is_built_without_its_demonstration() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--offline", "--package", "forgetgate", "--edges", "normal", "--prefix", "none"]);

    let output = command.current_dir(root()).output().expect("cargo can be run");

    let tree = String::from_utf8_lossy(&output.stdout);
    let packages: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(packages.contains(&"hyper"), "{tree}\n{}", String::from_utf8_lossy(&output.stderr));
    for kept_out in ["forgetgate-demo", "forgetgate-stand-ins", "tokio-tungstenite", "tungstenite"] {
        assert!(!packages.contains(&kept_out), "the program depends on {kept_out}");
    }
}

#[test]
fn the_program_hands_over_to_the_demonstration_beside_it_or_says_where_it_is() {
    let folder = TempDir::new().expect("there is room for a folder");
    let program = folder.path().join("forgetgate");
    fs::copy(env!("CARGO_BIN_EXE_forgetgate"), &program).expect("the program can be copied");
    let demo = || Command::new(&program).args(["demo", "--serve"]).output().expect("forgetgate can be run");

    let alone = demo();
    let said = String::from_utf8_lossy(&alone.stderr);
    assert_eq!((alone.status.code(), alone.stdout.len()), (Some(2), 0), "{said}");
    assert!(said.contains("`cargo demo`"), "{said}");

    let beside = folder.path().join("forgetgate-demo");
    fs::write(&beside, "#!/bin/sh\necho \"told $*\"\nexit 7\n").expect("a program can be written");
    fs::set_permissions(&beside, PermissionsExt::from_mode(0o755)).expect("it can be made a program");
    let handed_over = demo();
    assert_eq!((handed_over.status.code(), handed_over.stdout), (Some(7), b"told --serve\n".to_vec()));
    let aliases: toml::Table = read(".cargo/config.toml").parse().expect("cargo's config is TOML");
    let manifests = [read("Cargo.toml"), read("demo/Cargo.toml")].map(|text| text.parse::<toml::Table>());
    let [Ok(workspace), Ok(demo)] = manifests else { panic!("the manifests are TOML") };
    let alias: Vec<&str> = aliases["alias"]["demo"].as_str().unwrap_or_default().split(' ').collect();
    let after = |option| alias.windows(2).find_map(|pair| (pair[0] == option).then_some(pair[1]));
    assert_eq!(after("--package"), demo["package"]["name"].as_str());
    assert!(after("--profile").is_some_and(|profile| workspace["profile"].get(profile).is_some()), "{alias:?}");
    assert!(read("README.md").lines().any(|line| line.starts_with("cargo demo ")), "the README names another command");
}
