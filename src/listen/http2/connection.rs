//! One caller's connection over HTTP/2, from its preface to its end.
//!
//! Its own clocks are those of a connection of HTTP/1.1: so long for its beginning, so long with nothing open. What is
//! open has a clock each. A caller that spoils more streams than it uses is told to calm down, and its connection ends.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, Connection, Handshake};
use tokio::task::spawn_local;

use super::stream;
use crate::config::Limits;
use crate::http2::{CONNECTION_WINDOW, ERRORS_MAX, RESET_MEMORY, SEND_BUFFER, STREAM_WINDOW, STREAMS_MAX};
use crate::listen::connection::Serving;
use crate::net::{ConnectionTimers, Stream};

/// Streams that a caller may reset, or spoil, beyond those that it has used well.
const SPOILT_MAX: u32 = 128;
/// Streams reset by their caller before they were looked at.
const UNSEEN_RESETS_MAX: usize = 32;
/// What a line costs in `SETTINGS_MAX_HEADER_LIST_SIZE` beside its bytes (RFC 9113 §6.5.2).
const LINE_COST: usize = 32;

/// What the streams of a connection tell it.
#[derive(Debug)]
pub(super) struct StreamAccounting {
    watch: Rc<ConnectionTimers>,
    open: Cell<usize>,
    spoilt: Cell<u32>,
    /// Whether the caller was told that this is the end.
    leaving: Cell<bool>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With its answer.
    Answered,
    /// Without one, through no fault of its caller's.
    Failed,
    /// Its caller reset it, or it was against the protocol.
    Spoilt,
}

impl StreamAccounting {
    fn opened(&self) {
        self.open.set(self.open.get() + 1);
        self.watch.request();
    }

    pub(super) fn closed(&self, ended: Ended) {
        self.open.set(self.open.get() - 1);
        let spoilt = self.spoilt.get();
        self.spoilt.set(match ended {
            Ended::Answered => spoilt.saturating_sub(1),
            Ended::Failed => spoilt,
            Ended::Spoilt => spoilt.saturating_add(1),
        });
        if self.open.get() == 0 && !self.leaving.get() {
            self.watch.idle();
        }
        self.watch.wake();
    }
}

/// Serves a connection to its end.
pub(in crate::listen) async fn serve(stream: Stream, serving: Box<Serving>) {
    let (watch, open, spoilt) = (Rc::clone(&serving.watch), Cell::new(0), Cell::new(0));
    let tally = Rc::new(StreamAccounting { watch, open, spoilt, leaving: Cell::new(false) });
    // Where HTTP/2 was negotiated, its preface has as long as a head has.
    serving.watch.head_began();
    // Also in a tunnel that was opened: what was answered is still to be written, and a goodbye.
    serving.watch.see_to_end();
    let state = State::Handshaking(Box::new(builder(serving.gate().limits()).handshake(stream)));
    let mut driver = Driver { state, serving, tally, settled: false, draining: false };
    poll_fn(|cx| driver.poll(cx)).await;
}

fn builder(limits: &Limits) -> Builder {
    // Up to this the gate itself says what is too large.
    let list = limits.header_bytes_max + limits.headers_max * LINE_COST;
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(UNSEEN_RESETS_MAX)
        .max_local_error_reset_streams(Some(ERRORS_MAX))
        .max_concurrent_reset_streams(ERRORS_MAX)
        .reset_stream_duration(RESET_MEMORY)
        .enable_connect_protocol();
    builder
}

enum State {
    Handshaking(Box<Handshake<Stream, Bytes>>),
    Open(Box<Connection<Stream, Bytes>>),
}

struct Driver {
    state: State,
    serving: Box<Serving>,
    tally: Rc<StreamAccounting>,
    /// Whether the caller's settings have come.
    settled: bool,
    /// Whether the caller was told that no further stream is taken.
    draining: bool,
}

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let watch = Rc::clone(&self.serving.watch);
        watch.woken_by(cx.waker());
        loop {
            match &mut self.state {
                State::Handshaking(_) if watch.is_ending() => return Poll::Ready(()),
                State::Handshaking(handshake) => match ready!(Pin::new(&mut **handshake).poll(cx)) {
                    Ok(connection) => self.state = State::Open(Box::new(connection)),
                    Err(_) => return Poll::Ready(()),
                },
                State::Open(_) => return self.poll_open(cx),
            }
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Open(connection) = &mut self.state else { return Poll::Ready(()) };
        let (watch, leaving) = (&self.serving.watch, &self.tally.leaving);
        loop {
            // A stop waits until what was answered is on its way, but not for one that reads nothing.
            let ending = watch.is_ending() && (watch.is_closing() || !connection.has_streams());
            if !leaving.get() && (ending || self.tally.spoilt.get() > SPOILT_MAX) {
                leaving.set(true);
                connection.abrupt_shutdown(if ending { Reason::NO_ERROR } else { Reason::ENHANCE_YOUR_CALM });
                // It may be one that reads nothing.
                watch.linger();
            } else if !self.draining && watch.is_draining() {
                self.draining = true;
                connection.graceful_shutdown();
            }
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, mut respond)))) => {
                    self.settled = true;
                    self.tally.opened();
                    let (serving, tally) = (self.serving.clone(), Rc::clone(&self.tally));
                    match serving.room.take_now() {
                        Some(place) => drop(spawn_local(stream::carry(request, respond, serving, tally, place))),
                        // Nobody has looked at it: it may be sent again (RFC 9113 §8.7).
                        None => {
                            respond.send_reset(Reason::REFUSED_STREAM);
                            tally.closed(Ended::Failed);
                        }
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending if leaving.get() && watch.is_ending() => return Poll::Ready(()),
                Poll::Pending if !leaving.get() && watch.is_ending() && !connection.has_streams() => {}
                Poll::Pending => break,
            }
        }
        // It may open no stream of its own before it is told how many: so the settings are seen to have come.
        if !self.settled && connection.max_concurrent_send_streams() > 0 {
            self.settled = true;
            watch.idle();
            // A stop may have come meanwhile.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
