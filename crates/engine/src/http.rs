//! Requests and their answers as plain values, between `fetch` in a realm and the host that has, or
//! has not, a network.

/// What a plugin asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// In capitals.
    pub method: String,
    /// Absolute, http or https, without a fragment.
    pub url: String,
    /// Names in small letters; a name can come more than once.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub redirect: Redirect,
}

/// What the host does with an answer that leads elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect {
    Follow,
    /// It is the answer.
    Manual,
    /// The request fails.
    Error,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub status_text: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Where it came from in the end.
    pub url: String,
    pub redirected: bool,
}

/// The end of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// As [`Host::send`](crate::Host::send) numbered it.
    pub request: u64,
    /// The response, or why there is none.
    pub result: Result<Response, String>,
}
