//! What a connection reads: one frame at a time, none too large.
//!
//! Two habits of `actix-web-actors` make this necessary. It collects a frame whole before it
//! compares its length with the limit, so that a header is enough to make it buffer gigabytes; and
//! whenever it is polled it takes all that has arrived, decoding one frame of it, so that an actor
//! which pauses often buffers without a bound. The gate stands before it, reads the headers first,
//! and lets a frame through only when the actor has done with the one before. What is not let
//! through stays in the socket, and TCP slows the party down.

use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use mpc_wire::frame::{FrameFault, FrameHead};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Why the gate lets nothing through any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A frame is none that may come.
    Frame(FrameFault),
    /// The socket failed or was closed.
    Lost,
}

/// The actor's hand on the gate.
#[derive(Debug, Clone)]
pub(crate) struct GateControl(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    passage: Cell<Passage>,
    limit: Cell<usize>,
    waiting: RefCell<Option<Waker>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passage {
    /// The next frame may come.
    Free,
    /// The actor is busy with a frame.
    Taken,
    /// Nothing may come any more.
    Shut(Fault),
}

impl GateControl {
    /// Sets the largest payload of the frames to come.
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.0.limit.set(bytes);
    }

    /// Lets the next frame come.
    pub(crate) fn release(&self) {
        if self.0.passage.get() == Passage::Taken {
            self.0.passage.set(Passage::Free);
            if let Some(waker) = self.0.waiting.take() {
                waker.wake();
            }
        }
    }

    /// Why nothing comes any more.
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self.0.passage.get() {
            Passage::Shut(fault) => Some(fault),
            Passage::Free | Passage::Taken => None,
        }
    }
}

/// The bytes of a WebSocket, let through frame by frame.
pub(crate) struct Gate<S> {
    inner: S,
    shared: Rc<Shared>,
    /// Bytes that have arrived and were not let through.
    ahead: Bytes,
    /// Bytes of the current frame that are still to be let through.
    due: usize,
}

impl<S> Gate<S> {
    /// A gate before `inner` for frames of at most `limit` bytes.
    pub(crate) fn new(inner: S, limit: usize) -> (Self, GateControl) {
        let shared = Rc::new(Shared {
            passage: Cell::new(Passage::Free),
            limit: Cell::new(limit),
            waiting: RefCell::new(None),
        });
        let control = GateControl(Rc::clone(&shared));
        let gate = Self { inner, shared, ahead: Bytes::new(), due: 0 };
        (gate, control)
    }

    /// Lets through what is there of the current frame, or looks at the header of the next.
    fn advance(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.due == 0 {
            let Some(head) = FrameHead::read(&self.ahead) else {
                return Ok(None);
            };
            self.due = head.judge(self.shared.limit.get()).map_err(Fault::Frame)?;
        }
        if self.ahead.is_empty() {
            return Ok(None);
        }
        let piece = self.ahead.split_to(self.due.min(self.ahead.len()));
        self.due -= piece.len();
        if self.due == 0 {
            self.shared.passage.set(Passage::Taken);
        }
        Ok(Some(piece))
    }

    fn shut(&self, fault: Fault, error: PayloadError) -> Poll<Option<Result<Bytes, PayloadError>>> {
        self.shared.passage.set(Passage::Shut(fault));
        Poll::Ready(Some(Err(error)))
    }

    fn join(&mut self, chunk: Bytes) {
        if self.ahead.is_empty() {
            self.ahead = chunk;
        } else {
            // Only the start of a header can be left: a few bytes are copied.
            let mut joined = BytesMut::with_capacity(self.ahead.len() + chunk.len());
            joined.extend_from_slice(&self.ahead);
            joined.extend_from_slice(&chunk);
            self.ahead = joined.freeze();
        }
    }
}

impl<S> Stream for Gate<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match this.shared.passage.get() {
            Passage::Free => {}
            Passage::Taken => {
                this.shared.waiting.replace(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            Passage::Shut(_) => return Poll::Ready(None),
        }
        loop {
            match this.advance() {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) => {}
                Err(fault) => return this.shut(fault, PayloadError::Overflow),
            }
            match Pin::new(&mut this.inner).poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => this.join(chunk),
                Poll::Ready(Some(Err(error))) => return this.shut(Fault::Lost, error),
                Poll::Ready(None) => {
                    return this.shut(Fault::Lost, PayloadError::Incomplete(None));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker_ref;
    use std::collections::VecDeque;

    /// Chunks as a socket would give them, then silence.
    struct Chunks(VecDeque<Bytes>);

    impl Stream for Chunks {
        type Item = Result<Bytes, PayloadError>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.pop_front().map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(chunk))))
        }
    }

    /// A masked binary frame (the mask is zero).
    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x82];
        match payload.len() {
            len @ 0..126 => bytes.push(0x80 | len as u8),
            len @ 126..65536 => {
                bytes.push(0x80 | 126);
                bytes.extend((len as u16).to_be_bytes());
            }
            len => {
                bytes.push(0x80 | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes
    }

    fn gate(chunks: impl IntoIterator<Item = Vec<u8>>) -> (Gate<Chunks>, GateControl) {
        let chunks = chunks.into_iter().map(Bytes::from).collect();
        Gate::new(Chunks(chunks), 100_000)
    }

    /// Everything that passes until the gate pauses; an error if it shuts.
    fn pass(gate: &mut Gate<Chunks>) -> Result<Vec<u8>, PayloadError> {
        let mut cx = Context::from_waker(noop_waker_ref());
        let mut bytes = Vec::new();
        while let Poll::Ready(Some(piece)) = Pin::new(&mut *gate).poll_next(&mut cx) {
            bytes.extend(piece?);
        }
        Ok(bytes)
    }

    #[test]
    fn one_frame_passes_at_a_time_however_they_arrive() {
        let frames = [0, 1, 125, 126, 300, 70_000].map(|len| frame(&vec![7; len]));
        let stream = frames.concat();
        for size in [1, 2, 3, 7, 64, 1000, stream.len()] {
            let (mut gate, control) = gate(stream.chunks(size).map(<[u8]>::to_vec));
            for frame in &frames {
                assert_eq!(pass(&mut gate).unwrap(), *frame, "in chunks of {size}");
                assert_eq!(pass(&mut gate).unwrap(), b"", "the gate stays shut");
                control.release();
            }
            assert_eq!(pass(&mut gate).unwrap(), b"");
        }
    }

    #[test]
    fn a_header_is_enough_to_refuse_a_large_frame() {
        for len in [100_001_u64, 1 << 40, u64::MAX] {
            let header = [&[0x82, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat();
            let (mut gate, control) = gate([header]);
            assert!(pass(&mut gate).is_err());
            assert_eq!(control.fault(), Some(Fault::Frame(FrameFault::TooLarge)));
            assert_eq!(pass(&mut gate).unwrap(), b"", "and nothing follows");
        }
    }

    #[test]
    fn the_limit_can_change_between_frames() {
        let (mut gate, control) = gate([frame(&[1; 200]), frame(&[2; 200])]);
        control.set_limit(200);
        assert_eq!(pass(&mut gate).unwrap(), frame(&[1; 200]));
        control.set_limit(199);
        control.release();
        assert!(pass(&mut gate).is_err());
        assert_eq!(control.fault(), Some(Fault::Frame(FrameFault::TooLarge)));
    }

    #[test]
    fn fragments_are_refused_by_their_header() {
        for first in [0x02, 0x00, 0x80, 0x01] {
            let (mut gate, control) = gate([vec![first, 0x81, 0, 0, 0, 0, 1]]);
            assert!(pass(&mut gate).is_err(), "first byte {first:#x}");
            assert_eq!(control.fault(), Some(Fault::Frame(FrameFault::Fragmented)));
        }
    }
}
