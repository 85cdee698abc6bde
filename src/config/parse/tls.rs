//! `tls`, wherever it stands. The files that it names are read as a start would read them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::super::file::{Table, Value};
use super::super::pem;
use super::super::{Identity, ListenTls, TlsVersion, UpstreamTls};
use super::external_files::{Outside, chain_of};

const LISTEN_FORM: &str = "tls = { cert = \"gate.pem\", key = \"gate.key\" }";
const IDENTITY_FORM: &str = "{ cert = \"other.pem\", key = \"other.key\" }";
const UPSTREAM_FORM: &str = "tls = { ca = \"corp.pem\" }";
const CHAIN_FORM: &str = "a certificate in PEM, and behind it those that lead to a root";
const TIMELY_FORM: &str = "a renewed one in its place, which a gate that runs takes by itself";
const KEY_FORM: &str = "the private key of `cert` in PEM, not encrypted";
const CA_FORM: &str = "certificates in PEM";

/// `tls` of a listener.
pub(super) fn listen(table: &Table<'_>, outside: &Outside<'_>) -> Option<ListenTls> {
    let tls = table.get("tls")?.table(LISTEN_FORM)?;
    let first = identity(&tls, outside);
    let further = tls.get("certs").map_or_else(Vec::new, |value| value.list(IDENTITY_FORM));
    if further.is_empty() && !tls.has("cert") && !tls.has("key") {
        tls.report.fault(&tls.place_of("cert"), "is missing", LISTEN_FORM);
    }
    let further = further.iter().filter_map(|entry| {
        let entry = entry.table(IDENTITY_FORM)?;
        let found = identity(&entry, outside);
        entry.close();
        if found.is_none() && !entry.has("cert") && !entry.has("key") {
            entry.report.fault(&entry.place, "names no certificate", IDENTITY_FORM);
        }
        found
    });
    let identities = first.into_iter().chain(further).collect();
    let client_ca = tls.get("client_ca").and_then(|value| outside.certificates(&value));
    let min_version = min_version(&tls);
    tls.close();
    Some(ListenTls { identities, client_ca, min_version })
}

/// `tls` of an upstream, of IAM, or of the store's server.
pub(super) fn upstream(table: &Table<'_>, outside: &Outside<'_>) -> UpstreamTls {
    let Some(tls) = table.get("tls").and_then(|value| value.table(UPSTREAM_FORM)) else {
        return UpstreamTls::default();
    };
    let ca = tls.get("ca").and_then(|value| outside.certificates(&value));
    let identity = identity(&tls, outside);
    let min_version = min_version(&tls);
    tls.close();
    UpstreamTls { ca, identity, min_version }
}

fn min_version(tls: &Table<'_>) -> TlsVersion {
    let words = [TlsVersion::V1_2, TlsVersion::V1_3].map(|version| (version.as_str(), version));
    tls.get("min_version").and_then(|value| value.choice(&words, &[])).unwrap_or_default()
}

/// `cert` and `key`: both, or neither.
fn identity(tls: &Table<'_>, outside: &Outside<'_>) -> Option<Identity> {
    let (cert, key) = match (tls.get("cert"), tls.get("key")) {
        (None, None) => return None,
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => {
            tls.report.fault(&tls.place_of("key"), "is missing: a certificate is no use without its key", KEY_FORM);
            return None;
        }
        (None, Some(_)) => {
            tls.report.fault(&tls.place_of("cert"), "is missing: a key is no use without its certificate", CHAIN_FORM);
            return None;
        }
    };
    let identity = Identity { cert: outside.path(&cert)?, key: outside.path(&key)? };
    if outside.opens() {
        look_into(&identity, &cert, &key);
    }
    Some(identity)
}

fn look_into(identity: &Identity, cert: &Value<'_>, key: &Value<'_>) {
    if is_open_to_others(&identity.key) {
        let what = "names a key file that every user of this machine can read";
        key.report.warning(&key.place, what, "chmod 600, or defaultMode: 0400 where it is mounted");
    }
    let unreadable = |file: &Path| std::fs::File::open(file).err();
    if let (Some(of_cert), Some(of_key)) = (unreadable(&identity.cert), unreadable(&identity.key)) {
        cert.fault(format!("names a file that cannot be read: {of_cert}"), CHAIN_FORM);
        return key.fault(format!("names a file that cannot be read: {of_key}"), KEY_FORM);
    }
    match identity.load() {
        Ok(certified) => {
            if let Err(fault) = identity.is_timely(&certified) {
                let what = format!("names a certificate that whoever checks it refuses: {}", chain_of(&fault));
                cert.report.warning(&cert.place, what, TIMELY_FORM);
            }
        }
        Err(fault) if fault.is_of_key(identity) => key.fault(chain_of(&fault), KEY_FORM),
        Err(fault) => cert.fault(chain_of(&fault), CHAIN_FORM),
    }
}

fn is_open_to_others(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o007 != 0)
}

impl Outside<'_> {
    /// A file of certificates in PEM.
    pub(super) fn certificates(&self, value: &Value<'_>) -> Option<PathBuf> {
        let path = self.path(value)?;
        if let Some(fault) = self.opens().then(|| pem::roots(&path).err()).flatten() {
            value.fault(chain_of(&fault), CA_FORM);
        }
        Some(path)
    }
}
