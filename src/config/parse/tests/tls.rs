//! P11: what is wrong with certificates and keys is said at `check`, with its place, and not at the first handshake.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::{LEAST, check, read};
use crate::config::{Fault, Identity, ListenTls, Loaded, TlsVersion, load};

/// [`LEAST`] with this line in its `[[listen]]`, which is the fourth.
fn listening(line: &str) -> String {
    let address = "address = \"127.0.0.1:8080\"\n";
    LEAST.replace(address, &format!("{address}{line}\n"))
}

/// A folder with a certificate and its key, `gate.pem` and `gate.key`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path(), "gate", (2020, 2999));
    folder
}

fn issue(folder: &Path, name: &str, (from, to): (i32, i32)) {
    let mut params = CertificateParams::new(vec!["gate.test".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    let key = KeyPair::generate().unwrap();
    fs::write(folder.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
    let file = folder.join(format!("{name}.key"));
    fs::write(&file, key.serialize_pem()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn loaded(folder: &Path, text: &str) -> Result<Loaded, Vec<Fault>> {
    let path = folder.join("config.toml");
    fs::write(&path, text).unwrap();
    load(&path)
}

#[track_caller]
fn refused(folder: &Path, line: &str, key: &str, phrase: &str) {
    let faults = loaded(folder, &listening(line)).unwrap_err();
    let [fault] = faults.as_slice() else { panic!("one fault was expected: {faults:#?}") };
    let sentence = fault.to_string();
    assert_eq!((fault.line, fault.key.as_str()), (4, key), "{sentence}");
    assert!(sentence.contains(phrase), "{phrase:?} is not in {sentence:?}");
    assert!(!sentence.contains("-----"), "nothing of a file is quoted: {sentence}");
}

#[test]
fn p11_a_listener_shows_all_its_certificates_the_first_by_default() {
    let line = "tls = { cert = \"a.pem\", key = \"a.key\", certs = [{ cert = \"b.pem\", key = \"b.key\" }], \
        client_ca = \"ca.pem\", min_version = \"1.3\" }";
    let at = |name: &str| PathBuf::from("/etc/forgetgate").join(name);
    let identity = |name: &str| Identity { cert: at(&format!("{name}.pem")), key: at(&format!("{name}.key")) };
    let expected = ListenTls {
        identities: vec![identity("a"), identity("b")],
        client_ca: Some(at("ca.pem")),
        min_version: TlsVersion::V1_3,
    };
    assert_eq!(read(&listening(line)).unwrap().config.listen[0].tls, Some(expected));

    let only = read(&listening("tls.certs = [{ cert = \"b.pem\", key = \"b.key\" }]")).unwrap().config;
    let tls = only.listen[0].tls.clone().unwrap();
    assert_eq!((tls.identities, tls.client_ca, tls.min_version), (vec![identity("b")], None, TlsVersion::V1_2));
}

#[test]
fn p11_tls_that_says_too_little_is_refused_with_its_place() {
    for (line, key, phrase) in [
        ("tls = { cert = \"a.pem\" }", "listen[1].tls.key", "no use without its key"),
        ("tls = { key = \"a.key\" }", "listen[1].tls.cert", "no use without its certificate"),
        ("tls = { client_ca = \"a.pem\" }", "listen[1].tls.cert", "is missing"),
        ("tls = {}", "listen[1].tls.cert", "is missing"),
        ("tls = true", "listen[1].tls", "boolean"),
        ("tls = { certs = [{}] }", "listen[1].tls.certs[1]", "names no certificate"),
        ("tls = { certs = [{ cert = \"a.pem\" }] }", "listen[1].tls.certs[1].key", "no use without its key"),
        (
            "tls = { cert = \"a\", key = \"b\", min_version = \"1.1\" }",
            "listen[1].tls.min_version",
            "\"1.2\" or \"1.3\"",
        ),
        ("tls = { cert = \"a\", key = \"b\", ca = \"c\" }", "listen[1].tls.ca", "is no key that is known here"),
    ] {
        check(&listening(line), (4, key, phrase));
    }
}

#[test]
fn p11_a_good_pair_is_taken_and_a_key_that_others_can_read_is_said() {
    let folder = folder();
    let line = "tls = { cert = \"gate.pem\", key = \"gate.key\", client_ca = \"gate.pem\" }";
    assert_eq!(loaded(folder.path(), &listening(line)).unwrap().warnings, []);
    fs::set_permissions(folder.path().join("gate.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = loaded(folder.path(), &listening(line)).unwrap().warnings;
    assert_eq!(warnings.iter().map(|warning| warning.key.as_str()).collect::<Vec<_>>(), ["listen[1].tls.key"]);
}

#[test]
fn p11_a_pair_that_no_handshake_could_use_is_refused_with_its_place() {
    let folder = folder();
    let at = folder.path();
    issue(at, "old", (2019, 2020));
    issue(at, "future", (2998, 2999));
    let (cert, key) =
        (fs::read_to_string(at.join("gate.pem")).unwrap(), fs::read_to_string(at.join("gate.key")).unwrap());
    for (name, content) in [
        ("damaged.pem", cert.replacen("MII", "M!I", 1)),
        ("lie.pem", "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n".to_owned()),
        ("damaged.key", key.replacen("MIG", "M!G", 1)),
        ("lie.key", "-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----\n".to_owned()),
        ("locked.key", key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")),
    ] {
        fs::write(at.join(name), content).unwrap();
        fs::set_permissions(at.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    for (cert, key, of_key, phrase) in [
        ("none.pem", "gate.key", false, "none.pem cannot be read"),
        ("gate.pem", "none.key", true, "none.key cannot be read"),
        ("gate.key", "gate.key", false, "gate.key holds no certificate in PEM"),
        ("gate.pem", "gate.pem", true, "gate.pem holds no private key in PEM"),
        ("damaged.pem", "gate.key", false, "is not well-formed PEM at certificate 1"),
        ("lie.pem", "gate.key", false, "certificate 1 is not a usable X.509 certificate"),
        ("gate.pem", "damaged.key", true, "holds no key that can be used"),
        ("gate.pem", "lie.key", true, "holds no key that can be used"),
        ("gate.pem", "locked.key", true, "holds an encrypted key"),
        ("gate.pem", "old.key", true, "is not that of the certificate in"),
        ("old.pem", "gate.key", true, "is not that of the certificate in"),
    ] {
        let place = format!("listen[1].tls.{}", if of_key { "key" } else { "cert" });
        refused(at, &format!("tls = {{ cert = \"{cert}\", key = \"{key}\" }}"), &place, phrase);
    }
    let both = loaded(at, &listening("tls = { cert = \"none.pem\", key = \"none.key\" }")).unwrap_err();
    let keys: Vec<&str> = both.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["listen[1].tls.cert", "listen[1].tls.key"], "of two missing files both are said");
    let pair = "cert = \"gate.pem\", key = \"gate.key\"";
    refused(
        at,
        &format!("tls = {{ {pair}, client_ca = \"gate.key\" }}"),
        "listen[1].tls.client_ca",
        "holds no certificate",
    );
    let second = format!("tls = {{ {pair}, certs = [{{ cert = \"old.pem\", key = \"gate.key\" }}] }}");
    refused(at, &second, "listen[1].tls.certs[1].key", "is not that of");
}

/// Callers that check refuse it, and the others need not be without the gate.
#[test]
fn p11_a_certificate_whose_time_is_wrong_is_said_loudly_and_taken() {
    let folder = folder();
    let at = folder.path();
    issue(at, "old", (2019, 2020));
    issue(at, "future", (2998, 2999));
    for (name, phrase) in [("old", "old.pem: the certificate has expired"), ("future", "is not valid yet")] {
        let own = format!("cert = \"{name}.pem\", key = \"{name}.key\"");
        for (line, key) in [
            (format!("tls = {{ {own} }}"), "listen[1].tls.cert"),
            (
                format!("tls = {{ cert = \"gate.pem\", key = \"gate.key\", certs = [{{ {own} }}] }}"),
                "listen[1].tls.certs[1].cert",
            ),
        ] {
            let warnings = loaded(at, &listening(&line)).unwrap().warnings;
            let said = warnings.iter().find(|warning| warning.key == key).unwrap_or_else(|| panic!("{warnings:?}"));
            assert!(said.to_string().contains(phrase), "{said}");
        }
    }
}

#[test]
fn p11_tls_where_it_would_mean_something_else_is_refused() {
    let tls = "tls = { cert = \"a\", key = \"b\" }";
    let address = "0.0.0.0:8080";
    let text = listening(&format!("{tls}\nmode = \"transparent\"")).replace("127.0.0.1:8080", address);
    let faults = read(&text).unwrap_err();
    assert!(faults.iter().any(|fault| fault.key == "listen[1].tls" && fault.right.contains("`ca`")), "{faults:?}");
    let admin = format!("[admin]\naddress = \"unix:/run/admin.sock\"\n{tls}\n{LEAST}");
    check(&admin, (3, "admin.tls", "no use on a Unix socket"));
}

/// P10: "open" is for callers who are known otherwise.
#[test]
fn p10_open_is_for_this_machine_or_for_those_who_show_a_certificate() {
    let open = |tls: &str| {
        let text = listening(tls).replace("127.0.0.1:8080", "0.0.0.0:8080");
        read(&format!("[erasure]\nauthorize = \"open\"\n{text}"))
    };
    let pair = "cert = \"a\", key = \"b\"";
    assert!(open(&format!("tls = {{ {pair}, client_ca = \"c\" }}")).is_ok());
    for tls in ["", &format!("tls = {{ {pair} }}")] {
        let faults = open(tls).unwrap_err();
        assert!(faults[0].what.contains("erase anyone's data") && faults[0].right.contains("client_ca"), "{faults:?}");
    }
}
