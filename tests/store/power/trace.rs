//! What the recorder wrote down, read back.

use std::path::PathBuf;

/// One change to the files, or one sync, in the order in which they happened.
#[derive(Debug)]
pub(super) enum Event {
    Create(PathBuf),
    Directory(PathBuf),
    Write { path: PathBuf, offset: u64, bytes: Vec<u8> },
    Truncate { path: PathBuf, length: u64 },
    Sync(PathBuf),
    SyncNames(PathBuf),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
}

/// Reads a whole trace. The last record may be cut off, by the kill that ended the run.
pub(super) fn events(mut trace: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some((event, rest)) = event(trace) {
        events.push(event);
        trace = rest;
    }
    assert!(events.len() > 100, "only {} events were recorded", events.len());
    events
}

fn event(trace: &[u8]) -> Option<(Event, &[u8])> {
    let (head, rest) = trace.split_first_chunk::<25>()?;
    let number = |at: usize, length: usize| {
        let bytes = &head[at..at + length];
        bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let length = |at, length| usize::try_from(number(at, length)).unwrap();
    let (path, rest) = rest.split_at_checked(length(1, 4))?;
    let (second, rest) = rest.split_at_checked(length(5, 4))?;
    let (bytes, rest) = rest.split_at_checked(length(17, 8))?;
    let as_path = |bytes: &[u8]| PathBuf::from(String::from_utf8(bytes.to_vec()).unwrap());
    let (path, second, offset) = (as_path(path), as_path(second), number(9, 8));
    let event = match head[0] {
        b'c' => Event::Create(path),
        b'm' => Event::Directory(path),
        b'w' => Event::Write { path, offset, bytes: bytes.to_vec() },
        b't' => Event::Truncate { path, length: offset },
        b's' => Event::Sync(path),
        b'd' => Event::SyncNames(path),
        b'u' => Event::Remove(path),
        b'r' => Event::Rename(path, second),
        b'l' => Event::Link(path, second),
        other => panic!("the trace holds the unknown operation {other}"),
    };
    Some((event, rest))
}
