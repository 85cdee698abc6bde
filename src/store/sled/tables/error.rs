//! What went wrong with the tables, and so with the store or with one asker's question.

use std::io;

use super::FORMAT;

/// What went wrong with the tables. All but `Unreadable`, `TooLarge` and `Conflict`, which are one asker's, break the engine: it is
/// opened again from its files.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum TableError {
    /// sled said so.
    #[error("sled failed")]
    Sled(#[from] sled::Error),
    /// Making it durable failed.
    #[error("the data file could not be made durable")]
    Sync(#[from] io::Error),
    /// sled panicked. Its message is made of what it was given, and is not kept.
    #[error("sled panicked, and the log says where")]
    Panic,
    /// Something in the files does not read.
    #[error("the store holds something that cannot be read: {0}")]
    Unreadable(&'static str),
    /// Something is larger than the tables take.
    #[error("{0} is larger than the store takes")]
    TooLarge(&'static str),
    /// A job is not as its writer read it.
    #[error("an erasure was changed since it was read")]
    Conflict,
    /// Made by another version.
    #[error("the store has format {found}, this version reads format {FORMAT}")]
    Format {
        /// Which.
        found: u32,
    },
    /// Made with another key.
    #[error("the store was made with another key")]
    WrongKey,
    /// An entry is not as this version writes it.
    #[error("an entry of the store has no number")]
    NoTrailer,
    /// What is there is not what its latest write says.
    #[error("its {entries} entries do not add up: some are missing, or older than they were")]
    Incomplete {
        /// How many were found.
        entries: u64,
    },
    /// It ends before what its tip says.
    #[error("its latest write has number {found}, and number {expected} had been acknowledged")]
    Behind {
        /// What was found.
        found: u64,
        /// What its tip says.
        expected: u64,
    },
    /// There is no tip beside the store, or none that reads.
    #[error("{0}")]
    NoTip(&'static str),
}
