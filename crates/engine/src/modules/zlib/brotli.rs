//! Brotli. Its crates allocate without asking, so that what they may take is counted beforehand.

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{
    BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct,
};
use brotli::enc::interface::PredictionModeContextMap;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};

use super::{Codec, Flush, State, Step};

/// Node's, which are brotli's own.
const BEST_QUALITY: u32 = 11;
const USUAL_WINDOW: u32 = 22;
const SMALLEST_WINDOW: u32 = 10;
const LARGEST_WINDOW: u32 = 24;

/// From this quality on the best way through a whole block is searched.
const SEARCHING: u32 = 10;

#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters {
    pub quality: Option<u32>,
    pub window: Option<u32>,
    pub mode: Option<u32>,
    /// Bytes that will be compressed, if that is known.
    pub size: Option<u32>,
}

impl Parameters {
    /// With a window that is no larger than what is compressed: the output is the same, but for its
    /// first byte, and a short text needs kilobytes instead of tens of megabytes.
    pub(super) fn settled(self) -> Self {
        let window = self.window.unwrap_or(USUAL_WINDOW).clamp(SMALLEST_WINDOW, LARGEST_WINDOW);
        // The format's window is 16 bytes smaller than the power of two.
        let needed = self
            .size
            .map_or(LARGEST_WINDOW, |size| u32::BITS - size.saturating_add(16).leading_zeros());
        let quality = self.quality.unwrap_or(BEST_QUALITY).min(BEST_QUALITY);
        Parameters {
            quality: Some(quality),
            window: Some(window.min(needed.max(SMALLEST_WINDOW))),
            ..self
        }
    }

    /// Bytes that the compressor holds at most. Measured with windows of 1 KB to 16 MB: 2 MB and twice
    /// the window below quality 5, 34 MB and twice the window from there on, 6 MB and ten times the
    /// window from 10 on.
    pub(super) fn memory(self) -> usize {
        let window = 1_usize << self.window.unwrap_or(USUAL_WINDOW);
        let (megabytes, windows) = match self.quality.unwrap_or(BEST_QUALITY) {
            ..5 => (2, 3),
            5..SEARCHING => (35, 3),
            _ => (6, 11),
        };
        (megabytes << 20) + window * windows
    }
}

pub(super) struct Encoder(BrotliEncoderStateStruct<StandardAlloc>);

impl Encoder {
    pub(super) fn new(parameters: Parameters) -> Self {
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        let set = [
            (BrotliEncoderParameter::BROTLI_PARAM_QUALITY, parameters.quality),
            (BrotliEncoderParameter::BROTLI_PARAM_LGWIN, parameters.window),
            (BrotliEncoderParameter::BROTLI_PARAM_MODE, parameters.mode),
            (BrotliEncoderParameter::BROTLI_PARAM_SIZE_HINT, parameters.size),
            // Blocks of 64 KB: nothing asks the watch within one, and a larger one would take a
            // second at the best quality.
            (BrotliEncoderParameter::BROTLI_PARAM_LGBLOCK, Some(16)),
        ];
        for (parameter, value) in set {
            if let Some(value) = value {
                state.set_parameter(parameter, value);
            }
        }
        Encoder(state)
    }
}

impl Codec for Encoder {
    fn step(&mut self, input: &[u8], output: &mut [u8], flush: Flush) -> Step {
        let operation = match flush {
            Flush::No => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
            Flush::Sync | Flush::Full => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
            Flush::Finish => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
        };
        let (mut unread, mut read) = (input.len(), 0);
        let (mut room, mut written) = (output.len(), 0);
        let done = self.0.compress_stream(
            operation,
            &mut unread,
            input,
            &mut read,
            &mut room,
            output,
            &mut written,
            &mut None,
            &mut |_: &mut PredictionModeContextMap<_>, _: &mut _, _, _| (),
        );
        let state = if !done {
            State::Failed("ERR__ERROR_COMPRESSION".to_owned(), "Compression failed".to_owned())
        } else if self.0.is_finished() {
            State::Ended
        } else {
            State::Going
        };
        Step { read, written, state }
    }
}

pub(super) struct Decoder(BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>);

impl Decoder {
    /// The largest window a stream can ask for, and tables.
    pub(super) const NATIVE_BYTES: usize = (1 << LARGEST_WINDOW) + (1 << 20);

    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        Decoder(BrotliState::new_strict(alloc(), alloc(), alloc()))
    }
}

impl Codec for Decoder {
    fn step(&mut self, input: &[u8], output: &mut [u8], _: Flush) -> Step {
        let (mut unread, mut read) = (input.len(), 0);
        let (mut room, mut written) = (output.len(), 0);
        let mut total = 0;
        let result = BrotliDecompressStream(
            &mut unread,
            &mut read,
            input,
            &mut room,
            &mut written,
            output,
            &mut total,
            &mut self.0,
        );
        let state = match result {
            BrotliResult::ResultSuccess => State::Ended,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => State::Going,
            BrotliResult::ResultFailure => {
                // Node cuts what every name begins with.
                let name = format!("{:?}", self.0.error_code);
                let code = format!("ERR_{}", name.trim_start_matches("BROTLI_DECODER"));
                State::Failed(code, "Decompression failed".to_owned())
            }
        };
        Step { read, written, state }
    }
}
