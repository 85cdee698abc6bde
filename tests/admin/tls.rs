//! The admin API over TLS, and the commands that call it there.

use std::fs;
use std::path::Path;
use std::process::Command;

use forgetgate::app::{self, Running};
use forgetgate::config::{self, Address};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::cli::typed;

/// An authority in `NAME-ca.pem`, and a certificate for localhost that it has signed in `NAME.pem` and `NAME.key`.
fn issue(folder: &Path, name: &str) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // Told from what it signs: OpenSSL takes a certificate whose issuer is its subject for a root.
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "gate.internal".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    for (file, content) in [("-ca.pem", authority.pem()), (".pem", certificate.pem()), (".key", key.serialize_pem())] {
        fs::write(folder.join(format!("{name}{file}")), content).unwrap();
    }
}

/// The text of a configuration whose admin API is at `address` and has this `tls`.
fn text(address: &str, tls: &str) -> String {
    format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[process]\nworkers = 1\n\
         [admin]\naddress = \"{address}\"\ntoken = {{ file = \"token\" }}\ntls = {tls}\n\
         [store]\nengine = \"memory\"\nkey = {{ file = \"store.key\" }}\n\
         [[upstream]]\nname = \"one\"\nprofile = \"watson-assistant\"\nurl = \"http://127.0.0.1:1\"\nroute = {{ path = \"/one\" }}\n"
    )
}

struct Gate {
    running: Option<Running>,
    folder: TempDir,
    port: u16,
}

impl Gate {
    /// A gate whose admin API has this `tls`; `config.toml` says where it is.
    async fn with(tls: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["gate", "other"] {
            issue(folder.path(), name);
        }
        fs::write(folder.path().join("token"), "secret").unwrap();
        let config = config::parse(&text("127.0.0.1:0", tls), folder.path()).unwrap().config;
        let running = tokio::task::spawn_blocking(|| app::start(config).unwrap()).await.unwrap();
        let Address::Tcp(address) = running.admin else { panic!("it is on TCP") };
        let gate = Self { running: Some(running), folder, port: address.port() };
        gate.write("config.toml", tls);
        gate
    }

    fn write(&self, name: &str, tls: &str) {
        fs::write(self.folder.path().join(name), text(&format!("127.0.0.1:{}", self.port), tls)).unwrap();
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    async fn stop(mut self) {
        let running = self.running.take().unwrap();
        assert!(tokio::task::spawn_blocking(|| running.stop()).await.unwrap());
    }
}

const SHOWN: &str = "{ cert = \"gate.pem\", key = \"gate.key\" }";

#[tokio::test]
async fn p10_the_commands_believe_the_certificate_that_their_configuration_names() {
    let gate = Gate::with(SHOWN).await;
    let found = typed(&["erasures", "--config", &gate.file("config.toml")], "").await;
    assert_eq!((found.code, found.text.as_str()), (0, "There are no erasures.\n"), "{found:?}");

    // Whoever sits there with another certificate is sent no token.
    gate.write("other.toml", "{ cert = \"other.pem\", key = \"other.key\" }");
    let refused = typed(&["erasures", "--config", &gate.file("other.toml")], "").await;
    assert!(refused.code == 1 && refused.complaint.contains("unknown issuer"), "{refused:?}");
    gate.stop().await;
}

#[tokio::test]
async fn p10_with_an_url_the_signer_and_the_name_count() {
    let gate = Gate::with(SHOWN).await;
    let (url, token) = (gate.url(), gate.file("token"));
    let call = |ca: &'static str, url: &str| {
        let ca = gate.file(ca);
        let (url, token) = (url.to_owned(), token.clone());
        async move { typed(&["erasures", "--admin", &url, "--token-file", &token, "--ca", &ca], "").await }
    };
    assert_eq!(call("gate-ca.pem", &url).await.code, 0);
    let stranger = call("other-ca.pem", &url).await;
    assert!(stranger.code == 1 && stranger.complaint.contains("unknown issuer"), "{stranger:?}");
    let misnamed = call("gate-ca.pem", &url.replace("localhost", "127.0.0.1")).await;
    assert!(misnamed.code == 1 && misnamed.complaint.contains("another name"), "{misnamed:?}");
    let plain = typed(&["erasures", "--admin", &url.replace("https", "http"), "--token-file", &token], "").await;
    assert_eq!(plain.code, 1, "{plain:?}");
    gate.stop().await;
}

#[tokio::test]
async fn p10_who_has_to_show_a_certificate_is_let_in_by_it_only() {
    let gate = Gate::with("{ cert = \"gate.pem\", key = \"gate.key\", client_ca = \"other-ca.pem\" }").await;
    let config = gate.file("config.toml");
    let nobody = typed(&["erasures", "--config", &config], "").await;
    assert!(nobody.code == 1 && nobody.text.is_empty(), "{nobody:?}");
    let call = |name: &str| (gate.file(&format!("{name}.pem")), gate.file(&format!("{name}.key")));
    for (name, code) in [("other", 0), ("gate", 1)] {
        let (cert, key) = call(name);
        let answer = typed(&["erasures", "--config", &config, "--cert", &cert, "--key", &key], "").await;
        assert_eq!(answer.code, code, "{answer:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn p13_metrics_and_health_are_read_by_others_over_tls() {
    let gate = Gate::with(SHOWN).await;
    for page in ["healthz", "readyz", "metrics"] {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail", "--max-time", "20", "--cacert", &gate.file("gate-ca.pem")]);
        if page == "metrics" {
            curl.args(["--oauth2-bearer", "secret"]);
        }
        curl.arg(format!("{}/{page}", gate.url()));
        let output = tokio::task::spawn_blocking(move || curl.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{page}: {}", String::from_utf8_lossy(&output.stderr));
    }
    gate.stop().await;
}
