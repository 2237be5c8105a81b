//! What can be wrong with a payload that is read or with a document that is written.

/// The result of reading or writing jsonb.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a payload cannot be read or a document cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a jsonb payload; the text says which rule they break.
    #[error("malformed jsonb: {0}")]
    Malformed(&'static str),
    /// A string holds bytes of another encoding: the database is not in UTF-8.
    #[error("jsonb string is not valid UTF-8")]
    NotUtf8,
    /// A key or a string holds U+0000, which PostgreSQL cannot store.
    #[error("jsonb string contains U+0000")]
    NulInString,
    /// NaN and the infinities have no JSON form.
    #[error("jsonb number must be finite")]
    NotFinite,
    /// A key or a string is longer than its entry can say.
    #[error("jsonb string of {length} bytes exceeds the limit of {limit}")]
    StringTooLong {
        /// Bytes in the string.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// An array has too many elements.
    #[error("jsonb array exceeds the limit of {limit} elements")]
    TooManyElements {
        /// Elements allowed.
        limit: usize,
    },
    /// An object has too many pairs, those with a repeated key included.
    #[error("jsonb object exceeds the limit of {limit} pairs")]
    TooManyPairs {
        /// Pairs allowed.
        limit: usize,
    },
    /// The document, or what was written for it and later overwritten, takes too much room.
    #[error("jsonb document exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// Arrays and objects are nested too deeply.
    #[error("jsonb document exceeds the limit of {limit} nested arrays and objects")]
    TooDeep {
        /// Levels allowed.
        limit: usize,
    },
    /// An event came where no document allows it; the text says which.
    #[error("jsonb writer was given {0}")]
    Misplaced(&'static str),
}
