//! A word that all processes of a cluster know, and that every call must say.
//!
//! The engine's calls between processes leave one header to us: the user agent. It is `blockwise-WORD`, and whoever listens lets nothing else in.
//! Without a word everything is let in.

use crate::error::{Error, Result};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use std::fmt;
use std::sync::Arc;

/// Paths that need no word: whether a process lives and is ready is no secret.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// The word, if there is one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(Option<Arc<str>>);

/// Never the word itself.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", if self.0.is_some() { "set" } else { "none" })
    }
}

impl Token {
    /// A word of letters, digits, `-`, `_` and `.`.
    ///
    /// # Errors
    /// If it is shorter than 16 characters or has others.
    pub fn new(word: &str) -> Result<Token> {
        let word = word.trim();
        let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if word.len() < 16 || !plain {
            return Err(Error::invalid("token", "needs at least 16 letters, digits, '-', '_' or '.'"));
        }
        Ok(Token(Some(word.into())))
    }

    /// The word in `BLOCKWISE_TOKEN`, if it is set.
    ///
    /// # Errors
    /// As [`Token::new`].
    pub fn from_env() -> Result<Token> {
        std::env::var("BLOCKWISE_TOKEN").map_or(Ok(Token::default()), |word| Token::new(&word))
    }

    /// A word that nobody can guess.
    pub(super) fn random() -> Token {
        use std::hash::{BuildHasher, Hasher, RandomState};
        // its keys come from the system's source of random numbers
        let number = || RandomState::new().build_hasher().finish();
        Token(Some(format!("{:016x}{:016x}", number(), number()).into()))
    }

    /// The word itself.
    pub(super) fn word(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// What a call says.
    pub(super) fn agent(&self) -> String {
        match &self.0 {
            Some(word) => format!("blockwise-{word}"),
            None => "blockwise".into(),
        }
    }

    /// Lets only those in who say the word.
    pub(super) fn guard(&self, routes: axum::Router) -> axum::Router {
        if self.0.is_none() {
            return routes;
        }
        let agent: Arc<str> = self.agent().into();
        routes.layer(from_fn(move |request: Request, next: Next| {
            let agent = agent.clone();
            async move { check(&agent, request, next).await }
        }))
    }
}

async fn check(agent: &str, request: Request, next: Next) -> Response {
    let said = request.headers().get(header::USER_AGENT).map(|v| v.as_bytes()).unwrap_or_default();
    let said = said.split(|&b| b == b' ').next().unwrap_or_default();
    if OPEN.contains(&request.uri().path()) || same(said, agent.as_bytes()) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, "a token is needed: BLOCKWISE_TOKEN").into_response()
}

/// Whether two words are the same, in a time that does not tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_long_and_plain_and_not_printed() {
        assert!(Token::new("short").is_err() && Token::new("with a space, which is long").is_err());
        let token = Token::new("0123456789abcdef\n").unwrap();
        assert_eq!(token.agent(), "blockwise-0123456789abcdef");
        assert_eq!(format!("{token:?}"), "Token(set)");
        assert_ne!(Token::random(), Token::random());
        assert!(Token::new(Token::random().word().unwrap()).is_ok());
        assert!(same(b"abc", b"abc") && !same(b"abc", b"abd") && !same(b"abc", b"ab"));
    }
}
