//! A budget for readers (P12): what they do may grow with the bytes that they read, and not faster. A piece of the input comes
//! again and again, as whoever wants to hold up a worker would write it, and what that costs is held against its length.

use std::time::{Duration, Instant};

use forgetgate::domain::steps;

/// The readers' own count of what they look at, for each byte.
const STEPS_PER_BYTE: usize = 64;
/// How much longer the longer text is, and how much longer it may take: a square of it would take sixteen times sixteen.
const LONGER: usize = 16;
const SLOWER_MAX: u32 = 80;
/// Less than this is no measure of anything.
const LEAST: Duration = Duration::from_micros(50);

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

/// Holds a reader to its budget. It gives how many bytes it was given to read, where that is not the length of the input.
/// Sixteen times as much takes about sixteen times as long, also where a library reads, which counts no steps. One measurement
/// says nothing, so what looks slow is measured again, and the best of many counts.
pub fn keeps(data: &[u8], bytes: usize, read: impl Fn(&[u8]) -> usize) {
    let (short, long) = (pumped(data, bytes), pumped(data, LONGER * bytes));
    let mut length = 0;
    let time = |text: &[u8], length: &mut usize| {
        let begun = Instant::now();
        *length = read(text);
        begun.elapsed()
    };
    let mut of_short = time(&short, &mut length);
    let mut of_long = Duration::ZERO;
    let steps = steps::of(|| of_long = time(&long, &mut length));
    assert!(steps <= STEPS_PER_BYTE * (length + 256), "{steps} steps for {length} bytes");
    if long.len() < LONGER * bytes || short.len() > 2 * bytes {
        return;
    }
    for _ in 0..20 {
        if of_long <= SLOWER_MAX * of_short.max(LEAST) {
            return;
        }
        (of_short, of_long) = (of_short.max(time(&short, &mut length)), of_long.min(time(&long, &mut length)));
    }
    panic!("{} bytes take {of_short:?}, {} take {of_long:?}", short.len(), long.len());
}
