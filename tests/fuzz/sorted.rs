//! Header lines in a form in which the gate's and hyper's can be compared: hyper's map keeps the order of one name's only.

use forgetgate::http1::Lines;
use http::HeaderMap;

/// The gate's own bound, so that the two do not differ in that.
pub const LINES_MAX: usize = 256;

/// Names in lower case, sorted by them; those of one name in their order.
pub type Sorted = Vec<(String, Vec<u8>)>;

pub fn lines(lines: &Lines) -> Sorted {
    let name = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
    by_name(lines.iter().map(|line| (name(line.name), line.value.to_vec())).collect())
}

pub fn map(map: &HeaderMap) -> Sorted {
    by_name(map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect())
}

fn by_name(mut lines: Sorted) -> Sorted {
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    lines
}
