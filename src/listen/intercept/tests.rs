//! What the authority issues, judged by clients' own rules.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};

use super::Interceptor;
use super::authority::{Authority, CaError, make_ca, renewal};
use crate::config::CaFiles;
use crate::domain::UnixSeconds;
use crate::telemetry::clock::unix_now;

const DAY: u64 = 24 * 60 * 60;

fn made(hosts: Option<&[&str]>) -> (TempDir, CaFiles) {
    let hosts: Option<Vec<String>> = hosts.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect());
    let made = make_ca(hosts.as_deref(), unix_now()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = CaFiles { cert: folder.path().join("ca.pem"), key: folder.path().join("ca.key") };
    fs::write(&files.cert, made.certificate).unwrap();
    fs::write(&files.key, made.key.expose()).unwrap();
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    (folder, files)
}

#[test]
fn p9_a_limited_authority_is_believed_about_its_hosts_and_no_others() {
    for (hosts, good, bad) in [
        (&["a.example"][..], &["a.example", "www.a.example"][..], &["b.example", "10.0.0.1", "fd00::1"][..]),
        (&["10.0.0.1"][..], &["10.0.0.1"][..], &["a.example", "10.0.0.2", "fd00::1"][..]),
        (&["fd00::1", "a.example"][..], &["fd00::1", "a.example"][..], &["fd00::2", "10.0.0.1", "b.example"][..]),
    ] {
        let (_folder, files) = made(Some(hosts));
        let interceptor = Interceptor::load(&files).unwrap();
        for host in good {
            assert_eq!(interceptor.objection(host), None, "{hosts:?}: {host}");
        }
        for host in bad {
            assert!(interceptor.objection(host).is_some(), "{hosts:?}: {host}");
        }
    }
    let (_folder, files) = made(None);
    let interceptor = Interceptor::load(&files).unwrap();
    for host in ["a.example", "10.0.0.1", "fd00::1", &format!("{}.example", "a".repeat(60))] {
        assert_eq!(interceptor.objection(host), None, "{host}");
    }
}

fn parsed<'d>(der: &'d CertificateDer<'_>) -> X509Certificate<'d> {
    X509Certificate::from_der(der).unwrap().1
}

fn key_ids(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut own, mut above) = (None, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => own = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                above = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            _ => {}
        }
    }
    (own, above)
}

/// As clients ask of certificates: short, begun a while ago, named, chained by key, not an authority, no number twice.
#[test]
fn a_hosts_certificate_is_one_that_strict_clients_take() {
    let (_folder, files) = made(None);
    let authority = Authority::load(&files).unwrap();
    let now = unix_now();
    let (first, second) = (authority.issue("a.example", now).unwrap(), authority.issue("a.example", now).unwrap());
    let (leaf, root) = (parsed(&first.chain[0]), parsed(&first.chain[1]));
    let (from, to) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    assert_eq!((now.0 as i64 - from, to - now.0 as i64), (2 * DAY as i64, 7 * DAY as i64));
    assert!(renewal(now).0 < to as u64 - 3 * DAY, "made anew long before it ends");
    let ((own, above), (root_own, _)) = (key_ids(&leaf), key_ids(&root));
    assert!(own.is_some() && above == root_own && root_own.is_some(), "{own:?} {above:?} {root_own:?}");
    assert!(!leaf.is_ca() && root.is_ca());
    let years = (root.validity().not_after.timestamp() - now.0 as i64) / (365 * DAY as i64);
    assert_eq!(years, 10);
    assert_ne!(leaf.raw_serial(), parsed(&second.chain[0]).raw_serial());
    assert!(leaf.raw_serial().len() == 16 && leaf.raw_serial()[0] < 0x80);
    assert_ne!(leaf.public_key().raw, parsed(&second.chain[0]).public_key().raw);
    assert_eq!(root.subject(), leaf.issuer());
}

#[test]
fn a_certificate_is_kept_until_it_is_renewed_and_then_made_anew() {
    let (_folder, files) = made(None);
    let interceptor = Interceptor::load(&files).unwrap();
    let now = unix_now();
    let config = |host, now| interceptor.config(host, now).unwrap();
    let first = config("a.example", now);
    assert!(std::sync::Arc::ptr_eq(&first, &config("a.example", UnixSeconds(renewal(now).0 - 1))));
    assert!(!std::sync::Arc::ptr_eq(&first, &config("b.example", now)));
    assert!(!std::sync::Arc::ptr_eq(&first, &config("a.example", renewal(now))));
    assert_eq!(interceptor.hosts.lock().len(), 2);
}

/// P11: a key that others can read, another key, or a file that holds none is refused at start.
#[test]
fn p11_what_is_no_authority_is_refused() {
    let (_folder, files) = made(None);
    let (_other_folder, other) = made(None);
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Authority::load(&files), Err(CaError::Exposed { mode: 0o644, .. })));
    let mixed = CaFiles { cert: files.cert.clone(), key: other.key.clone() };
    let objection = Interceptor::load(&mixed).map(|interceptor| interceptor.objection("a.example"));
    assert!(matches!(objection, Err(CaError::OtherKey { .. })), "{objection:?}");
    let (swapped, gone) = (
        CaFiles { cert: other.key.clone(), key: other.key.clone() },
        CaFiles { cert: other.cert.clone(), key: other.key.with_extension("gone") },
    );
    assert!(matches!(Authority::load(&swapped), Err(CaError::NoCertificate { .. })));
    assert!(matches!(Authority::load(&gone), Err(CaError::Unreadable { .. })));
    assert!(!format!("{:?}", Authority::load(&other)).contains("PRIVATE"));
}
