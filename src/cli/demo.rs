//! `forgetgate demo`: hands over to the demonstration, which is a program of its own.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::answer::{Answer, Failure};

/// The demonstration's program.
const PROGRAM: &str = "forgetgate-demo";

/// Becomes the demonstration, with these arguments, if it lies beside this program. Gives an answer only if it does not.
#[must_use]
pub fn demo(arguments: &[impl AsRef<OsStr>]) -> Answer {
    Err(failed(arguments)).into()
}

fn failed(arguments: &[impl AsRef<OsStr>]) -> Failure {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM));
    let Some(program) = beside.filter(|program| program.is_file()) else {
        let words = "the demonstration is a program of its own, forgetgate-demo, and it does not lie beside this one: run \
                     `cargo demo` in the folder of Forgetgate's sources";
        return Failure::usage(words.to_owned());
    };
    let error = Command::new(&program).args(arguments).exec();
    Failure::failed(format!("{} could not be run: {error}", program.display()))
}
