//! The head of a WebSocket frame, judged before anything is allocated for what it announces.
//!
//! The codecs behind either end collect a frame whole before they compare its length with their
//! limit, so that fourteen bytes are enough to make them buffer gigabytes, and they join fragments
//! without a bound. Both ends therefore read each head themselves first.

/// A frame that is not to be let in. Both ends answer it with close code 1009.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// It announces more than is allowed.
    #[error("the frame is too large")]
    TooLarge,
    /// It is a piece of a message: how large that becomes, no head says.
    #[error("a message must be one frame: do not fragment")]
    Fragmented,
}

/// The start of a frame (RFC 6455, 5.2), unmasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// The final bit, three reserved ones and the kind of frame.
    first: u8,
    /// Bytes of the head itself, the mask included.
    len: usize,
    /// Bytes that follow it.
    payload: u64,
}

impl FrameHead {
    /// Reads the head at the start of `bytes`; `None` if more of it is still to come.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
        let (extended, payload) = match second & 0x7f {
            126 => (2, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => (8, u64::from_be_bytes(*rest.first_chunk()?)),
            short => (0, u64::from(short)),
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        Some(Self { first, len: 2 + extended + mask, payload })
    }

    /// Bytes of the whole frame.
    ///
    /// # Errors
    /// [`FrameFault`] if it is a fragment, or its payload has more than `limit` bytes.
    pub fn judge(&self, limit: usize) -> Result<usize, FrameFault> {
        if self.is_fragment() {
            return Err(FrameFault::Fragmented);
        }
        usize::try_from(self.payload)
            .ok()
            .filter(|payload| *payload <= limit)
            .and_then(|payload| payload.checked_add(self.len))
            .ok_or(FrameFault::TooLarge)
    }

    fn is_fragment(&self) -> bool {
        let is_final = self.first & 0x80 != 0;
        let is_continuation = self.first & 0x0f == 0;
        !is_final || is_continuation
    }
}
