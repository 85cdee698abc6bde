//! What is said of a panic: the place in the code and the thread, and nothing more.
//!
//! A panic's message is written by whoever panicked, a library as well, from the values at hand: a customer's ID, a key, a
//! path. So no message is ever written (P7), and the line that is written has the log's own form.

use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::thread;

use super::events;
use super::logging;

/// From now on every panic of this process is a log line; before there is a log, a line of plain text on standard error.
pub fn report_panics() {
    panic::set_hook(Box::new(report));
}

fn report(panicked: &PanicHookInfo<'_>) {
    let place = panicked.location().map_or_else(|| "-".to_owned(), |at| format!("{}:{}", at.file(), at.line()));
    let thread = thread::current();
    let thread = thread.name().unwrap_or("-");
    if logging::is_set_up() {
        events::Panicked { place: &place, thread }.emit();
    } else {
        // To fail at this would end the process.
        writeln!(io::stderr(), "forgetgate: a thread panicked: place={place} thread={thread}").ok();
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::thread;

    use super::report_panics;
    use crate::config::{Log, LogFormat};
    use crate::telemetry::init_logging;

    /// Set for the process that panics: how its log looks.
    const CHILD: &str = "FORGETGATE_PANICS_CHILD";
    const CANARY: &str = "zq7canary9kx";
    const NAME: &str = "telemetry::panics::tests::p7_a_panic_is_a_log_line_that_says_where_and_never_what";

    /// Panics of every kind of payload, with the canary in each.
    fn panic_in_every_way() {
        let ways: [fn(); 5] = [
            || panic!("{CANARY}"),
            || panic!("customer {}", CANARY.to_owned()),
            || CANARY.parse::<u8>().map(|_| ()).map_err(|_| CANARY).unwrap(),
            || assert!(CANARY.parse::<u8>().expect(CANARY) > 0),
            || std::panic::panic_any(CANARY.to_owned()),
        ];
        for way in ways {
            assert!(thread::Builder::new().name("worker-7".into()).spawn(way).unwrap().join().is_err());
        }
    }

    fn child(format: &str) -> String {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([NAME, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, format);
        child.env("RUST_BACKTRACE", "full").env_remove("RUST_LOG").stdin(Stdio::null());
        let output = child.output().unwrap();
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    #[test]
    fn p7_a_panic_is_a_log_line_that_says_where_and_never_what() {
        if let Ok(format) = std::env::var(CHILD) {
            let format = match format.as_str() {
                "json" => Some(LogFormat::Json),
                "text" => Some(LogFormat::Text),
                _ => None,
            };
            let log = |format| Log { format, level: "info".into(), access: false };
            let _logging = format.map(|format| init_logging(&log(format)).unwrap());
            report_panics();
            panic_in_every_way();
            return;
        }
        for format in ["none", "text", "json"] {
            let said = child(format);
            assert!(!said.contains(CANARY), "{format}: {said}");
            let lines: Vec<&str> = said.lines().filter(|line| line.contains("a thread panicked")).collect();
            assert_eq!((lines.len(), said.lines().count()), (5, 5), "{format}: {said}");
            for line in lines {
                assert!(line.contains("worker-7") && line.contains("panics.rs:"), "{format}: {line}");
                if format == "json" {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert_eq!((&line["level"], &line["thread"]), (&"ERROR".into(), &"worker-7".into()));
                }
            }
        }
    }
}
