//! Inflates gzip as it comes, member by member (RFC 1952 §2.2).

use std::io::{self, Write as _};

use flate2::write::GzDecoder;

pub(super) struct Gunzip {
    /// Of the member that has come last.
    decoder: GzDecoder<Vec<u8>>,
    /// Whether anything has come. A body of nothing is sound, too.
    has_come: bool,
    /// Whether a member before this one has ended.
    is_further: bool,
    /// What stands behind the members is no further one.
    is_over: bool,
}

impl Gunzip {
    pub(super) fn new() -> Self {
        Self { decoder: GzDecoder::new(Vec::new()), has_come: false, is_further: false, is_over: false }
    }

    /// Inflates what came next. `is_lenient`: something else behind a member is left out, as browsers do.
    pub(super) fn take(&mut self, mut came: &[u8], is_lenient: bool) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.has_come |= !came.is_empty();
        while !came.is_empty() && !self.is_over {
            match self.decoder.write(came) {
                Ok(0) => {
                    let ended = std::mem::replace(&mut self.decoder, GzDecoder::new(Vec::new()));
                    text.append(&mut ended.finish()?);
                    self.is_further = true;
                }
                Ok(taken) => came = came.get(taken..).unwrap_or_default(),
                Err(_) if is_lenient && self.is_no_member() => self.is_over = true,
                Err(error) => return Err(error),
            }
        }
        self.decoder.flush()?;
        text.append(self.decoder.get_mut());
        Ok(text)
    }

    /// All has come: gives the rest.
    pub(super) fn end(&mut self, is_lenient: bool) -> io::Result<Vec<u8>> {
        if !self.has_come || self.is_over || (is_lenient && self.is_no_member()) {
            return Ok(Vec::new());
        }
        self.decoder.try_finish()?;
        Ok(std::mem::take(self.decoder.get_mut()))
    }

    /// Whether there is something behind a whole member, and not yet a head of the next.
    fn is_no_member(&self) -> bool {
        self.is_further && self.decoder.header().is_none()
    }
}
