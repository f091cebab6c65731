//! Connections that nobody on the way can read or change: TLS 1.3, with certificates that the cluster's owner has made.

use crate::error::{Error, Result};
use axum::serve::IncomingStream;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, version::TLS13};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tonic::transport::{Certificate, ClientTlsConfig};

/// How long a peer may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that wait to be served, and that agree on keys at once.
const WAITING: usize = 256;

/// What a process needs to know for TLS: whose certificates it trusts, and, to be called by others, its own.
///
/// A client needs the authority's certificate; schedulers and workers need certificates of their own too, issued by it and valid for the
/// name under which they are called: their host's, or one that all share ([`Tls::with_name`]). Who may call is told by the
/// [`Token`](super::Token), not by certificates.
#[derive(Clone)]
pub struct Tls {
    authority: Arc<[u8]>,
    name: Option<Arc<str>>,
    connector: TlsConnector,
    acceptor: Option<TlsAcceptor>,
}

/// Never the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tls { name, acceptor, .. } = self;
        write!(f, "Tls {{ name: {name:?}, certificate: {} }}", acceptor.is_some())
    }
}

impl Tls {
    /// Trusts those whose certificates were issued by this authority: the text of a PEM file with one certificate or more.
    ///
    /// # Errors
    /// If there is none in it.
    pub fn new(authority: &[u8]) -> Result<Tls> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authority)? {
            roots.add(certificate).map_err(|e| wrong(format!("the authority's certificate: {e}")))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| Error::internal(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Tls { authority: authority.into(), name: None, connector, acceptor: None })
    }

    /// Has a certificate of its own (with those up to the authority's, if there are some between) and its key, as texts of PEM files.
    ///
    /// # Errors
    /// If there is no certificate or no key in them, or they do not belong together.
    pub fn with_certificate(mut self, certificate: &[u8], key: &[u8]) -> Result<Tls> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| wrong(format!("the private key: {e}")))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| Error::internal(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(certificates(certificate)?, key)
            .map_err(|e| wrong(format!("the certificate and its key: {e}")))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        self.acceptor = Some(TlsAcceptor::from(Arc::new(config)));
        Ok(self)
    }

    /// Expects this name in others' certificates, instead of their hosts' names.
    ///
    /// # Errors
    /// If it is no name of a host.
    pub fn with_name(mut self, name: &str) -> Result<Tls> {
        ServerName::try_from(name).map_err(|e| wrong(format!("the name {name:?}: {e}")))?;
        self.name = Some(name.into());
        Ok(self)
    }

    /// From the files in `BLOCKWISE_TLS_AUTHORITY`, `BLOCKWISE_TLS_CERTIFICATE` and `BLOCKWISE_TLS_KEY`, and the name in `BLOCKWISE_TLS_NAME`;
    /// none if there is no authority.
    ///
    /// # Errors
    /// If a file cannot be read or holds something else, or one is missing.
    pub fn from_env() -> Result<Option<Tls>> {
        let path = |variable| std::env::var_os(variable).map(PathBuf::from);
        let [authority, certificate, key] = FILES.map(path);
        Files { authority, certificate, key, name: std::env::var(NAME).ok() }.load()
    }

    /// How the engine's calls are made.
    pub(super) fn client(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.authority));
        match &self.name {
            Some(name) => config.domain_name(&**name),
            None => config,
        }
    }

    /// Agrees on keys with a host that was called.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let name = self.name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        self.connector.connect(name, stream).await
    }

    /// Waits for calls; peers agree on keys beside each other, so that none keeps others waiting.
    ///
    /// # Errors
    /// If there is no certificate to be known by.
    pub(super) fn listen(&self, listener: TcpListener) -> io::Result<Incoming> {
        let acceptor = self.acceptor.clone().ok_or_else(|| {
            io::Error::other("TLS without a certificate: set BLOCKWISE_TLS_CERTIFICATE and BLOCKWISE_TLS_KEY")
        })?;
        let address = listener.local_addr()?;
        let (send, ready) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let mut listener = listener;
            loop {
                // a place for each, before it is taken in: peers that never speak are no more than these
                let Ok(place) = send.clone().reserve_owned().await else { return };
                let (stream, from) = axum::serve::Listener::accept(&mut listener).await;
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => drop(place.send((stream, from))),
                        Ok(Err(e)) => log::warn!("a connection from {from} is no TLS: {e}"),
                        Err(_) => log::warn!("a connection from {from} says nothing"),
                    }
                });
            }
        });
        Ok(Incoming { ready, address })
    }
}

/// Variables with the names of files, and with the name that certificates are for.
const FILES: [&str; 3] = ["BLOCKWISE_TLS_AUTHORITY", "BLOCKWISE_TLS_CERTIFICATE", "BLOCKWISE_TLS_KEY"];
const NAME: &str = "BLOCKWISE_TLS_NAME";

/// Where certificates are, as settings of a program tell.
#[derive(Clone, Default, Debug)]
pub(super) struct Files {
    pub authority: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub name: Option<String>,
}

impl Files {
    /// Takes a setting; whether it is one of these.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        match name {
            "tls-authority" => self.authority = Some(value.into()),
            "tls-certificate" => self.certificate = Some(value.into()),
            "tls-key" => self.key = Some(value.into()),
            "tls-name" => self.name = Some(value.into()),
            _ => return false,
        }
        true
    }

    /// The variables that tell a process of them, with their values.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, Option<&OsStr>)> {
        let files =
            [&self.authority, &self.certificate, &self.key].map(|f| f.as_ref().map(|f| f.as_os_str()));
        let name = self.name.as_ref().map(OsStr::new);
        FILES.into_iter().zip(files).chain([(NAME, name)])
    }

    /// What is in them; nothing if there are none.
    pub fn load(&self) -> Result<Option<Tls>> {
        let read = |file: &PathBuf| std::fs::read(file).map_err(|e| Error::io("reading", file, e));
        let Files { authority, certificate, key, name } = self;
        let Some(authority) = authority else {
            return match (certificate, key, name) {
                (None, None, None) => Ok(None),
                _ => Err(wrong("whom to trust is not said: set BLOCKWISE_TLS_AUTHORITY too".into())),
            };
        };
        let mut tls = Tls::new(&read(authority)?)?;
        tls = match (certificate, key) {
            (None, None) => tls,
            (Some(certificate), Some(key)) => tls.with_certificate(&read(certificate)?, &read(key)?)?,
            _ => return Err(wrong("a certificate needs its key, and a key its certificate".into())),
        };
        match name {
            Some(name) => tls.with_name(name).map(Some),
            None => Ok(Some(tls)),
        }
    }
}

/// Connections whose peers have agreed on keys.
pub(super) struct Incoming {
    ready: mpsc::Receiver<(server::TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl axum::serve::Listener for Incoming {
    type Io = server::TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // who accepts them ends with the process
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Who calls.
#[derive(Clone)]
pub(super) struct Peer(pub SocketAddr);

impl axum::extract::connect_info::Connected<IncomingStream<'_, Incoming>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Incoming>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(wrong("no certificate in it: a PEM file is expected".into())),
        Err(e) => Err(wrong(format!("no certificates: {e}"))),
    }
}

fn wrong(message: String) -> Error {
    Error::invalid("TLS", message)
}
