//! P5, P11: damage and old copies are noticed. sled takes a message that does not check for the end of its log and starts
//! without what follows; here such a store is refused, or nothing that was acknowledged is missing from it.
//!
//! A store lives for a while, in two lives of which the first may end like a kill; then it is damaged at one place and opened.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use forgetgate::config::Engine;
use forgetgate::store::{Check, OpenError, Opened, Tuning, open_with};

use crate::campaign;
use crate::workload::{Acknowledged, Load, run, verify};
use crate::world::{World, files_under};

/// What happens to one file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    FlippedByte,
    ZeroedBlock,
    CutFile,
    OldCopy,
}

const DAMAGES: [Damage; 4] = [Damage::FlippedByte, Damage::ZeroedBlock, Damage::CutFile, Damage::OldCopy];
/// Places at which each of the four is tried, in all.
const PLACES: u64 = 280;

/// A store as it was left, an older copy of its folder, and what it had acknowledged.
struct Specimen {
    directory: tempfile::TempDir,
    acknowledged: Acknowledged,
}

impl Specimen {
    /// `killed`: as a kill would leave it, with what the batch under way had written so far.
    fn new(facts: u64, killed: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = World::at(&directory.path().join("live"), Engine::Sled);
        let mut acknowledged = Acknowledged::default();
        let jobs = 3 + usize::try_from(facts / 500).unwrap();
        drop(live(&world, &mut acknowledged, (0, facts / 2, jobs)));
        copy(&world.config.path, &directory.path().join("old"));
        let store = live(&world, &mut acknowledged, (1, facts, jobs));
        if killed {
            // Nobody waits for these, and the copy is taken while they are being written.
            for number in 0..300 {
                drop(store.index.record(crate::world::fact(&store.keys, &format!("late {number}"), 1, "r")));
            }
            // The tip first: a copy of what is written to is no moment of it, but neither is ahead of the other so.
            fs::copy(tip(&world.config.path), directory.path().join("killed.tip")).unwrap();
            copy(&world.config.path, &directory.path().join("killed"));
            drop(store);
            fs::remove_dir_all(&world.config.path).unwrap();
            fs::rename(directory.path().join("killed"), &world.config.path).unwrap();
            fs::rename(directory.path().join("killed.tip"), tip(&world.config.path)).unwrap();
        } else {
            drop(store);
        }
        Self { directory, acknowledged }
    }

    /// A copy of it that may be damaged.
    fn copied(&self) -> (tempfile::TempDir, World) {
        let directory = tempfile::tempdir().unwrap();
        copy(&self.directory.path().join("live"), &directory.path().join("live"));
        let world = World::at(&directory.path().join("live"), Engine::Sled);
        (directory, world)
    }
}

fn tip(store: &Path) -> std::path::PathBuf {
    store.with_extension("tip")
}

fn live(world: &World, acknowledged: &mut Acknowledged, (run_number, facts, jobs): (u64, u64, usize)) -> Opened {
    let store = world.open();
    let said = std::cell::RefCell::new(String::new());
    let load = Load { run: run_number, facts, jobs, large_only: false };
    run(&store, load, &|line| said.borrow_mut().extend([line, "\n"]));
    acknowledged.hear(&said.into_inner());
    store
}

fn copy(from: &Path, to: &Path) {
    for file in files_under(from) {
        let to = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&file, &to).unwrap();
    }
}

/// Does it, at a random place of a random file: mostly of the one with the data. Says where.
fn damage(specimen: &Specimen, world: &World, damage: Damage, random: &mut fastrand::Rng) -> String {
    let store = &world.config.path;
    if matches!(damage, Damage::OldCopy) {
        let mut old = files_under(&specimen.directory.path().join("old"));
        // The folder as a whole, or one of its files.
        if random.bool() {
            fs::remove_dir_all(store).unwrap();
        } else {
            old = vec![random.choice(old).unwrap()];
        }
        fs::create_dir_all(store).unwrap();
        for file in &old {
            fs::copy(file, store.join(file.file_name().unwrap())).unwrap();
        }
        return format!("{old:?} put back");
    }
    let others: Vec<_> = files_under(store.parent().unwrap());
    let others =
        others.into_iter().filter(|file| !file.ends_with("store.key") && fs::metadata(file).unwrap().len() > 0);
    let file = if random.u8(..10) < 8 { store.join("db") } else { random.choice(others.collect::<Vec<_>>()).unwrap() };
    let length = fs::metadata(&file).unwrap().len();
    let place = random.u64(0..length);
    let open = File::options().read(true).write(true).open(&file).unwrap();
    match damage {
        Damage::FlippedByte => {
            let mut byte = [0];
            open.read_exact_at(&mut byte, place).unwrap();
            open.write_all_at(&[byte[0] ^ random.u8(1..)], place).unwrap();
        }
        Damage::ZeroedBlock => {
            let (start, end) = (place / 4096 * 4096, length.min((place / 4096 + 1) * 4096));
            open.write_all_at(&vec![0; usize::try_from(end - start).unwrap()], start).unwrap();
        }
        Damage::CutFile => open.set_len(place).unwrap(),
        Damage::OldCopy => unreachable!("done above"),
    }
    format!("{damage:?} at {place} of {length} of {}", file.display())
}

/// How it went with one kind of store.
#[derive(Debug, Default)]
struct Outcome {
    refused: u64,
    whole: u64,
    lost: Vec<String>,
}

fn campaign(facts: u64, killed: bool, places: u64, check: Check) -> Outcome {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let specimen = Specimen::new(facts, killed);
    let mut outcome = Outcome::default();
    for place in 0..places {
        let kind = DAMAGES[usize::try_from(place).unwrap() % DAMAGES.len()];
        let (_directory, world) = specimen.copied();
        let done = damage(&specimen, &world, kind, &mut random);
        match open_with(&world.config, Tuning { check, ..Tuning::default() }) {
            Err(refused) => {
                outcome.refused += 1;
                says_what_to_do(&refused);
            }
            Ok(store) => match verify(&store, &specimen.acknowledged) {
                Ok(()) => outcome.whole += 1,
                Err(lost) => outcome.lost.push(format!("{lost}: {done}, seed {seed}")),
            },
        }
    }
    outcome
}

fn says_what_to_do(refused: &OpenError) {
    let said = refused.to_string();
    let to_do = matches!(refused, OpenError::Io { .. } | OpenError::Format { .. } | OpenError::WrongKey { .. });
    assert!(to_do || said.contains("forgetgate index restore"), "{said}");
}

#[test]
fn p5_p11_a_damaged_store_or_an_old_copy_is_refused_or_lacks_nothing() {
    for (facts, killed) in [(100, false), (100, true), (2_000, false), (2_000, true)] {
        let outcome = campaign(facts, killed, campaign::scaled(PLACES), Check::Whole);
        eprintln!("{facts} facts, killed: {killed}: {outcome:?}");
        assert_eq!(outcome.lost, Vec::<String>::new());
    }
    let outcome = campaign(20_000, true, campaign::scaled(PLACES / 4), Check::Whole);
    eprintln!("20,000 facts: {outcome:?}");
    assert_eq!(outcome.lost, Vec::<String>::new());
    assert!(outcome.refused > 0, "damage is noticed");
}

/// The proof that the test above can fail: the same without looking whether everything is there.
#[test]
fn without_the_check_damage_is_silent() {
    let outcome = campaign(2_000, false, campaign::scaled(PLACES).max(40), Check::Nothing);
    eprintln!("unchecked: {} lost, {} whole, {} refused", outcome.lost.len(), outcome.whole, outcome.refused);
    assert!(!outcome.lost.is_empty(), "no loss was found, so losses cannot be found");
}
