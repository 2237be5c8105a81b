//! What AWS-LC refuses, as Node says that OpenSSL did.

use ::crypto::Error;
use rquickjs::{Ctx, Exception, Value};

/// What plugins meet: AWS-LC's reason; OpenSSL's number and library; its reason, if it is another.
const KNOWN: [(&str, &str, &str); 8] = [
    ("BAD_DECRYPT", "1C800064:Provider routines", "BAD_DECRYPT"),
    ("DATA_NOT_MULTIPLE_OF_BLOCK_LENGTH", "1C80006B:Provider routines", "WRONG_FINAL_BLOCK_LENGTH"),
    ("DATA_TOO_LARGE_FOR_KEY_SIZE", "0200006E:rsa routines", "RSA_DATA_TOO_LARGE_FOR_KEY_SIZE"),
    ("DATA_TOO_LARGE_FOR_MODULUS", "02000079:rsa routines", "RSA_OAEP_DECODING_ERROR"),
    ("INVALID_DIGEST", "1C80007A:Provider routines", "INVALID_DIGEST"),
    ("OAEP_DECODING_ERROR", "02000079:rsa routines", "RSA_OAEP_DECODING_ERROR"),
    ("UNSUPPORTED", "1E08010C:DECODER routines", "UNSUPPORTED"),
    ("WRONG_FINAL_BLOCK_LENGTH", "1C80006B:Provider routines", "WRONG_FINAL_BLOCK_LENGTH"),
];

/// Throws it: with a code, where the message is not all there is.
pub(super) fn thrown(ctx: &Ctx<'_>, error: &Error) -> rquickjs::Error {
    let Error(reason) = error;
    if reason == "UNAUTHENTICATED" {
        return Exception::throw_message(ctx, "Unsupported state or unable to authenticate data");
    }
    let known = KNOWN.iter().find(|(ours, ..)| ours == reason);
    let (_, number, reason) = known.copied().unwrap_or(("", "00000000:lib(0)", reason));
    let words = reason.trim_start_matches("RSA_").to_ascii_lowercase().replace('_', " ");
    let message = format!("error:{number}::{words}");
    let make = || {
        let exception = Exception::from_message(ctx.clone(), &message)?;
        exception.set("code", format!("ERR_OSSL_{reason}"))?;
        exception.set("reason", words)?;
        Ok(Value::from(exception.into_object()))
    };
    match make() {
        Ok(exception) => ctx.throw(exception),
        Err(error) => error,
    }
}
