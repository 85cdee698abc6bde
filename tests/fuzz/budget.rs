//! A budget for readers (P12): what they do may grow with the bytes that they read, and not faster. A piece of the input comes
//! again and again, as whoever wants to hold up a worker would write it, and what that costs is held against its length.

use std::time::Duration;

use forgetgate::domain::steps;

/// The readers' own count of what they look at, for each byte.
const STEPS_PER_BYTE: usize = 64;
/// How much longer the longer text is made, and how many times as long as its length allows it may take. A reader whose work
/// grows with the square would take sixteen times as long as that.
const LONGER: usize = 16;
const SLOWER_MAX: f64 = 3.0;
/// Less than this is no measure of anything.
const LEAST: Duration = Duration::from_micros(100);

/// The input with its middle again and again, so that it has at least this many bytes. The first two bytes say where the middle
/// begins and how long it is.
fn pumped(data: &[u8], bytes: usize) -> Vec<u8> {
    let Some(([begin, length], rest)) = data.split_first_chunk::<2>() else { return data.to_vec() };
    let begin = usize::from(*begin) % (rest.len() + 1);
    let length = usize::from(*length) % (rest.len() - begin + 1);
    let (before, middle, behind) = (&rest[..begin], &rest[begin..begin + length], &rest[begin + length..]);
    let times = bytes / middle.len().max(1);
    [before, &middle.repeat(if middle.is_empty() { 0 } else { times }), behind].concat()
}

/// Holds a reader to its budget. It gives how many bytes it had to read. Sixteen times as much takes about sixteen times as
/// long, also where a library reads, which counts no steps. One measurement says nothing, so what looks slow is measured again,
/// and the best of many counts.
pub fn keeps(data: &[u8], bytes: usize, read: impl Fn(&[u8]) -> usize) {
    let time = |text: &[u8]| {
        let begun = worked();
        let length = read(text);
        (worked().saturating_sub(begun), length)
    };
    let (short, long) = (pumped(data, bytes), pumped(data, LONGER * bytes));
    let (mut of_short, least) = time(&short);
    let (mut of_long, mut length) = (Duration::ZERO, 0);
    let steps = steps::of(|| (of_long, length) = time(&long));
    assert!(steps <= STEPS_PER_BYTE * (length + 256), "{steps} steps for {length} bytes");
    if least < bytes || length < 4 * least {
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "texts are short")]
    let allowed = SLOWER_MAX * length as f64 / least as f64;
    let is_slow = |short: Duration, long: Duration| long > short.max(LEAST).mul_f64(allowed);
    for _ in 0..20 {
        if !is_slow(of_short, of_long) {
            return;
        }
        (of_short, of_long) = (of_short.max(time(&short).0), of_long.min(time(&long).0));
    }
    assert!(!is_slow(of_short, of_long), "{least} bytes take {of_short:?}, {length} take {of_long:?}");
}

/// How long this thread has worked so far: what others do on the machine is no time of its own.
fn worked() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}
