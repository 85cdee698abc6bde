//! Stand-ins for the services that the gate fronts: real HTTP servers on loopback, each with a memory of its own.
//!
//! They are written from the services' documentation and know nothing of the gate's own profiles, so that one mistake
//! cannot hide in both places. Where the documentation leaves room they behave in the way that is hardest on a gate: a
//! path is read as leniently as any server reads it, and data is stored at the end of a call, not at its beginning.

mod answer;
mod catalogue;
mod handle;
mod inspect;
mod keeper;
mod knobs;
mod label;
mod logs;
mod memory;
mod seen;
mod server;
mod tap;
mod tokens;
mod wav;
mod websocket;

pub use self::knobs::{Options, Silence};
pub use self::memory::Row;
pub use self::seen::Seen;
pub use self::server::{Running, Service};

/// What a stand-in stands in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Watson Assistant, v1 and v2.
    Assistant,
    /// Speech to Text v1.
    SpeechToText,
    /// Text to Speech v1.
    TextToSpeech,
    /// Visual Recognition, v3 and v4.
    VisualRecognition,
    /// Discovery, v1 and v2.
    Discovery,
    /// Natural Language Understanding v1: it stores nothing and has no delete.
    Language,
    /// The token services: IAM and Cloud Pak for Data.
    Tokens,
}

impl Kind {
    /// Every kind, in the order in which `--services-only` lists them.
    pub const ALL: [Self; 7] = [
        Self::Assistant,
        Self::SpeechToText,
        Self::TextToSpeech,
        Self::VisualRecognition,
        Self::Discovery,
        Self::Language,
        Self::Tokens,
    ];

    /// Its name for people, such as `speech-to-text`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Assistant => "assistant",
            Self::SpeechToText => "speech-to-text",
            Self::TextToSpeech => "text-to-speech",
            Self::VisualRecognition => "visual-recognition",
            Self::Discovery => "discovery",
            Self::Language => "natural-language-understanding",
            Self::Tokens => "tokens",
        }
    }

    /// The kind that a built-in profile such as `watson-assistant` describes.
    #[must_use]
    pub fn of_profile(profile: &str) -> Option<Self> {
        let name = profile.strip_prefix("watson-")?;
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether a delete without `?version=` fails there.
    const fn wants_version(self) -> bool {
        matches!(self, Self::Assistant | Self::VisualRecognition | Self::Discovery)
    }
}
