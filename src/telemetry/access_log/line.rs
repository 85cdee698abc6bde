//! The bytes of an access line, the same that tracing's layer writes for an event with these fields.
//!
//! The layer's visitors and formatters cost more per request than all else that the gate does for its log. Here the words
//! that stand in every line are made once, in the look that the log has, and a line is put together from them.

use std::sync::Arc;

use super::record::Packed;
use crate::config::LogFormat;
use crate::domain::UnixSeconds;
use crate::telemetry::clock::rfc3339;
use crate::telemetry::logging::Look;

const MICROS_PER_SECOND: u64 = 1_000_000;

/// Writes lines in one look.
#[derive(Debug)]
pub(super) struct Layout {
    look: Look,
    /// The second that `begin` shows.
    second: Option<u64>,
    /// What stands before the parts of a second.
    begin: String,
    /// From behind the time to the method, for each upstream.
    upstreams: Box<[String]>,
    /// The same where there is no upstream.
    nowhere: String,
    call: String,
    status: String,
    refusal: String,
    bytes_in: String,
    bytes_out: String,
    took_us: String,
    ended: String,
    request_id: String,
    /// What closes a line behind the ID, and one without.
    ends: [String; 2],
}

impl Layout {
    /// For the upstreams of these names, in this order.
    pub(super) fn new(look: Look, names: &[Arc<str>]) -> Self {
        let key = |name: &str| look.separator().to_owned() + &look.key(name);
        let word = |name: &str| key(name) + "\"";
        Self {
            look,
            second: None,
            begin: String::new(),
            upstreams: words_of(look, names),
            nowhere: look.level().to_owned() + &look.method(),
            call: key("call"),
            status: key("status"),
            refusal: word("refusal"),
            bytes_in: key("bytes_in"),
            bytes_out: key("bytes_out"),
            took_us: key("took_us"),
            ended: word("ended"),
            request_id: key("request_id") + look.quote(),
            ends: [look.quote().to_owned() + look.end(), look.end().to_owned()],
        }
    }

    /// Whether an upstream of this slot has been named.
    pub(super) fn knows(&self, slot: u16) -> bool {
        usize::from(slot) < self.upstreams.len()
    }

    /// From now on these are the upstreams.
    pub(super) fn rename(&mut self, names: &[Arc<str>]) {
        self.upstreams = words_of(self.look, names);
    }

    /// Puts one line, its end included, at the end of `line`. `unix_us` is when it ended, in microseconds since 1970.
    pub(super) fn write(&mut self, record: &Packed, unix_us: u64, line: &mut Vec<u8>) {
        self.write_time(unix_us, line);
        let upstream = record.upstream.and_then(|place| self.upstreams.get(usize::from(place)));
        put_word(line, upstream.unwrap_or(&self.nowhere), record.method.as_str());
        if let Some(call) = &record.call {
            put(line, &self.call);
            self.write_string(call, line);
        }
        put_number(line, &self.status, record.status);
        if let Some(code) = record.refusal {
            put_word(line, &self.refusal, code.as_str());
        }
        put_number(line, &self.bytes_in, record.bytes_in);
        put_number(line, &self.bytes_out, record.bytes_out);
        put_number(line, &self.took_us, record.took_us);
        put_word(line, &self.ended, record.ended.as_str());
        let [behind_id, end] = &self.ends;
        if let Some(id) = record.request_id {
            put(line, &self.request_id);
            put(line, id.hyphenated().encode_lower(&mut [0; uuid::fmt::Hyphenated::LENGTH]));
            put(line, behind_id);
        } else {
            put(line, end);
        }
    }

    /// The time with its microseconds. All but those changes once a second and is kept.
    fn write_time(&mut self, unix_us: u64, line: &mut Vec<u8>) {
        let second = unix_us / MICROS_PER_SECOND;
        if self.second != Some(second) {
            let time = rfc3339(UnixSeconds(second));
            self.begin = [self.look.begin(), time.trim_end_matches('Z'), "."].concat();
            self.second = Some(second);
        }
        put(line, &self.begin);
        // The one in front makes the zeros that lead be written, and is cut off.
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(MICROS_PER_SECOND + unix_us % MICROS_PER_SECOND);
        put(line, digits.get(1..).unwrap_or_default());
    }

    fn write_string(&self, text: &str, line: &mut Vec<u8>) {
        if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
            line.push(b'"');
            put(line, text);
            line.push(b'"');
        } else {
            put(line, &self.look.string(text));
        }
    }
}

/// From behind the time to the method, for each upstream.
fn words_of(look: Look, names: &[Arc<str>]) -> Box<[String]> {
    let method = look.method();
    let words = |name| [look.level(), &look.key("upstream"), &look.string(name), look.separator(), &method].concat();
    names.iter().map(|name| words(name)).collect()
}

/// Bytes that stand for themselves between quotes, whatever the look.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn put(line: &mut Vec<u8>, text: &str) {
    line.extend_from_slice(text.as_bytes());
}

/// A word of ours, which has nothing to escape. `key` opens the quotes.
fn put_word(line: &mut Vec<u8>, key: &str, word: &str) {
    put(line, key);
    put(line, word);
    line.push(b'"');
}

fn put_number(line: &mut Vec<u8>, key: &str, number: impl itoa::Integer) {
    put(line, key);
    put(line, itoa::Buffer::new().format(number));
}

/// The pieces that the layer writes around times, names and values; with colours it does so around each piece.
impl Look {
    /// Before the time.
    const fn begin(self) -> &'static str {
        match self.format {
            LogFormat::Json => "{\"timestamp\":\"",
            LogFormat::Text if self.ansi => "\x1b[2m",
            LogFormat::Text => "",
        }
    }

    /// Behind the time.
    const fn level(self) -> &'static str {
        match self.format {
            LogFormat::Json => "Z\",\"level\":\"INFO\",",
            LogFormat::Text if self.ansi => "Z\x1b[0m \x1b[32m INFO\x1b[0m \x1b[2maccess\x1b[0m\x1b[2m:\x1b[0m ",
            LogFormat::Text => "Z  INFO access: ",
        }
    }

    /// Before a value.
    fn key(self, name: &str) -> String {
        match self.format {
            LogFormat::Json => format!("\"{name}\":"),
            LogFormat::Text if self.ansi => format!("\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m"),
            LogFormat::Text => format!("{name}="),
        }
    }

    /// Before the method's name.
    fn method(self) -> String {
        self.key("method") + "\""
    }

    /// Between two fields.
    const fn separator(self) -> &'static str {
        match self.format {
            LogFormat::Json => ",",
            LogFormat::Text => " ",
        }
    }

    /// Around what is no string and no number.
    const fn quote(self) -> &'static str {
        match self.format {
            LogFormat::Json => "\"",
            LogFormat::Text => "",
        }
    }

    /// Any text, escaped and in quotes.
    fn string(self, text: &str) -> String {
        match self.format {
            LogFormat::Json => serde_json::Value::from(text).to_string(),
            LogFormat::Text => format!("{text:?}"),
        }
    }

    /// Behind the last field.
    const fn end(self) -> &'static str {
        match self.format {
            LogFormat::Json => ",\"target\":\"access\"}\n",
            LogFormat::Text => "\n",
        }
    }
}
