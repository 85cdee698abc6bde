//! File descriptors: each connection is one, on either side of the gate, and so are the store's files.
//!
//! Where the system gives few, callers' connections leave room for what keeps the gate alive: the admin port, the store and
//! the connections to services. Idle callers could otherwise silence it.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What the gate needs beside callers and services: the admin port's connections, listeners, the store, the runtime.
const OWN: u64 = 192;

/// Asks the system for as many as it gives at most. It may refuse: then what there is has to do.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok();
}

/// How many the system gives at most; `None` if as many as there are.
fn descriptors_max() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// How many callers' connections there may be at once, of so many that are configured: as many as descriptors are left for.
#[must_use]
pub fn connections_that_fit(connections_max: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return connections_max };
    connections_max.min(usize::try_from(room(limit)).unwrap_or(usize::MAX))
}

/// What is wrong with that many connections on this system, in a sentence.
#[must_use]
pub fn too_many_connections(connections_max: usize) -> Option<String> {
    let limit = descriptors_max()?;
    let fit = room(limit);
    (connections_max as u64 > fit).then(|| {
        format!(
            "connections_max = {connections_max} is more than {limit} file descriptors (the hard limit of this process) leave \
             room for: {fit} at once are accepted; raise the limit (LimitNOFILE, ulimit -n), or lower connections_max"
        )
    })
}

/// A quarter is kept for connections to services.
const fn room(limit: u64) -> u64 {
    let room = (limit - limit / 4).saturating_sub(OWN);
    if room == 0 { 1 } else { room }
}

#[cfg(test)]
mod tests {
    use super::{OWN, room};

    #[test]
    fn p12_callers_leave_descriptors_for_what_keeps_the_gate_alive() {
        for limit in [0, 64, 256, 1_024, 4_096, 65_536, 1 << 20] {
            let room = room(limit);
            assert!(room >= 1 && (room == 1 || room + OWN + limit / 4 <= limit), "{limit}: {room}");
        }
        assert_eq!(room(1_024), 576);
    }
}
