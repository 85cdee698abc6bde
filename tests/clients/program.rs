//! The programs of the clients' users: installing the SDKs once, running a program, reading what it says.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::gate::{PATIENCE, installed};

/// What the user of a client sees of one call.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Answer {
    call: String,
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// A language with an SDK, or with a client of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    Node,
    /// Without an SDK: the client that the JDK brings.
    Java,
}

/// What a program does with its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Plain calls of every service.
    Client,
    /// WebSockets of the two services that have them.
    Dictation,
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Dictation => "dictation",
        }
    }

    /// A Java source is named as its class.
    const fn class(self) -> &'static str {
        match self {
            Self::Client => "Client.java",
            Self::Dictation => "Dictation.java",
        }
    }
}

impl Language {
    /// The customer of this language's programs: an ID that nobody would write by chance, to be searched for in logs.
    pub(crate) const fn person(self) -> &'static str {
        match self {
            Self::Python => "py_canary_7f3a",
            Self::Node => "js_canary_9c1d",
            Self::Java => "jdk_canary_4b2e",
        }
    }

    fn command(self, program: Program) -> Command {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        // A client that hangs is a failure of the test and not of the machine.
        let mut command = Command::new("timeout");
        command.arg((4 * PATIENCE.as_secs()).to_string());
        let file = |ending: &str| sources.join(program.name()).with_extension(ending);
        match self {
            Self::Python => command.arg(installed().join("python/bin/python")).arg(file("py")),
            Self::Node => command.arg("node").arg(file("js")).env("NODE_PATH", installed().join("node/node_modules")),
            Self::Java => command.arg("java").arg(sources.join(program.class())),
        };
        command
    }
}

/// Runs a program of that language against `base`; what its user saw, by the names of the calls.
pub(crate) fn run(language: Language, program: Program, base: &str, way: &str) -> BTreeMap<String, Answer> {
    install();
    let output = language.command(program).args([base, way, language.person()]).output().expect("a client can be run");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{language:?} {program:?} {way}: {}\n{said}\n{errors}", output.status);
    let answers = said.lines().map(|line| serde_json::from_str::<Answer>(line).expect("a line is an answer"));
    answers.map(|answer| (answer.call.clone(), answer)).collect()
}

/// Installs the SDKs and the suite of WebSocket cases, unless they are there.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/install");
        let target = installed();
        let target = target.parent().expect("the SDKs lie in the target folder");
        let status = Command::new(script).env("CARGO_TARGET_DIR", target).status().expect("the script can be run");
        assert!(status.success(), "the SDKs could not be installed");
    });
}

/// The digest of the sound that the programs send.
pub(crate) fn digest_of_audio() -> String {
    let audio: Vec<u8> = (0..300_000_u32).filter_map(|place| u8::try_from((place * 31 + 7) % 251).ok()).collect();
    HEXLOWER.encode(&Sha256::digest(audio))
}
