//! What becomes of a webhook that a plugin has composed.

use std::time::Duration;

use engine::Response;

use crate::queue::consumer::{Outcome, Retry};

/// The beginning of an answer says what is wrong.
const LONGEST_BODY: usize = 200;

/// The same before secrets are masked: a cut inside of one would hide it from the mask.
const LONGEST_RAW_BODY: usize = 8 * LONGEST_BODY;

/// Whoever asks for more time than that has forgotten about it.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether the receiver took it, might take it later, or never will; why not, after `redact`.
pub fn outcome(answered: Result<Response, String>, redact: impl Fn(String) -> String) -> Outcome {
    let response = match answered {
        Ok(response) => response,
        Err(error) => return Outcome::Failed { retry: Retry::Later, error: redact(error) },
    };
    let status = response.status;
    if (200..300).contains(&status) {
        return Outcome::Delivered;
    }
    let body = String::from_utf8_lossy(&response.body);
    let body = body.trim().chars().take(LONGEST_RAW_BODY);
    // PostgreSQL's text has no U+0000.
    let body = body.map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c });
    let body: String = redact(body.collect()).chars().take(LONGEST_BODY).collect();
    let error = format!("the webhook was answered with status {status}: {body}");
    let retry = match status {
        408 | 425 | 429 | 500.. => wait(&response).map_or(Retry::Later, Retry::After),
        _ => Retry::Never,
    };
    Outcome::Failed { retry, error }
}

/// What `Retry-After` asks for, in seconds. A date would need a clock that agrees.
fn wait(response: &Response) -> Option<Duration> {
    let (_, value) = response.headers.iter().find(|(name, _)| name == "retry-after")?;
    let seconds = value.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, headers: &[(&str, &str)]) -> Outcome {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let response = Response {
            status,
            status_text: String::new(),
            headers: headers.collect(),
            body: b" no such channel\n".to_vec(),
            url: String::new(),
            redirected: false,
        };
        outcome(Ok(response), |text| text)
    }

    fn retry(outcome: Outcome) -> Option<Retry> {
        match outcome {
            Outcome::Delivered | Outcome::Behind => None,
            Outcome::Failed { retry, .. } => Some(retry),
        }
    }

    #[test]
    fn a_receiver_that_is_busy_or_broken_is_asked_again_when_it_says() {
        assert_eq!(retry(answered(204, &[])), None);
        assert_eq!(retry(answered(404, &[])), Some(Retry::Never));
        assert_eq!(retry(answered(301, &[])), Some(Retry::Never));
        assert_eq!(retry(answered(503, &[])), Some(Retry::Later));
        let asked = Some(Retry::After(Duration::from_secs(7)));
        assert_eq!(retry(answered(429, &[("retry-after", " 7 ")])), asked);
        assert_eq!(retry(answered(429, &[("retry-after", "soon")])), Some(Retry::Later));
        assert_eq!(retry(outcome(Err("reset".into()), |text| text)), Some(Retry::Later));
    }

    #[test]
    fn a_refusal_says_what_the_receiver_said() {
        let Outcome::Failed { error, .. } = answered(404, &[]) else { panic!("it was refused") };
        assert_eq!(error, "the webhook was answered with status 404: no such channel");
    }
}
