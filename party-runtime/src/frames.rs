//! What the link reads and writes: whole frames, each judged by its head.
//!
//! A gateway is trusted in nothing, least of all with the party's memory.

use actix_codec::{Decoder, Encoder};
use awc::error::WsProtocolError;
use awc::ws::{Codec, Frame, Message};
use bytes::BytesMut;
use mpc_wire::frame::{FrameFault, FrameHead};
use mpc_wire::limits::MAX_FRAME;

/// Why nothing more is read from a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// A frame is none that may come.
    #[error(transparent)]
    Fault(#[from] FrameFault),
    /// What came is no WebSocket, or nothing comes any more.
    #[error("{0}")]
    Protocol(#[from] WsProtocolError),
}

impl From<std::io::Error> for FrameError {
    fn from(error: std::io::Error) -> Self {
        Self::Protocol(error.into())
    }
}

/// The codec of a WebSocket client, behind a look at each head.
#[derive(Debug)]
pub(crate) struct Frames(Codec);

impl Frames {
    /// Puts the look before the codec of a connection.
    pub(crate) fn new(codec: Codec) -> Self {
        Self(codec)
    }
}

impl Decoder for Frames {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        // The codec would make room for the payload, and join fragments, before it looked.
        let Some(head) = FrameHead::read(bytes) else { return Ok(None) };
        head.judge(MAX_FRAME)?;
        Ok(self.0.decode(bytes)?)
    }
}

impl Encoder<Message> for Frames {
    type Error = FrameError;

    fn encode(&mut self, message: Message, bytes: &mut BytesMut) -> Result<(), FrameError> {
        Ok(self.0.encode(message, bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Frames {
        Frames::new(Codec::new().max_size(MAX_FRAME).client_mode())
    }

    /// A server's binary frame of this length.
    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let head = [&[first, 127][..], &(payload as u64).to_be_bytes()].concat();
        [head, vec![7; payload]].concat()
    }

    #[test]
    fn whole_frames_pass_however_they_arrive() {
        let sent = [frame(0x82, 3), frame(0x82, 70_000), frame(0x82, MAX_FRAME)];
        for size in [7, 4096] {
            let (mut frames, mut bytes, mut passed) = (frames(), BytesMut::new(), Vec::new());
            for chunk in sent.concat().chunks(size) {
                bytes.extend_from_slice(chunk);
                while let Some(frame) = frames.decode(&mut bytes).unwrap() {
                    let Frame::Binary(payload) = frame else { panic!("{frame:?}") };
                    passed.push(payload.len());
                }
            }
            assert_eq!(passed, [3, 70_000, MAX_FRAME]);
        }
    }

    #[test]
    fn a_head_is_enough_to_refuse_a_frame_and_no_room_is_made_for_it() {
        for payload in [MAX_FRAME as u64 + 1, 64 << 20, u64::MAX] {
            let mut bytes =
                BytesMut::from(&[&[0x82, 127][..], &payload.to_be_bytes()].concat()[..]);
            let refusal = frames().decode(&mut bytes).unwrap_err();
            assert!(matches!(refusal, FrameError::Fault(FrameFault::TooLarge)), "{refusal}");
            assert!(bytes.capacity() < 1024, "{}", bytes.capacity());
        }
    }

    #[test]
    fn the_first_piece_of_a_message_is_refused_by_its_head() {
        for first in [0x02, 0x01, 0x00, 0x80] {
            let mut bytes = BytesMut::from(&[first, 126, 1, 0][..]);
            let refusal = frames().decode(&mut bytes).unwrap_err();
            assert!(matches!(refusal, FrameError::Fault(FrameFault::Fragmented)), "{refusal}");
        }
    }
}
