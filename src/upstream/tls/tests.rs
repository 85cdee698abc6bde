//! What is said at start about a `tls.ca` that cannot be used.

use super::{RootsError, client_config, server_name};
use crate::config::UpstreamTls;

fn certificate() -> String {
    rcgen::generate_simple_self_signed(vec!["service.test".to_owned()]).unwrap().cert.pem()
}

/// Uses `pem` as `tls.ca`; the error's own text must name the file.
fn refused(pem: &str) -> RootsError {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("corp.pem");
    std::fs::write(&file, pem).unwrap();
    let error = client_config(&UpstreamTls { ca: Some(file.clone()) }).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    error
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.pem");
    let error = client_config(&UpstreamTls { ca: Some(file.clone()) }).unwrap_err();
    assert!(matches!(error, RootsError::Unreadable { .. }));
    assert_eq!(error.to_string(), format!("tls.ca {} cannot be read", file.display()));
}

#[test]
fn a_file_without_certificates_is_refused() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for pem in ["", "no PEM at all\n", key.as_str()] {
        assert!(matches!(refused(pem), RootsError::Empty { .. }), "{pem}");
    }
}

#[test]
fn a_damaged_certificate_is_refused_with_its_number() {
    let good = certificate();
    let cut_off = good.replace("-----END CERTIFICATE-----", "");
    let no_base64 = good.replacen("MII", "M!I", 1);
    for bad in [cut_off, no_base64] {
        assert!(matches!(refused(&bad), RootsError::BadPem { nth: 1, .. }), "{bad}");
        assert!(matches!(refused(&format!("{good}{bad}")), RootsError::BadPem { nth: 2, .. }), "{bad}");
    }
}

#[test]
fn what_is_no_certificate_is_refused_whatever_the_lines_around_it_say() {
    let lie = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    let error = refused(&format!("{}{lie}", certificate()));
    assert!(matches!(error, RootsError::BadCertificate { nth: 2, .. }), "{error}");
}

#[test]
fn every_certificate_of_a_bundle_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("corp.pem");
    std::fs::write(&file, format!("# corporate roots\n{}\n{}", certificate(), certificate())).unwrap();
    assert_eq!(super::roots_of_file(&file).unwrap().len(), 2);
}

#[test]
fn only_http_1_1_is_offered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("corp.pem");
    std::fs::write(&file, certificate()).unwrap();
    let config = client_config(&UpstreamTls { ca: Some(file) }).unwrap();
    assert_eq!(config.alpn_protocols, [b"http/1.1"]);
}

#[test]
fn names_and_addresses_can_be_checked_and_other_things_cannot() {
    for host in ["service.test", "127.0.0.1", "::1", "xn--bcher-kva.example"] {
        assert!(server_name(host).is_ok(), "{host}");
    }
    for host in ["", "a b", "[::1]"] {
        assert!(matches!(server_name(host), Err(RootsError::BadName { .. })), "{host}");
    }
}
