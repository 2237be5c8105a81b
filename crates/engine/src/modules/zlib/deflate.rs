//! DEFLATE, in a zlib or gzip wrapping or in none.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Codec, Flush, State, Step};

/// What zlib's own documentation says that a compressor takes, and more than a decompressor does.
pub(super) const NATIVE_BYTES: usize = 268 << 10;

/// zlib's largest window.
const LARGEST_WINDOW: u8 = 15;

/// zlib's level unless one is asked for.
const USUAL_LEVEL: u32 = 6;

/// The first byte of a gzip file, which no zlib stream begins with.
const GZIP: u8 = 0x1F;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrapping {
    None,
    Zlib,
    Gzip,
}

pub(super) fn open(
    kind: &str,
    level: Option<u32>,
    window: Option<u8>,
    dictionary: Option<Vec<u8>>,
) -> Option<Box<dyn Codec>> {
    // With 8, zlib itself takes 9 instead; 0 is what the stream says.
    let window = window.filter(|bits| *bits > 0).map_or(LARGEST_WINDOW, |bits| bits.clamp(9, 15));
    let level = Compression::new(level.unwrap_or(USUAL_LEVEL));
    let deflate = |wrapping| {
        let mut stream = match wrapping {
            Wrapping::None => Compress::new_with_window_bits(level, false, window),
            Wrapping::Zlib => Compress::new_with_window_bits(level, true, window),
            Wrapping::Gzip => Compress::new_gzip(level, window),
        };
        if let Some(dictionary) = &dictionary {
            stream.set_dictionary(dictionary).ok()?;
        }
        Some(Box::new(Deflate(stream)) as Box<dyn Codec>)
    };
    let inflate = |wrapping| {
        let mut inflate =
            Inflate { stream: None, wrapping, window, dictionary: dictionary.clone() };
        if let Some(wrapping) = wrapping {
            inflate.begin(wrapping);
        }
        Some(Box::new(inflate) as Box<dyn Codec>)
    };
    match kind {
        "deflate" => deflate(Wrapping::Zlib),
        "deflateRaw" => deflate(Wrapping::None),
        "gzip" => deflate(Wrapping::Gzip),
        "inflate" => inflate(Some(Wrapping::Zlib)),
        "inflateRaw" => inflate(Some(Wrapping::None)),
        "gunzip" => inflate(Some(Wrapping::Gzip)),
        "unzip" => inflate(None),
        _ => None,
    }
}

struct Deflate(Compress);

impl Codec for Deflate {
    fn step(&mut self, input: &[u8], output: &mut [u8], flush: Flush) -> Step {
        let flush = match flush {
            Flush::No => FlushCompress::None,
            Flush::Sync => FlushCompress::Sync,
            Flush::Full => FlushCompress::Full,
            Flush::Finish => FlushCompress::Finish,
        };
        let before = (self.0.total_in(), self.0.total_out());
        let state = match self.0.compress(input, output, flush) {
            Ok(Status::StreamEnd) => State::Ended,
            Ok(_) => State::Going,
            Err(error) => State::Failed("Z_STREAM_ERROR".to_owned(), error.to_string()),
        };
        Step {
            read: difference(self.0.total_in(), before.0),
            written: difference(self.0.total_out(), before.1),
            state,
        }
    }
}

fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after - before).unwrap_or(0)
}

struct Inflate {
    /// None before the first byte, and between the members of a gzip file.
    stream: Option<Decompress>,
    /// None until the first byte tells.
    wrapping: Option<Wrapping>,
    window: u8,
    dictionary: Option<Vec<u8>>,
}

impl Inflate {
    fn begin(&mut self, wrapping: Wrapping) {
        let mut stream = match wrapping {
            Wrapping::None => Decompress::new_with_window_bits(false, self.window),
            Wrapping::Zlib => Decompress::new_with_window_bits(true, self.window),
            Wrapping::Gzip => Decompress::new_gzip(self.window),
        };
        if let (Wrapping::None, Some(dictionary)) = (wrapping, &self.dictionary) {
            // A raw stream does not tell when it wants it.
            let _ = stream.set_dictionary(dictionary);
        }
        (self.stream, self.wrapping) = (Some(stream), Some(wrapping));
    }
}

impl Codec for Inflate {
    fn step(&mut self, input: &[u8], output: &mut [u8], flush: Flush) -> Step {
        if self.wrapping.is_none() && !input.is_empty() {
            let gzip = input.first() == Some(&GZIP);
            self.begin(if gzip { Wrapping::Gzip } else { Wrapping::Zlib });
        }
        let nothing = |state| Step { read: 0, written: 0, state };
        if self.stream.is_none() && self.wrapping == Some(Wrapping::Gzip) {
            // A gzip file may have many members, and zeros after the last.
            match input.first() {
                None if flush == Flush::Finish => return nothing(State::Ended),
                None => return nothing(State::Going),
                Some(0) => return nothing(State::Ended),
                Some(_) => self.begin(Wrapping::Gzip),
            }
        }
        let Some(stream) = &mut self.stream else { return nothing(State::Going) };
        let before = (stream.total_in(), stream.total_out());
        let mut state = match stream.decompress(input, output, FlushDecompress::None) {
            Ok(Status::StreamEnd) => State::Ended,
            Ok(_) => State::Going,
            Err(error) if error.needs_dictionary().is_some() => match &self.dictionary {
                None => State::Failed("Z_NEED_DICT".to_owned(), "Missing dictionary".to_owned()),
                Some(dictionary) => match stream.set_dictionary(dictionary) {
                    Ok(_) => State::Going,
                    Err(_) => State::Failed("Z_NEED_DICT".to_owned(), "Bad dictionary".to_owned()),
                },
            },
            Err(error) => {
                let words = error.message().unwrap_or("invalid data").to_owned();
                State::Failed("Z_DATA_ERROR".to_owned(), words)
            }
        };
        let read = difference(stream.total_in(), before.0);
        let written = difference(stream.total_out(), before.1);
        if matches!(state, State::Ended) && self.wrapping == Some(Wrapping::Gzip) {
            self.stream = None;
            state = State::Going;
        }
        Step { read, written, state }
    }
}
