//! What the file points to outside itself: paths relative to its folder, secrets, certificates.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::super::Secret;
use super::super::file::{Place, Report, Value};
use super::super::secret::{SecretError, SecretSource};

const SECRET_FORM: &str = "{ file = \"…\" } or { env = \"…\" }";

/// The folder of the file, and whether what it names is opened or only named.
#[derive(Debug)]
pub(super) struct Outside<'a> {
    base: &'a Path,
    open: bool,
}

/// What becomes of a configuration whose secret cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It guards something: nobody could get in, or worse. The file is refused.
    IsFault,
    /// The gate's own calls would go without it, and their targets wait, blocked, until it is there.
    IsWarning,
}

impl<'a> Outside<'a> {
    pub(super) const fn named_only(base: &'a Path) -> Self {
        Self { base, open: false }
    }

    pub(super) const fn opened(base: &'a Path) -> Self {
        Self { base, open: true }
    }

    /// A path, taken from the folder of the file.
    pub(super) fn path(&self, value: &Value<'_>) -> Option<PathBuf> {
        let form = "a path; relative ones begin at this file's folder";
        match value.text(form)? {
            "" => {
                value.fault("is empty", form);
                None
            }
            path => Some(self.join(path)),
        }
    }

    pub(super) fn join(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Whether the files that are named are opened.
    pub(super) const fn opens(&self) -> bool {
        self.open
    }

    /// A private key in PEM, which only its owner may read.
    pub(super) fn private_key(&self, value: &Value<'_>) -> Option<PathBuf> {
        let form = "a private key in PEM with mode 0600";
        let path = self.path(value)?;
        if self.open {
            match std::fs::metadata(&path)
                .and_then(|found| Ok((found, Zeroizing::new(std::fs::read_to_string(&path)?))))
            {
                Ok((found, _)) if found.mode() & 0o077 != 0 => {
                    let mode = found.mode() & 0o7777;
                    value.fault(format!("names a file that others than its owner can read (mode {mode:04o})"), form);
                }
                Ok((_, text)) if text.contains("PRIVATE KEY-----") => {}
                Ok(_) => value.fault("names a file without a private key", form),
                Err(error) => value.fault(format!("names a file that cannot be read: {error}"), form),
            }
        }
        Some(path)
    }

    /// Whether the first certificate of a file and the key of another fit each other. Said at `value`. What cannot be
    /// read was reported before.
    pub(super) fn fits(&self, value: &Value<'_>, certificate: &Path, key: &Path) {
        let read = |path: &Path| std::fs::read_to_string(path).ok().filter(|_| self.open).map(Zeroizing::new);
        let (Some(certificate), Some(key)) = (read(certificate), read(key)) else { return };
        let right = "a certificate and its own private key, as `forgetgate ca init` makes them";
        let (Ok(certificate), Ok(key)) =
            (CertificateDer::from_pem_slice(certificate.as_bytes()), rcgen::KeyPair::from_pem(&key))
        else {
            return value.fault("names files that are no certificate and key in PEM that can be used", right);
        };
        if memchr::memmem::find(&certificate, key.public_key_raw()).is_none() {
            value.fault("names a certificate and a key that are not each other's", right);
        }
    }

    /// A secret by reference.
    pub(super) fn secret(&self, value: &Value<'_>, unreadable: Unreadable) -> Option<Secret> {
        if value.is_text() {
            value.fault("is written out; a secret never stands in this file", SECRET_FORM);
            return None;
        }
        let table = value.table(SECRET_FORM)?;
        let (file, env) = (table.get("file"), table.get("env"));
        table.close();
        let source = match (file, env) {
            (Some(file), None) => SecretSource::File(self.path(&file)?),
            (None, Some(env)) => SecretSource::Env(variable(&env)?),
            (Some(_), Some(_)) => {
                value.fault("names two places", SECRET_FORM);
                return None;
            }
            (None, None) => {
                value.fault("names no place", SECRET_FORM);
                return None;
            }
        };
        let secret = Secret::from(source);
        if self.open {
            let outcome = secret.read().map(|_| ());
            tell(value.report, &value.place, outcome, unreadable);
        }
        Some(secret)
    }
}

fn tell(report: &Report<'_>, place: &Place, outcome: Result<(), SecretError>, unreadable: Unreadable) {
    let Err(error) = outcome else { return };
    let what = chain_of(&error);
    match unreadable {
        Unreadable::IsFault => report.fault(place, what, "a secret that can be read"),
        Unreadable::IsWarning => {
            let effect = "until it can be read, the gate's own calls go without it";
            report.warning(place, what, effect);
        }
    }
}

/// An error and what is behind it.
pub(super) fn chain_of(error: &dyn std::error::Error) -> String {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    format!("{error}{cause}")
}

fn variable(value: &Value<'_>) -> Option<String> {
    let form = "the name of an environment variable: letters, digits and `_`";
    let name = value.text(form)?;
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if name.is_empty() || !legal || name.starts_with(|c: char| c.is_ascii_digit()) {
        value.fault("is no name of an environment variable", form);
        return None;
    }
    Some(name.to_owned())
}
