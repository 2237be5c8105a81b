//! The body of an answer: read and decoded bit by bit, so that neither a long one nor one that
//! becomes long takes more memory than it may.

use std::io::{self, Write};

use flate2::{Decompress, FlushDecompress, Status};
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};

use crate::connection::Connection;
use crate::error::Error;

/// What `Decoder` understands.
pub(crate) const ACCEPTED: &str = "gzip, deflate, br";

/// The body of an answer to such a request, at most so long.
pub(crate) async fn read(
    connection: &mut Connection,
    method: &Method,
    headers: &HeaderMap,
    mut body: Incoming,
    most: usize,
) -> Result<Vec<u8>, Error> {
    // A long one is refused before it is sent.
    let announced = body.size_hint().lower();
    if method != Method::HEAD && usize::try_from(announced).unwrap_or(usize::MAX) > most {
        return Err(Error::TooLong(most));
    }
    let mut decoder = Decoder::new(headers, most)?;
    while let Some(frame) = connection.drive(body.frame()).await {
        let frame = frame.map_err(|error| broken(&error))?;
        if let Some(data) = frame.data_ref() {
            decoder.write(data)?;
        }
    }
    decoder.finish()
}

/// What an error of hyper's means while an answer comes.
pub(crate) fn broken(error: &hyper::Error) -> Error {
    use std::error::Error as _;
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    let io = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    if error.is_incomplete_message() {
        return Error::EndedEarly;
    }
    match io {
        Some(io) if io.kind() == io::ErrorKind::UnexpectedEof => Error::EndedEarly,
        Some(io) if io.kind() == io::ErrorKind::InvalidInput => Error::NotHttp(io.to_string()),
        Some(io) => Error::Broken(io.to_string()),
        None if error.is_parse() => Error::NotHttp(error.to_string()),
        None => Error::Broken(cause.map_or_else(|| error.to_string(), ToString::to_string)),
    }
}

struct Decoder {
    coding: Coding,
    any: bool,
}

enum Coding {
    None(Limited),
    Gzip(Box<flate2::write::MultiGzDecoder<Limited>>),
    Deflate(Inflate, Limited),
    Brotli(Box<brotli::DecompressorWriter<Limited>>),
}

impl Decoder {
    fn new(headers: &HeaderMap, most: usize) -> Result<Self, Error> {
        let text = |value: &hyper::header::HeaderValue| {
            String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()
        };
        let codings: Vec<String> = headers.get_all(CONTENT_ENCODING).iter().map(text).collect();
        let coding = codings.join(", ");
        let out = Limited { bytes: Vec::new(), most };
        let coding = match coding.trim() {
            "" | "identity" => Coding::None(out),
            "gzip" | "x-gzip" => Coding::Gzip(Box::new(flate2::write::MultiGzDecoder::new(out))),
            "deflate" => Coding::Deflate(Inflate::default(), out),
            "br" => Coding::Brotli(Box::new(brotli::DecompressorWriter::new(out, PIECE))),
            other => {
                let reason = "it is not one that was asked for".to_owned();
                return Err(Error::NotDecoded { coding: other.to_owned(), reason });
            }
        };
        Ok(Decoder { coding, any: false })
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Error> {
        self.any |= !data.is_empty();
        let written = match &mut self.coding {
            Coding::None(out) => out.write_all(data),
            Coding::Gzip(decoder) => decoder.write_all(data),
            Coding::Deflate(inflate, out) => inflate.write(data, out),
            Coding::Brotli(decoder) => decoder.write_all(data),
        };
        written.map_err(|error| self.failure(error))
    }

    fn finish(mut self) -> Result<Vec<u8>, Error> {
        // As after HEAD: the headers are those of a body that did not come.
        if !self.any {
            return Ok(Vec::new());
        }
        let finished = match &mut self.coding {
            Coding::None(_) => Ok(()),
            Coding::Gzip(decoder) => decoder.try_finish(),
            Coding::Deflate(inflate, _) => inflate.finish(),
            Coding::Brotli(decoder) => decoder.close(),
        };
        finished.map_err(|error| self.failure(error))?;
        Ok(std::mem::take(&mut self.out().bytes))
    }

    fn out(&mut self) -> &mut Limited {
        match &mut self.coding {
            Coding::None(out) | Coding::Deflate(_, out) => out,
            Coding::Gzip(decoder) => decoder.get_mut(),
            Coding::Brotli(decoder) => decoder.get_mut(),
        }
    }

    fn failure(&mut self, error: io::Error) -> Error {
        let coding = match self.coding {
            Coding::None(_) => "identity",
            Coding::Gzip(_) => "gzip",
            Coding::Deflate(..) => "deflate",
            Coding::Brotli(_) => "br",
        };
        if error.kind() == io::ErrorKind::FileTooLarge {
            return Error::TooLong(self.out().most);
        }
        Error::NotDecoded { coding: coding.to_owned(), reason: error.to_string() }
    }
}

/// What is decoded at a time.
const PIECE: usize = 32 << 10;

/// With or without zlib's header: servers do either.
#[derive(Default)]
struct Inflate {
    stream: Option<Box<Decompress>>,
    has_ended: bool,
}

impl Inflate {
    fn write(&mut self, mut data: &[u8], out: &mut Limited) -> io::Result<()> {
        let Some(first) = data.first() else { return Ok(()) };
        // The method in zlib's header; no encoder begins raw data so.
        let has_header = first & 0x0f == 8;
        let stream = self.stream.get_or_insert_with(|| Box::new(Decompress::new(has_header)));
        let mut piece = [0; PIECE];
        while !self.has_ended {
            let (read, written) = (stream.total_in(), stream.total_out());
            let status = stream.decompress(data, &mut piece, FlushDecompress::None)?;
            let read = (stream.total_in() - read) as usize;
            let written = (stream.total_out() - written) as usize;
            out.write_all(piece.get(..written).unwrap_or_default())?;
            data = data.get(read..).unwrap_or_default();
            self.has_ended = status == Status::StreamEnd;
            if read == 0 && written == 0 {
                return Ok(());
            }
        }
        if data.is_empty() { Ok(()) } else { Err(io::Error::other("there is more after its end")) }
    }

    fn finish(&self) -> io::Result<()> {
        if self.has_ended { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Takes so many bytes, and then no more.
struct Limited {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Limited {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.len() > self.most - self.bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
