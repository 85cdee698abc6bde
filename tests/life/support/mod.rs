//! What all of these tests use: a gate as a child process, a plain HTTP client, a service of bare sockets, and patience.

pub(crate) mod gate;
pub(crate) mod http;
pub(crate) mod upstream;

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use forgetgate_stand_ins::{Kind, Options, Running, Service};
use tokio::time::Instant;

pub(crate) use self::gate::{Gate, Setup, Site};
pub(crate) use self::http::{Answer, Call};

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds, looking often, and fails when that takes too long.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let mut failing = || if holds() { Some(()) } else { None };
    eventually_some(what, &mut failing);
}

/// Waits until there is something.
pub(crate) fn eventually_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Lets a random part of `longest` go by, so that what follows happens at a moment that nobody chose.
pub(crate) fn at_some_moment(longest: Duration) {
    let micros = u64::try_from(longest.as_micros()).unwrap();
    thread::sleep(Duration::from_micros(fastrand::u64(0..=micros)));
}

/// So many of the `full` rounds of a campaign as `FORGETGATE_CAMPAIGN` asks for, one at least.
pub(crate) fn rounds(full: u32) -> u32 {
    let percent = std::env::var("FORGETGATE_CAMPAIGN").ok().and_then(|text| text.parse().ok()).unwrap_or(10_u32);
    (full * percent / 100).max(1)
}

/// A Speech to Text that lets anyone in.
pub(crate) fn service() -> Running {
    service_for(Options::default())
}

/// One that lets in those whom `options` names.
pub(crate) fn service_for(options: Options) -> Running {
    service_of(Kind::SpeechToText, options)
}

pub(crate) fn service_of(kind: Kind, options: Options) -> Running {
    Service::start(kind, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).unwrap()
}
