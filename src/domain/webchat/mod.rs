//! IBM Web Chat in pages: finds the configuration that a page embeds, and sets `learningOptOut: true` in it.
//!
//! The configuration itself is rewritten, in place. A script of the gate's own beside it would need the page's
//! Content-Security-Policy to allow it, and would depend on which of the two runs first.
//! See docs/decisions/024-web-chat.md.

mod charset;
mod finding;
mod page;
mod pin;
mod script;

pub use self::charset::type_hides_ascii;
pub use self::finding::{Finding, Findings};
pub use self::page::{Page, is_javascript};
pub use self::pin::{hashes, hashes_of};
pub use self::script::{Edited, Script, edited};

/// The global variable that Web Chat reads its configuration from.
const OPTIONS: &str = "watsonAssistantChatOptions";

/// The function of earlier versions, which takes the configuration.
const LOADER: &str = "loadWatsonAssistantChat";

/// The property that opts out.
const OPT_OUT: &str = "learningOptOut";
