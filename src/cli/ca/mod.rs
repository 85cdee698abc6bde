//! `forgetgate ca init`: an authority with which a transparent or forward listener opens TLS to the hosts that upstreams
//! name, and how its clients come to believe in it.
//!
//! By default its certificate says that it is good for these hosts only: whoever steals its key can pass for no other.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::answer::{Answer, Failure};
use crate::config;
use crate::listen::{MadeCa, make_ca};
use crate::telemetry::{chain, clock};

const CERTIFICATE: &str = "forgetgate-ca.pem";
const KEY: &str = "forgetgate-ca.key";

/// What was typed.
#[derive(Args, Clone, Debug)]
pub struct CaArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub action: CaAction,
}

/// What can be done with the gate's own authority.
#[derive(Clone, Debug, Subcommand)]
pub enum CaAction {
    /// Make an authority, valid for ten years: forgetgate-ca.pem for the clients, forgetgate-ca.key for the gate only
    Init {
        /// The folder for both files; the default is `var` beside the configuration
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// The configuration file; its upstreams name the hosts that the authority is limited to
        #[arg(long, value_name = "FILE", default_value = "config.toml")]
        config: PathBuf,
        /// Do not limit the authority to the hosts that upstreams name
        #[arg(long)]
        any_host: bool,
    },
}

/// Does it.
#[must_use]
pub fn ca(args: &CaArgs) -> Answer {
    let CaAction::Init { out, config, any_host } = &args.action;
    let folder = out.clone().unwrap_or_else(|| config.with_file_name("var"));
    let hosts = if *any_host { Ok(None) } else { hosts(config).map(Some) };
    let made = hosts.and_then(|hosts| {
        let made = make_ca(hosts.as_deref(), clock::unix_now()).map_err(|error| Failure::failed(chain(&error)))?;
        write(&folder, &made)?;
        Ok(Answer::done(next_steps(&folder, hosts.as_deref())))
    });
    made.into()
}

/// The hosts that the upstreams name. What the file points to need not be there yet: the authority is part of that.
fn hosts(path: &Path) -> Result<Vec<String>, Failure> {
    let read = fs::read_to_string(path);
    let text = read.map_err(|error| Failure::failed(format!("{} cannot be read: {error}", path.display())))?;
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let loaded = config::parse(&text, base).map_err(|faults| Failure::config(path, &faults))?;
    let mut hosts: Vec<String> =
        loaded.config.upstreams.iter().flat_map(|upstream| upstream.route.hosts.iter().cloned()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    if hosts.is_empty() {
        let what =
            "no upstream names hosts for which an authority could be good: write them into route = { hosts = […] }";
        return Err(Failure::failed(format!("{what}, or say --any-host")));
    }
    Ok(hosts)
}

fn write(folder: &Path, made: &MadeCa) -> Result<(), Failure> {
    let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
    for path in [&key, &certificate] {
        if path.symlink_metadata().is_ok() {
            let what = format!("{} is there already, and nothing is overwritten", path.display());
            return Err(Failure::failed(format!("{what}: move it away, or name another folder with --out")));
        }
    }
    let failed =
        |path: &Path, error: &io::Error| Failure::failed(format!("{} cannot be made: {error}", path.display()));
    DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(|error| failed(folder, &error))?;
    for (path, text, mode) in [(&key, made.key.expose(), 0o600), (&certificate, made.certificate.as_str(), 0o644)] {
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(|error| failed(path, &error))?;
    }
    Ok(())
}

fn next_steps(folder: &Path, hosts: Option<&[String]>) -> String {
    let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
    let (certificate, key) = (certificate.display(), key.display());
    let good_for = match hosts {
        Some(hosts) => format!("these hosts and names below them: {}", hosts.join(", ")),
        None => "every host: guard its key as you would every password of its clients".to_owned(),
    };
    format!(
        "The authority is made. It is good for {good_for}.\n\n\
         The gate's listener (mode \"transparent\" or \"forward\") takes it by\n\
         \u{20} ca = {{ cert = \"{certificate}\", key = \"{key}\" }}\n\
         with paths as seen from the configuration's folder. The key stays with the gate and is readable by its owner\n\
         alone; give it to the user that the gate runs as.\n\n\
         Its clients have to believe in {certificate}:\n\
         \u{20} Debian, Ubuntu  cp {certificate} /usr/local/share/ca-certificates/forgetgate.crt && update-ca-certificates\n\
         \u{20} Red Hat         cp {certificate} /etc/pki/ca-trust/source/anchors/ && update-ca-trust\n\
         \u{20} Java            keytool -importcert -noprompt -cacerts -storepass changeit -alias forgetgate -file {certificate}\n\
         \u{20} Python          REQUESTS_CA_BUNDLE=BUNDLE (requests), SSL_CERT_FILE=BUNDLE (others)\n\
         \u{20} Node.js         NODE_EXTRA_CA_CERTS={certificate}\n\
         \u{20} Go, Ruby, PHP   SSL_CERT_FILE=BUNDLE\n\
         \u{20} curl            curl --cacert {certificate}\n\
         BUNDLE takes the place of the system's list: it is that list with {certificate} appended.\n\n\
         When the upstreams name further hosts, make a new one beside it: this one is not good for them.\n"
    )
}

#[cfg(test)]
mod tests;
