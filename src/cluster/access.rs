//! How the processes of a cluster call each other, and whom they let in: a token, and TLS if there are certificates.

use super::tls::{Peer, Tls};
use super::token::Token;
use crate::error::{Error, Result};
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::serve::ListenerExt;
use ballista_core::extension::EndpointOverrideFn;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::Endpoint;

/// What a process says when it calls, and wants to hear when it is called.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    pub token: Token,
    pub tls: Option<Tls>,
}

/// A connection, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Access {
    /// Host and port of an address such as `http://host:50050`, or `https://` where there is TLS.
    ///
    /// # Errors
    /// If it is none, or of the other kind.
    pub fn host_and_port<'a>(&self, url: &'a str) -> Result<(&'a str, u16)> {
        let wrong = |message: String| Error::invalid("the scheduler's address", message);
        let like = format!("an address is like {}://host:50050", self.scheme());
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong(format!("{url:?}: {like}")))?;
        match (scheme, self.scheme()) {
            ("https", "http") => {
                return Err(wrong(format!("{url:?} needs TLS: set BLOCKWISE_TLS_AUTHORITY, or `tls`")));
            }
            (given, known) if given != known => return Err(wrong(format!("{url:?}: {like}"))),
            _ => {}
        }
        let parts = rest.trim_end_matches('/').rsplit_once(':').and_then(|(h, p)| Some((h, p.parse().ok()?)));
        parts.ok_or_else(|| wrong(format!("{url:?}: {like}")))
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// What a call of the engine is made with: the token, TLS, and signs of life from the other side while it waits.
    pub fn endpoint(&self) -> EndpointOverrideFn {
        let Access { token, tls } = self.clone();
        Arc::new(move |endpoint| {
            let endpoint = match &tls {
                Some(tls) => secured(endpoint)?.tls_config(tls.client())?,
                None => endpoint,
            };
            let endpoint = endpoint
                .connect_timeout(Duration::from_secs(5))
                .tcp_nodelay(true)
                .http2_keep_alive_interval(Duration::from_secs(10))
                .keep_alive_timeout(Duration::from_secs(10))
                .user_agent(token.agent())?;
            Ok(endpoint)
        })
    }

    /// Calls a host.
    pub async fn connect(&self, (host, port): (&str, u16)) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        Ok(match &self.tls {
            Some(tls) => Box::new(tls.connect(host.trim_matches(['[', ']']), stream).await?),
            None => Box::new(stream),
        })
    }

    /// Answers calls until `end`; those that are being answered then are finished.
    pub async fn serve(
        &self,
        listener: TcpListener,
        routes: axum::Router,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let routes = self.token.guard(routes);
        let Some(tls) = &self.tls else {
            let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
            // answers are short and waited for: none shall wait for more to be sent with it; without, all that is lost is time
            let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
            return axum::serve(listener, routes).with_graceful_shutdown(end).await;
        };
        let routes = routes.layer(from_fn(with_address)).into_make_service_with_connect_info::<Peer>();
        axum::serve(tls.listen(listener)?, routes).with_graceful_shutdown(end).await
    }
}

/// The same call, with TLS: the engine calls its scheduler by `http` alone.
fn secured(endpoint: Endpoint) -> std::result::Result<Endpoint, Box<dyn std::error::Error + Send + Sync>> {
    let uri = endpoint.uri().to_string();
    Ok(match uri.strip_prefix("http://") {
        // its calls are short; that is its own limit for them
        Some(rest) => Endpoint::new(format!("https://{rest}"))?.timeout(Duration::from_secs(20)),
        None => endpoint,
    })
}

/// Tells the engine who calls, as it is told without TLS.
async fn with_address(mut request: Request, next: Next) -> axum::response::Response {
    if let Some(ConnectInfo(Peer(address))) = request.extensions().get::<ConnectInfo<Peer>>().cloned() {
        request.extensions_mut().insert(ConnectInfo(address));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let plain = Access::default();
        assert_eq!(plain.host_and_port("http://a.b:5/").unwrap(), ("a.b", 5));
        assert_eq!(plain.host_and_port("http://[::1]:5").unwrap(), ("[::1]", 5));
        for (bad, why) in [
            ("a.b:5", "like http://host"),
            ("http://a.b", "like http://host"),
            ("http://a.b:70000", "like http://host"),
            ("https://a.b:5", "needs TLS"),
            ("ftp://a.b:5", "like http://host"),
        ] {
            let e = plain.host_and_port(bad).unwrap_err().to_string();
            assert!(e.contains(why) && e.contains(bad), "{e}");
        }
    }
}
