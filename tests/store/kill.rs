//! P3 and P5 against kill -9: a child acknowledges over a pipe, is killed at a random point, and everything that it
//! acknowledged is there, again and again on the same store.

use std::io::{BufRead, BufReader, Read};

use forgetgate::config::Engine;

use crate::campaign;
use crate::child;
use crate::workload::{Acknowledged, Load, run, verify};
use crate::world::World;

const NAME: &str = "kill::p3_p5_what_was_acknowledged_survives_kill_9";

#[test]
fn p3_p5_what_was_acknowledged_survives_kill_9() {
    if child::is_child() {
        let store = World::at(&child::directory(), Engine::Sled).open();
        let run_number = child::number();
        run(&store, Load { run: run_number, facts: u64::MAX, jobs: usize::MAX, large_only: false }, &child::say);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let world = World::at(directory.path(), Engine::Sled);
    let mut acknowledged = Acknowledged::default();
    for round in 0..campaign::scaled(40) {
        let mut process = child::command(NAME, directory.path()).env(child::NUMBER, round.to_string()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        for _ in 0..fastrand::u32(1..1500) {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the child ended by itself");
            acknowledged.hear(&line);
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        acknowledged.hear(&rest);
        verify(&world.open(), &acknowledged).unwrap();
    }
    assert!(acknowledged.count() > 100, "{} acknowledgements", acknowledged.count());
}
