//! The container file builds what is there, and the program that it makes stands alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;

use crate::{read, root};

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
