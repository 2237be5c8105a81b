//! `zlib`: Node's functions and streams are `zlib.js`; here a stream takes a step at a time, so that
//! its output is counted as it grows, and the watch is asked between steps.

mod brotli;
mod deflate;

use rquickjs::function::Func;
use rquickjs::{Array, ArrayBuffer, Ctx, Exception, Function, Object, Result, TypedArray, Value};

use crate::globals::native::{Handle, Native};
use crate::globals::{hold, run, toll, with_bytes};

/// Input of one step: a fraction of a millisecond's work but for brotli's best qualities.
const MOST_INPUT: usize = 64 << 10;

/// Output of one step.
const MOST_OUTPUT: usize = 256 << 10;

/// What is compressed or decompressed.
trait Codec {
    /// Reads from `input` and writes to `output` as much as it can.
    fn step(&mut self, input: &[u8], output: &mut [u8], flush: Flush) -> Step;
}

/// What becomes of what is buffered inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    No,
    Sync,
    Full,
    /// No more input comes.
    Finish,
}

struct Step {
    read: usize,
    written: usize,
    state: State,
}

enum State {
    /// It could take or give more.
    Going,
    /// The end of the stream was written or read.
    Ended,
    /// With the code and the words of Node's error.
    Failed(String, String),
}

pub(super) fn build<'js>(ctx: &Ctx<'js>, require: &Function<'js>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    native.set("open", Func::from(open))?;
    native.set("step", Func::from(step))?;
    let errors: Value<'js> = run(ctx, include_str!("../globals/node_errors.js"))?;
    let buffer: Value<'js> = ctx.globals().get("Buffer")?;
    let constants: Value<'js> = run(ctx, include_str!("zlib/constants.js"))?;
    let streams: Value<'js> = run(ctx, include_str!("zlib/streams.js"))?;
    let factory: Function<'js> = run(ctx, include_str!("zlib/zlib.js"))?;
    factory.call((native, errors, buffer, constants, streams, require.clone()))
}

/// Opens a stream: its kind, and the options of that kind.
fn open<'js>(
    ctx: Ctx<'js>,
    kind: String,
    options: Object<'js>,
) -> Result<Handle<'js, Box<dyn Codec>>> {
    match kind.as_str() {
        "brotliCompress" => {
            let parameters = brotli::Parameters {
                quality: options.get("quality")?,
                window: options.get("window")?,
                mode: options.get("mode")?,
                size: options.get("size")?,
            }
            .settled();
            opened(&ctx, parameters.memory(), || Some(Box::new(brotli::Encoder::new(parameters))))
        }
        "brotliDecompress" => {
            opened(&ctx, brotli::Decoder::NATIVE_BYTES, || Some(Box::new(brotli::Decoder::new())))
        }
        _ => {
            let level = options.get("level")?;
            let window = options.get("windowBits")?;
            let dictionary: Option<TypedArray<'js, u8>> = options.get("dictionary")?;
            let copied = |bytes: &TypedArray<'js, u8>| with_bytes(bytes, <[u8]>::to_vec);
            let dictionary = dictionary.as_ref().map(copied).transpose()?;
            let bytes = deflate::NATIVE_BYTES + dictionary.as_ref().map_or(0, Vec::len);
            opened(&ctx, bytes, || deflate::open(&kind, level, window, dictionary))
        }
    }
}

fn opened<'js>(
    ctx: &Ctx<'js>,
    bytes: usize,
    open: impl FnOnce() -> Option<Box<dyn Codec>>,
) -> Result<Handle<'js, Box<dyn Codec>>> {
    // Making a stream clears its tables.
    toll::pay(ctx, bytes)?;
    let refused = || Exception::throw_type(ctx, "no such stream");
    Native::make(ctx, bytes, || open().ok_or_else(refused))
}

/// Takes a step from `at` on: the bytes that came out, where the next begins, and 1 at the end of
/// the stream or its error.
fn step<'js>(
    ctx: Ctx<'js>,
    codec: Handle<'js, Box<dyn Codec>>,
    input: TypedArray<'js, u8>,
    at: usize,
    flush: u8,
    room: usize,
) -> Result<Array<'js>> {
    let flush = match flush {
        0 | 1 => Flush::No,
        2 | 5 => Flush::Sync,
        3 => Flush::Full,
        _ => Flush::Finish,
    };
    let room = room.clamp(1, MOST_OUTPUT);
    let _memory = hold(&ctx, room)?;
    let mut output = vec![0; room];
    let codec = codec.borrow();
    // Lending the bytes is paid for by their number, of which a step looks at few.
    let input =
        input.as_raw().ok_or_else(|| Exception::throw_type(&ctx, "the buffer is detached"))?;
    // SAFETY: QuickJS keeps the block while no JavaScript runs, and a step runs none.
    let input = unsafe { input.as_ref() };
    let rest = input.get(at..).unwrap_or_default();
    let part = rest.get(..MOST_INPUT).unwrap_or(rest);
    // What has to come to its end comes to it with the last part.
    let flush = if part.len() < rest.len() { Flush::No } else { flush };
    let Step { read, written, state } = codec.value().borrow_mut().step(part, &mut output, flush);
    toll::pay(&ctx, read + written)?;
    output.truncate(written);
    let result = Array::new(ctx.clone())?;
    result.set(0, ArrayBuffer::new_copy(ctx.clone(), output)?)?;
    result.set(1, at + read)?;
    match state {
        State::Going => {}
        State::Ended => result.set(2, 1)?,
        State::Failed(code, words) => {
            let error = Array::new(ctx)?;
            error.set(0, code)?;
            error.set(1, words)?;
            result.set(2, error)?;
        }
    }
    Ok(result)
}
