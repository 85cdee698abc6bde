//! A test in a network of its own: the client's and the gate's machine here, the services' machine behind a cable.
//!
//! The test program runs itself again, once inside a new namespace and once more as the services.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::service;

/// Which part of a test a process plays.
const PART: &str = "FORGETGATE_TEST_PART";
/// Where the services' certificate is left.
pub(crate) const FOLDER: &str = "FORGETGATE_TEST_FOLDER";

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The addresses of the services' machine: those of the upstream, those of others, and one to which a host leads that the
/// upstream names.
pub(crate) const SERVICES: [&str; 5] = ["10.77.2.2", "fd77:2::2", "10.77.2.3", "fd77:2::3", "10.77.2.4"];

/// The network of one test.
pub(crate) struct Network {
    services: Vec<Child>,
    /// Whom the rules spare.
    gate_user: u32,
    pub(crate) folder: PathBuf,
}

/// Runs the test of this name in a network of its own.
#[track_caller]
pub(crate) fn in_its_own(test: &str, body: impl FnOnce(Network)) {
    match std::env::var(PART).as_deref() {
        Err(_) => whole(test),
        Ok("machine") => body(Network::build(test)),
        Ok(_) => service::serve(),
    }
}

#[track_caller]
fn whole(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    // The gate is another user.
    open_to_all(folder.path());
    let program = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--"])
        .arg(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(PART, "machine")
        .env(FOLDER, folder.path())
        .output()
        .expect("unshare, of Debian's package util-linux, can be run");
    let said = said(&output);
    assert!(
        !said.contains("unshare failed"),
        "these tests need root, to make network namespaces and users of their own: {said}"
    );
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn open_to_all(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Both outputs of a program.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What the machine knows of names, and of one that leads to itself.
const HOSTS: &str = "127.0.0.1 localhost\n10.77.2.3 other.test\nfd77:2::3 other6.test\n127.0.0.1 inner.test\n\
                     10.77.2.1 here.test\n10.77.2.2 behind.test\n169.254.169.254 metadata.test\n\
                     10.77.2.3 mixed.test\n127.0.0.1 mixed.test\n\
                     10.77.2.4 gateway.test\n10.77.2.4 other-name.test\n";

/// Runs a command that has to succeed.
#[track_caller]
pub(crate) fn run(command: &str) {
    let mut words = command.split(' ');
    let program = words.next().unwrap();
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be run ({error}): is its package installed?"));
    assert!(output.status.success(), "{command}: {}", said(&output));
}

/// Waits until something holds, looking often, and fails when that takes too long.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Network {
    /// A cable between two machines; all that is nowhere else is believed to be at its other end.
    fn build(test: &str) -> Self {
        let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
        let other = Command::new("unshare").args(["--net", "sleep", "infinity"]).stdin(Stdio::null()).spawn().unwrap();
        let there = other.id();
        let mut network = Self { services: vec![other], gate_user: crate::gate::USER, folder };
        let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
        eventually("the other namespace is there", || {
            std::fs::read_link(format!("/proc/{there}/ns/net")).is_ok_and(|theirs| theirs != ours)
        });
        run("ip link set lo up");
        run(&format!("ip link add here type veth peer name there netns {there}"));
        run("ip addr add 10.77.2.1/24 dev here");
        run("ip addr add fd77:2::1/64 dev here nodad");
        run("ip link set here up");
        for command in [
            "ip link set lo up",
            "ip addr add 10.77.2.2/24 dev there",
            "ip addr add 10.77.2.3/24 dev there",
            "ip addr add 10.77.2.4/24 dev there",
            "ip addr add fd77:2::2/64 dev there nodad",
            "ip addr add fd77:2::3/64 dev there nodad",
            "ip link set there up",
        ] {
            run(&format!("nsenter --target {there} --net {command}"));
        }
        let hosts = network.folder.join("hosts");
        std::fs::write(&hosts, HOSTS).unwrap();
        run(&format!("mount --bind {} /etc/hosts", hosts.display()));
        run("ip route add default via 10.77.2.2");
        run("ip -6 route add default via fd77:2::2");
        let service = Command::new("nsenter")
            .args(["--target", &there.to_string(), "--net"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(PART, "services")
            .spawn()
            .unwrap();
        network.services.push(service);
        for host in SERVICES {
            eventually("the services are there", || std::net::TcpStream::connect((host, 443)).is_ok());
        }
        network
    }

    /// The heads of all requests that the service at this address has seen.
    pub(crate) fn seen_at(&self, address: &str) -> String {
        std::fs::read_to_string(self.folder.join(format!("seen-{address}"))).unwrap_or_default()
    }

    /// Applies the rules that are offered for nftables, for the gate's user.
    pub(crate) fn redirect_with_nftables(&self) {
        let rules = std::fs::read_to_string(deployed("forgetgate.nft")).unwrap();
        let ours =
            rules.replace("define gate_user = \"forgetgate\"", &format!("define gate_user = {}", self.gate_user));
        assert_ne!(ours, rules, "the user's line is as it is known here");
        let path = self.folder.join("forgetgate.nft");
        std::fs::write(&path, ours).unwrap();
        // Twice: it takes the place of what it did before.
        for _ in 0..2 {
            run(&format!("nft -f {}", path.display()));
        }
    }

    /// The same for iptables.
    pub(crate) fn redirect_with_iptables(&self) {
        let program = deployed("forgetgate-iptables");
        for _ in 0..2 {
            run(&format!("{} apply {} 15001", program.display(), self.gate_user));
        }
    }
}

fn deployed(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/transparent").join(name)
}

impl Drop for Network {
    fn drop(&mut self) {
        for service in &mut self.services {
            service.kill().ok();
            service.wait().ok();
        }
    }
}
