//! When the configuration is read again: when it is asked for, and when its files have changed. What
//! comes during a reload is merged into the next one.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::components::Parts;
use super::supervisor;
use crate::admin::{Applied, Ask, InForce, RefusedFile, Reloaded, Standing};
use crate::config::{Config, Fault, Loaded, Source, Warning};
use crate::telemetry::{clock, events};

/// How often the files are looked at. What has changed is read once it was the same twice.
const LOOK: Duration = Duration::from_secs(1);

/// How often what was refused is tried again although no file has changed: what was in the way may be gone.
const AGAIN: Duration = Duration::from_secs(5);

/// As many changed keys are named in the log.
const KEYS_NAMED: usize = 12;

/// Reads the configuration again.
#[derive(Debug)]
pub(super) struct Reloads {
    /// `None` if there is no file, and while it is being read.
    source: Option<Source>,
    asked: mpsc::Receiver<Ask>,
    /// The content that is in force.
    in_force: Option<String>,
    /// What changed when it came into force.
    changed: Vec<String>,
    /// The content that was refused, why, and when it was last tried.
    refused: Option<(String, Vec<Fault>, Instant)>,
}

impl Reloads {
    /// For a gate that starts with what `source` was last read as.
    pub(super) fn new(source: Option<Source>, config: &Config) -> (Self, InForce) {
        let hash = source.as_ref().map(Source::digest);
        let standing = Standing { hash: hash.clone(), since: clock::unix_now(), ..Standing::default() };
        let (in_force, asked) = InForce::new(Arc::new(config.clone()), standing);
        (Self { source, asked, in_force: hash, changed: Vec::new(), refused: None }, in_force)
    }

    /// Reloads until the gate is told to stop, which a reload does not keep waiting; gives how long its end may take. One
    /// who told it by leaving wants it at once.
    pub(super) async fn serve(mut self, parts: &mut Parts, mut stopped: oneshot::Receiver<()>) -> Duration {
        let stop = tokio::select! {
            biased;
            stop = &mut stopped => stop,
            () = self.reload(parts) => Ok(()),
        };
        if stop.is_ok() { parts.state.config.config().limits.drain_timeout } else { Duration::ZERO }
    }

    async fn reload(&mut self, parts: &mut Parts) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                Some(ask) = self.asked.recv() => Some(ask),
                _ = look.tick() => None,
            };
            let mut asks: Vec<Ask> = asked.into_iter().collect();
            while let Ok(further) = self.asked.try_recv() {
                asks.push(further);
            }
            if !asks.is_empty() {
                supervisor::reloading();
            }
            let Some(reloaded) = self.once(parts, !asks.is_empty()).await else { continue };
            if !asks.is_empty() {
                supervisor::ready();
            }
            for ask in asks {
                // Whoever does not wait any more is not told.
                ask.send(reloaded.clone()).ok();
            }
        }
    }

    /// Reads it again if it was asked for, or if there is something new; `None` if neither.
    async fn once(&mut self, parts: &mut Parts, asked: bool) -> Option<Reloaded> {
        let Some(mut source) = self.source.take() else { return Some(Reloaded::NoFile) };
        let again = self.refused.as_ref().is_some_and(|(_, _, tried)| tried.elapsed() >= AGAIN);
        let reading = spawn_blocking(move || {
            let due = source.has_come_to_rest() || asked || again;
            let loaded = due.then(|| source.read_again());
            (source, loaded)
        });
        let (source, loaded) = reading.await.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()));
        let hash = source.digest();
        self.source = Some(source);
        Some(match apply(parts, loaded?).await {
            Ok(applied) => self.applied(parts, hash, applied),
            Err(faults) => self.refused(parts, hash, faults),
        })
    }

    fn applied(&mut self, parts: &Parts, hash: String, (changed, warnings): (Vec<String>, Vec<Warning>)) -> Reloaded {
        parts.registry.reloads().applied();
        parts.registry.reloads().file_differs(false);
        for warning in &warnings {
            events::Warned { what: &warning.to_string() }.emit();
        }
        let mut keys = changed.iter().take(KEYS_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        if changed.len() > KEYS_NAMED {
            keys.push_str(", …");
        }
        events::ConfigApplied { changed: changed.len() as u64, keys: &keys }.emit();
        self.refused = None;
        parts.state.config.stand(|standing| (standing.file_differs, standing.refused) = (false, None));
        // Whoever asks just after the change was seen wants to hear of it, too.
        if self.in_force.as_ref() != Some(&hash) || !changed.is_empty() {
            self.changed.clone_from(&changed);
            self.in_force = Some(hash.clone());
            let since = clock::unix_now();
            parts.state.config.stand(|standing| (standing.hash, standing.since) = (Some(hash.clone()), since));
        }
        Reloaded::Applied(Applied { changed: self.changed.clone(), warnings, hash })
    }

    /// The same faults of the same content are said and counted once, however often it is tried.
    fn refused(&mut self, parts: &Parts, hash: String, faults: Vec<Fault>) -> Reloaded {
        let differs = self.in_force.as_ref() != Some(&hash);
        parts.registry.reloads().file_differs(differs);
        let before = self.refused.take();
        let is_new = before.is_none_or(|(was, known, _)| was != hash || known != faults);
        if is_new {
            parts.registry.reloads().refused();
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            events::ConfigRefused { faults: faults.len() as u64, first: &first }.emit();
            let refused = RefusedFile { at: clock::unix_now(), hash: hash.clone(), faults: faults.clone() };
            parts.state.config.stand(|standing| {
                (standing.file_differs, standing.refused) = (differs, Some(refused));
            });
        }
        self.refused = Some((hash, faults.clone(), Instant::now()));
        Reloaded::Refused(faults)
    }
}

/// What has changed, and what the operator should know.
async fn apply(
    parts: &mut Parts,
    loaded: Result<Loaded, Vec<Fault>>,
) -> Result<(Vec<String>, Vec<Warning>), Vec<Fault>> {
    let loaded = loaded?;
    let changed = parts.turn(&loaded).await?;
    Ok((changed, loaded.warnings))
}
