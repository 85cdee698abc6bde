//! The access log over the life of a gate: its writer is started when lines are first wanted, and stays.

use std::io;
use std::sync::Arc;

use crate::config::Log;
use crate::telemetry::{AccessLog, AccessWriter, Registry};

/// The access log, if it was ever wanted.
#[derive(Debug, Default)]
pub(super) struct Access(Option<(AccessLog, AccessWriter)>);

impl Access {
    /// Where requests put their lines under this configuration; `None` if nobody wants them.
    pub(super) fn log(&mut self, log: &Log, registry: &Arc<Registry>) -> io::Result<Option<AccessLog>> {
        if !log.access || !AccessLog::is_wanted() {
            return Ok(None);
        }
        if self.0.is_none() {
            self.0 = Some(AccessLog::start(Arc::clone(registry))?);
        }
        Ok(self.0.as_ref().map(|(log, _)| log.clone()).filter(AccessLog::is_shown))
    }

    /// Writes what was handed over until now.
    pub(super) fn finish(self) {
        if let Some((_, writer)) = self.0 {
            writer.finish();
        }
    }
}
