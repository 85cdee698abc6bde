//! What `forgetgate ca init` leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{CaAction, CaArgs, ca};
use crate::cli::Answer;

const CONFIG: &str = r#"
[[listen]]
address = "127.0.0.1:8080"
mode = "transparent"
ca = { cert = "var/forgetgate-ca.pem", key = "var/forgetgate-ca.key" }
[[upstream]]
name = "one"
passes_to = []
profile = "watson-assistant"
url = "https://api.example"
route = { hosts = ["Gateway.Example", "10.0.0.7", "[fd00::7]"] }
"#;

fn init(folder: &Path, any_host: bool) -> Answer {
    ca(&CaArgs { action: CaAction::Init { out: None, config: folder.join("config.toml"), any_host } })
}

#[test]
fn p11_an_authority_is_made_once_for_its_owner_alone_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), CONFIG).unwrap();
    let made = init(folder.path(), false);
    assert_eq!((made.code, made.complaint.as_str()), (0, ""), "{made:?}");
    for host in ["gateway.example", "10.0.0.7", "fd00::7", "keytool", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"] {
        assert!(made.text.contains(host), "{host}: {}", made.text);
    }
    let (key, certificate) = (folder.path().join("var/forgetgate-ca.key"), folder.path().join("var/forgetgate-ca.pem"));
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let (key_before, certificate_before) = (fs::read(&key).unwrap(), fs::read(&certificate).unwrap());
    assert!(!made.text.contains("PRIVATE"));
    crate::config::load(&folder.path().join("config.toml")).unwrap();

    let config = folder.path().join("config.toml");
    let checked = |path: &Path| crate::cli::check::check(path, false).0;
    assert!(checked(&config).contains("good, 1 upstream, "), "{}", checked(&config));
    assert!(checked(&config).contains("TLS to named hosts is opened with "), "{}", checked(&config));
    fs::write(&config, CONFIG.replace("10.0.0.7", "10.0.0.8")).unwrap();
    let warned = checked(&config);
    assert!(warned.contains("TLS to 10.0.0.8 will fail") && warned.contains("good, 1 upstream, 1 warning"), "{warned}");

    let again = init(folder.path(), true);
    assert_eq!(again.code, 1);
    assert!(again.complaint.contains("is there already"), "{again:?}");
    fs::remove_file(&key).unwrap();
    assert_eq!(init(folder.path(), false).code, 1, "the certificate alone is kept, too");
    assert_eq!(fs::read(&certificate).unwrap(), certificate_before);
    fs::write(&key, &key_before).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let faults = crate::config::load(&folder.path().join("config.toml")).unwrap_err();
    assert!(faults[0].to_string().contains("others than its owner can read (mode 0640)"), "{faults:?}");
}

#[test]
fn p11_without_hosts_an_authority_for_all_is_made_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let without = CONFIG.replace("{ hosts = [\"Gateway.Example\", \"10.0.0.7\", \"[fd00::7]\"] }", "{ path = \"/\" }");
    fs::write(folder.path().join("config.toml"), without).unwrap();
    let refused = init(folder.path(), false);
    assert_eq!(refused.code, 1);
    assert!(refused.complaint.contains("--any-host"), "{refused:?}");
    assert!(!folder.path().join("var").exists());
    assert_eq!(init(folder.path(), true).code, 0);
}
