//! A gate before a service: the real application, its configuration read from a text as everybody's is.

use std::net::SocketAddr;

use forgetgate::app::{self, Running};
use forgetgate::config::{self, Address};
use tempfile::TempDir;

use crate::client::{Answer, Client, request};
use crate::upstream::{Seen, Upstream};

/// The line that labels a request as Alice's.
pub(crate) const LABEL: &str = "X-Watson-Metadata: customer_id=alice";
/// A labelled call of the Assistant, with the route before it.
pub(crate) const MESSAGE: &str = "POST /api/v1/workspaces/w/message?version=2021-06-14";
/// A call that carries nobody's data.
pub(crate) const PLAIN: &str = "GET /api/v1/workspaces";

/// What a world is made of. Tests change what they are about.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) profile: &'static str,
    /// Lines of `[upstream.policy]`.
    pub(crate) policy: &'static str,
    /// Lines of `[limits]`.
    pub(crate) limits: &'static str,
    /// Further keys of `[[listen]]`, and then whole tables of further listeners.
    pub(crate) listen: String,
    /// Further lines of `[[upstream]]`.
    pub(crate) upstream: String,
    /// The path of the upstream's URL.
    pub(crate) base: &'static str,
    pub(crate) scheme: &'static str,
    pub(crate) route: &'static str,
    pub(crate) engine: &'static str,
    pub(crate) workers: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            profile: "watson-assistant",
            policy: "",
            limits: "",
            listen: String::new(),
            upstream: String::new(),
            base: "",
            scheme: "http",
            route: "{ path = \"/api\" }",
            engine: "memory",
            workers: 1,
        }
    }
}

/// A gate that runs, and the service behind it.
pub(crate) struct World {
    /// `None` only while it is being stopped.
    gate: Option<Running>,
    pub(crate) address: SocketAddr,
    pub(crate) upstream: Upstream,
    _folder: TempDir,
}

impl World {
    /// The Assistant, with every policy as it is by default.
    pub(crate) fn start() -> Self {
        Self::of(Plan::default())
    }

    pub(crate) fn of(plan: Plan) -> Self {
        Self::before(Upstream::scripted(), plan)
    }

    pub(crate) fn with_policy(policy: &'static str) -> Self {
        Self::of(Plan { policy, ..Plan::default() })
    }

    #[expect(clippy::needless_pass_by_value, reason = "a plan is written where it is used")]
    pub(crate) fn before(upstream: Upstream, plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = text(&plan, upstream.address);
        let loaded = config::parse(&text, folder.path()).unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
        let gate = app::start(loaded.config).unwrap();
        let address = gate.addresses[0];
        Self { gate: Some(gate), address, upstream, _folder: folder }
    }

    pub(crate) fn client(&self) -> Client {
        Client::to(self.address)
    }

    /// Sends one request over a connection of its own, and reads its answer.
    #[track_caller]
    pub(crate) fn ask(&self, bytes: impl AsRef<[u8]>) -> Answer {
        self.client().ask(bytes)
    }

    /// A request that is forwarded: it as the service saw it.
    #[track_caller]
    pub(crate) fn forwarded(&self, bytes: impl AsRef<[u8]>) -> Seen {
        let before = self.upstream.seen().len();
        let answer = self.ask(bytes);
        assert_eq!(answer.values("forgetgate-refusal"), Vec::<String>::new(), "{} {}", answer.head, answer.text());
        self.upstream.saw(before + 1).pop().unwrap()
    }

    /// A request that is refused, and of which the service sees nothing, not even a connection's first byte.
    #[track_caller]
    pub(crate) fn refused(&self, bytes: impl AsRef<[u8]>, status: u16, code: &str) -> Answer {
        let answer = self.ask(bytes);
        answer.assert_refused(status, code);
        self.assert_untouched();
        answer
    }

    /// The service has seen nothing at all. To be certain that nothing is on its way, a call of our own is sent behind it:
    /// connections are accepted in their order.
    #[track_caller]
    pub(crate) fn assert_untouched(&self) {
        assert_eq!(self.upstream.seen().len(), 0, "{:?}", self.upstream.seen());
        let ours = "GET /api/v1/workspaces?ours";
        assert_eq!(self.ask(request(ours, &[], "")).status, 200);
        assert_eq!(self.upstream.only().line(), "GET /v1/workspaces?ours HTTP/1.1");
        assert_eq!(self.upstream.connections(), 1, "a connection had been made before");
        assert!(self.upstream.bytes(0).starts_with(b"GET /v1/workspaces?ours HTTP/1.1\r\n"));
    }

    /// An answer of the admin API's.
    #[track_caller]
    pub(crate) fn admin(&self, path: &str) -> Answer {
        let Address::Tcp(admin) = self.running().admin else { panic!("the admin API is not on TCP") };
        Client::to(admin).ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    /// A number of `/metrics`, 0 where it is not.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.admin("/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// The gate, as the application gives it.
    pub(crate) fn running(&self) -> &Running {
        self.gate.as_ref().unwrap()
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.gate.as_ref().unwrap().in_flight()
    }

    /// Stops the gate as SIGTERM does. Gives `false` if something was cut.
    pub(crate) fn stop(&mut self) -> bool {
        self.gate.take().unwrap().stop()
    }

    /// The gate, to be stopped from another thread.
    pub(crate) fn take_gate(&mut self) -> Running {
        self.gate.take().unwrap()
    }
}

pub(crate) fn text(plan: &Plan, address: SocketAddr) -> String {
    let Plan { profile, policy, limits, listen, upstream, base, scheme, route, engine, workers } = plan;
    let authority = if *scheme == "https" { format!("localhost:{}", address.port()) } else { address.to_string() };
    format!(
        r#"
        [[listen]]
        address = "127.0.0.1:0"
        {listen}
        [process]
        workers = {workers}
        [log]
        access = false
        [admin]
        address = "127.0.0.1:0"
        [store]
        engine = "{engine}"
        path = "index"
        key = {{ file = "index.key" }}
        [limits]
        {limits}
        [[upstream]]
        name = "service"
        profile = "{profile}"
        url = "{scheme}://{authority}{base}"
        route = {route}
        {upstream}
        [upstream.policy]
        {policy}
        "#
    )
}
