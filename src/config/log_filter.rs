//! What a log filter is, for `log.level` and for `RUST_LOG` alike.

use tracing_subscriber::EnvFilter;

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// How a filter is written.
pub const LOG_FILTER_FORM: &str =
    "error, warn, info, debug, trace or off, also per target: \"info,forgetgate::proxy=debug\"";

/// Whether it is a filter. A bare word that is no level would be taken for a target's name and silence everything else:
/// it is none.
#[must_use]
pub fn is_log_filter(text: &str) -> bool {
    let mut directives = text.split(',').map(str::trim);
    let said = directives.all(|one| one.contains('=') || LEVELS.contains(&one.to_ascii_lowercase().as_str()));
    said && EnvFilter::try_new(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_log_filter;

    #[test]
    fn p11_a_word_that_is_no_level_is_no_filter() {
        for word in ["warning", "verbose", "1", "true", "info,loud", "information", ""] {
            assert!(!is_log_filter(word), "{word}");
        }
        for filter in ["info", "WARN", "off", "info,access=off", "warn,forgetgate=debug"] {
            assert!(is_log_filter(filter), "{filter}");
        }
    }
}
