//! Requests and their answers as plain values, between `fetch` in a realm and the host that has, or
//! has not, a network.

use url::Url;

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

impl Request {
    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.method.len() + self.url.len() + self.body.len() + headers.sum::<usize>()
    }

    /// What a plugin may have made of a request by changing the classes that check it. Hosts are not
    /// to be told anything else.
    pub(crate) fn check(&self) -> Result<(), String> {
        let is_token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c))
        };
        let is_value =
            |text: &str| text.chars().all(|c| u32::from(c) <= 0xFF && !"\0\r\n".contains(c));
        let url = Url::parse(&self.url).map_err(|error| format!("not an address: {error}"))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err("the address is neither http nor https".to_owned());
        }
        if !is_token(&self.method) {
            return Err("the method has a character that no method can have".to_owned());
        }
        if !self.headers.iter().all(|(name, value)| is_token(name) && is_value(value)) {
            return Err("a header has a character that no header can have".to_owned());
        }
        Ok(())
    }
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
