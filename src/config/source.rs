//! The configuration's file, and the files that it names and that are read only with it: profiles, the authorities of
//! listeners, the keys of tokens' issuers. Secrets and other certificates are not among them: those are read again by themselves.
//!
//! Files are looked at before they are read. What changes in between is read as it is then, and seen as a change once
//! more, which costs a reload that changes nothing; the other way round a change could be missed.

use std::path::{Path, PathBuf};

use super::{Config, Fault, Files, Loaded, load};

/// How often the files are looked at again because the last reading named others.
const ROUNDS: usize = 3;

/// A configuration's file.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    files: Files,
    /// As the last configuration that was read without a fault names them.
    named: Named,
    /// Whether a change has been seen that has not been read.
    changing: bool,
}

/// What a configuration names.
#[derive(Debug, Default)]
struct Named {
    profiles_dir: Option<PathBuf>,
    files: Vec<PathBuf>,
}

impl Source {
    /// Reads the configuration at `path`, as [`load()`] does.
    pub fn read(path: &Path) -> (Self, Result<Loaded, Vec<Fault>>) {
        let mut source =
            Self { path: path.to_owned(), files: Files::default(), named: Named::default(), changing: false };
        let loaded = source.read_again();
        (source, loaded)
    }

    /// Reads it again.
    ///
    /// # Errors
    /// Every fault of the file.
    pub fn read_again(&mut self) -> Result<Loaded, Vec<Fault>> {
        self.changing = false;
        let mut rounds = 0;
        loop {
            self.files = Files::new(self.wanted());
            let loaded = load(&self.path)?;
            self.named = Named::by(&loaded.config);
            rounds += 1;
            if rounds == ROUNDS || self.are_those_wanted() {
                return Ok(loaded);
            }
        }
    }

    /// Whether any of the files has changed, or there are others, since this was last asked or they were last read.
    /// Blocks for as long as the file system does.
    pub fn has_changed(&mut self) -> bool {
        if self.are_those_wanted() {
            return self.files.have_changed();
        }
        self.files = Files::new(self.wanted());
        true
    }

    /// Whether any of the files has changed, and all was as it is now when this was last asked. What is being written
    /// is half a file, and half a file may well be one that could be read. Blocks for as long as the file system does.
    pub fn has_come_to_rest(&mut self) -> bool {
        let changed = self.has_changed();
        let rests = self.changing && !changed;
        self.changing |= changed;
        rests
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A digest of the files as they were last looked at, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.files.digest())
    }

    fn are_those_wanted(&self) -> bool {
        self.files.paths().eq(self.wanted().iter().map(PathBuf::as_path))
    }

    fn wanted(&self) -> Vec<PathBuf> {
        let mut wanted = vec![self.path.clone()];
        if let Some(folder) = &self.named.profiles_dir {
            wanted.extend(profiles_in(folder));
        }
        wanted.extend_from_slice(&self.named.files);
        wanted
    }
}

impl Named {
    fn by(config: &Config) -> Self {
        let of_listeners = config.listen.iter().flat_map(|listen| listen.files()).cloned();
        let key_sets = config.upstreams.iter().flat_map(|upstream| upstream.key_files());
        let mut files: Vec<PathBuf> = of_listeners.chain(key_sets).collect();
        files.sort();
        files.dedup();
        Self { profiles_dir: config.profiles_dir.clone(), files }
    }
}

/// A folder that cannot be read has none; whoever reads the configuration says so.
pub(super) fn profiles_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_profile(path)).collect();
    paths.sort();
    paths
}

/// Whether a file of this name in `profiles_dir` is read.
pub(super) fn is_profile(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Source;

    const CONFIG: &str = r#"
        profiles_dir = "profiles"
        [[listen]]
        address = "127.0.0.1:8080"
        [[upstream]]
        name = "one"
        profile = "watson-assistant"
        url = "https://service.test"
        route = { path = "/one" }
    "#;

    #[test]
    fn p11_every_file_that_is_read_with_the_configuration_is_watched_and_new_profiles_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("profiles")).unwrap();
        fs::write(at("config.toml"), CONFIG).unwrap();
        let (mut source, loaded) = Source::read(&at("config.toml"));
        loaded.unwrap();
        assert!(!source.has_changed());
        let own = include_str!("../domain/profiles/watson-speech-to-text.toml");
        let own = own.replacen("watson-speech-to-text", "own", 1);
        for (file, content) in [
            ("profiles/own.toml", own.clone()),
            ("profiles/own.toml", format!("{own}\n# changed\n")),
            ("config.toml", format!("{CONFIG}\n# changed\n")),
        ] {
            let before = source.digest();
            fs::write(at(file), content).unwrap();
            assert!(source.has_changed(), "{file}");
            source.read_again().unwrap();
            assert_ne!(source.digest(), before, "{file}");
            assert!(!source.has_changed(), "{file}");
        }
        fs::remove_file(at("profiles/own.toml")).unwrap();
        assert!(source.has_changed());
    }

    #[test]
    fn p11_a_file_that_is_being_written_is_left_alone_until_it_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let half = CONFIG.replacen("profiles_dir = \"profiles\"", "", 1);
        let two = CONFIG.split_once("[[upstream]]").unwrap().1.replace("one", "two");
        let whole = format!("{half}[[upstream]]{two}");
        fs::write(&path, &whole).unwrap();
        let mut source = Source::read(&path).0;
        assert!(!source.has_come_to_rest());
        for written in ["", "# all but the end", &half] {
            fs::write(&path, written).unwrap();
            assert!(!source.has_come_to_rest(), "{written}");
        }
        fs::write(&path, format!("{whole}\n")).unwrap();
        assert!(!source.has_come_to_rest());
        assert!(source.has_come_to_rest());
        source.read_again().unwrap();
        assert!(!source.has_come_to_rest());
    }

    #[test]
    fn p11_a_file_with_faults_is_watched_for_its_mending() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "[[listen]]").unwrap();
        let (mut source, loaded) = Source::read(&path);
        assert!(loaded.is_err());
        assert!(!source.has_changed());
        fs::write(&path, CONFIG).unwrap();
        assert!(source.has_changed());
    }
}
