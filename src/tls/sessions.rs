//! Sessions that callers may take up again: by ticket, and for those who know no tickets by number.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::crypto::ring::Ticketer;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};

use crate::config::PemFault;

/// Sessions that are remembered here, for callers of TLS 1.2 without tickets; the oldest are forgotten.
const REMEMBERED_MAX: usize = 1_024;

/// What outlives a renewal of certificates.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    held: Mutex<Option<Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    /// Of `client_ca`: those whom others let in do not come in by their tickets.
    believed: Option<[u8; 32]>,
    /// Its keys are new every six hours; tickets live for twelve at most.
    ticketer: Arc<dyn ProducesTickets>,
    remembered: Arc<dyn StoresServerSessions>,
}

impl Sessions {
    /// Lets the sessions of before be resumed under `config`, if the same callers are let in.
    pub(super) fn resume(&self, config: &mut ServerConfig, believed: Option<&RootCertStore>) -> Result<(), PemFault> {
        let believed = believed.map(digest);
        let mut held = self.held.lock();
        let kept = held.take().filter(|held| held.believed == believed);
        let now = match kept {
            Some(kept) => kept,
            None => Held {
                believed,
                ticketer: Ticketer::new().map_err(PemFault::Setup)?,
                remembered: ServerSessionMemoryCache::new(REMEMBERED_MAX),
            },
        };
        config.ticketer = Arc::clone(&now.ticketer);
        config.session_storage = Arc::clone(&now.remembered);
        *held = Some(now);
        Ok(())
    }
}

fn digest(roots: &RootCertStore) -> [u8; 32] {
    let mut digest = Sha256::new();
    for root in &roots.roots {
        // One authority may be believed about fewer names than before.
        let limits = root.name_constraints.as_deref().unwrap_or_default();
        for part in [&*root.subject, &*root.subject_public_key_info, limits] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
    }
    digest.finalize().into()
}
