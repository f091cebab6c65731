//! Stores, and places in them.

use super::is_url;
use super::object::Object;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{
    Error as StoreError, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    ObjectStoreScheme, parse_url_opts,
};
use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use tokio::runtime::Runtime;
use url::Url;

/// Bytes of a part of an upload at least, of which stores want 5 MiB.
const PART: u64 = 8 << 20;
/// Parts of an upload at most; stores take 10 000.
const PARTS: u64 = 9000;
/// Parts that are on their way at once.
const IN_FLIGHT: usize = 2;
/// Prefixes of environment variables that say how stores are reached.
const SETTINGS: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// An object, or all objects below: a store and a key in it.
#[derive(Clone, Debug)]
pub(in crate::io) struct Place {
    store: Arc<dyn ObjectStore>,
    key: Key,
    /// The URL up to the key.
    base: String,
}

/// The place that a path names, if it is a URL.
pub(in crate::io) fn place(path: &Path) -> io::Result<Option<Place>> {
    if !is_url(path) {
        return Ok(None);
    }
    let invalid = |e: &dyn std::fmt::Display| io::Error::new(ErrorKind::InvalidInput, e.to_string());
    // what joins paths here writes the other slash on Windows
    let text = path.to_str().ok_or_else(|| invalid(&"a URL is UTF-8 text"))?.replace('\\', "/");
    let url = Url::parse(&text).map_err(|e| invalid(&e))?;
    let is_web = url.scheme().starts_with("http");
    if is_web && (url.query().is_some() || !url.username().is_empty()) {
        return Err(invalid(
            &"URLs with queries, signatures or passwords are not understood; use the store's own scheme",
        ));
    }
    let (scheme, web_key) = ObjectStoreScheme::parse(&url).map_err(|e| invalid(&e))?;
    let (base, key) = if scheme == ObjectStoreScheme::Http {
        (url[..url::Position::BeforePath].to_owned(), web_key)
    } else if is_web {
        // a service's own address: the bucket may be part of the path
        let base = text.strip_suffix(web_key.as_ref()).unwrap_or(&text).trim_end_matches('/').to_owned();
        (base, web_key)
    } else {
        // keys are as they are: nothing in them is an escape
        let (head, key) = text.split_once("://").map_or((0, ""), |(s, rest)| (s.len() + 3, rest));
        let bucket = key.find('/').unwrap_or(key.len());
        (text[..head + bucket].to_owned(), Key::parse(&key[bucket..]).map_err(|e| invalid(&e))?)
    };
    Ok(Some(Place { store: store(&base, scheme == ObjectStoreScheme::Http)?, key, base }))
}

/// The store behind a URL; made once.
fn store(base: &str, web: bool) -> io::Result<Arc<dyn ObjectStore>> {
    static STORES: OnceLock<Mutex<HashMap<String, Arc<dyn ObjectStore>>>> = OnceLock::new();
    let mut stores = STORES.get_or_init(Default::default).lock().unwrap_or_else(|e| e.into_inner());
    if let Some(store) = stores.get(base) {
        return Ok(store.clone());
    }
    let text = |t: std::ffi::OsString| t.into_string().ok();
    let mut settings: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
        .filter(|(name, _)| SETTINGS.iter().any(|s| name.starts_with(s)))
        .collect();
    if web {
        // asked for by the scheme
        settings.push(("allow_http".into(), "true".into()));
    }
    let url = Url::parse(base).map_err(|e| io::Error::new(ErrorKind::InvalidInput, e))?;
    let made = parse_url_opts(&url, settings).map_err(failed)?;
    let made: Arc<dyn ObjectStore> = Arc::from(made.0);
    stores.insert(base.to_owned(), made.clone());
    Ok(made)
}

/// Runs a call of a store to its end, on threads of its own: the caller's may belong to a runtime already.
fn wait<T: Send + 'static>(
    call: impl Future<Output = object_store::Result<T>> + Send + 'static,
) -> io::Result<T> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let make = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("blockwise-objects").enable_all().build()
    };
    let runtime = RUNTIME.get_or_init(make).as_ref().map_err(|e| io::Error::new(e.kind(), e.to_string()))?;
    let (send, receive) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        let _ = send.send(call.await);
    });
    let gone = |_| io::Error::other("the call to the store was dropped");
    receive.recv().map_err(gone)?.map_err(failed)
}

/// The next bytes of a file; none at its end.
fn next_part(file: &mut File, size: u64) -> io::Result<Vec<u8>> {
    let mut part = Vec::with_capacity(size as usize);
    file.take(size).read_to_end(&mut part)?;
    Ok(part)
}

/// Sends a file whose first part is read, and ends the upload.
async fn send_parts(
    upload: &mut dyn MultipartUpload,
    first: Vec<u8>,
    file: &mut File,
    size: u64,
) -> object_store::Result<()> {
    let unread = |e| StoreError::Generic { store: "the file to upload", source: Box::new(e) };
    let (mut part, mut on_their_way) = (first, FuturesUnordered::new());
    while !part.is_empty() {
        on_their_way.push(upload.put_part(part.into()));
        if on_their_way.len() == IN_FLIGHT {
            on_their_way.next().await.transpose()?;
        }
        part = next_part(file, size).map_err(unread)?;
    }
    while let Some(sent) = on_their_way.next().await {
        sent?;
    }
    upload.complete().await.map(drop)
}

/// A store's error, with the kind that callers look for.
fn failed(error: StoreError) -> io::Error {
    let kind = match &error {
        StoreError::NotFound { .. } => ErrorKind::NotFound,
        StoreError::AlreadyExists { .. } => ErrorKind::AlreadyExists,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            ErrorKind::PermissionDenied
        }
        StoreError::InvalidPath { .. } => ErrorKind::InvalidInput,
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => ErrorKind::Unsupported,
        StoreError::Precondition { .. } => return io::Error::other("it was replaced while it was read"),
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

impl Place {
    /// Opens the object.
    pub(in crate::io) fn open(self) -> io::Result<Object> {
        Object::open(self)
    }

    /// What the store says of the object.
    pub(super) fn facts(&self) -> io::Result<ObjectMeta> {
        let (store, key) = (self.store.clone(), self.key.clone());
        wait(async move { store.head(&key).await })
    }

    /// The whole object.
    pub(in crate::io) fn whole(&self) -> io::Result<Vec<u8>> {
        let (store, key) = (self.store.clone(), self.key.clone());
        wait(async move { store.get(&key).await?.bytes().await }).map(Into::into)
    }

    /// Bytes of the object, as long as it is the one that has this tag.
    pub(in crate::io) fn fetch(&self, range: Range<u64>, tag: Option<&str>) -> io::Result<Vec<u8>> {
        let (store, key) = (self.store.clone(), self.key.clone());
        let asked = (range.end - range.start) as usize;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: tag.map(str::to_owned),
            ..GetOptions::default()
        };
        let bytes = wait(async move { store.get_opts(&key, options).await?.bytes().await })?;
        match bytes.len() == asked {
            true => Ok(bytes.into()),
            false => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                format!("{} bytes came instead of {asked}", bytes.len()),
            )),
        }
    }

    /// The URLs of all objects below, ascending.
    pub(in crate::io) fn list(&self) -> io::Result<Vec<PathBuf>> {
        let keys = self.keys()?;
        let mut urls: Vec<PathBuf> = keys.iter().map(|key| format!("{}/{key}", self.base).into()).collect();
        urls.sort();
        Ok(urls)
    }

    fn keys(&self) -> io::Result<Vec<Key>> {
        let (store, key) = (self.store.clone(), self.key.clone());
        wait(async move { store.list(Some(&key)).map_ok(|facts| facts.location).try_collect().await })
    }

    /// Whether there is any object below.
    pub(in crate::io) fn has_any(&self) -> io::Result<bool> {
        let (store, key) = (self.store.clone(), self.key.clone());
        wait(async move { Ok(store.list(Some(&key)).next().await.transpose()?.is_some()) })
    }

    /// Makes the object of these bytes, replacing one that is there.
    pub(in crate::io) fn put(&self, bytes: Vec<u8>) -> io::Result<()> {
        let (store, key) = (self.store.clone(), self.key.clone());
        wait(async move { store.put(&key, bytes.into()).await.map(drop) })
    }

    /// Makes the object of a file from its start, part by part; it is there when it is whole.
    pub(in crate::io) fn upload(&self, file: &mut File) -> io::Result<()> {
        io::Seek::rewind(file)?;
        let mut file = file.try_clone()?;
        let size = PART.max(file.metadata()?.len() / PARTS);
        let first = next_part(&mut file, size)?;
        if (first.len() as u64) < size {
            return self.put(first);
        }
        let (store, key) = (self.store.clone(), self.key.clone());
        wait(async move {
            let mut upload = store.put_multipart(&key).await?;
            let sent = send_parts(&mut *upload, first, &mut file, size).await;
            if sent.is_err() {
                // parts that stay cost their owner money
                let _ = upload.abort().await;
            }
            sent
        })
    }

    /// Removes the object; it is no error if there is none.
    pub(in crate::io) fn delete(&self) -> io::Result<()> {
        let (store, key) = (self.store.clone(), self.key.clone());
        match wait(async move { store.delete(&key).await }) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Removes all objects below.
    pub(in crate::io) fn delete_below(&self) -> io::Result<()> {
        let store = self.store.clone();
        let keys = futures::stream::iter(self.keys()?.into_iter().map(Ok)).boxed();
        wait(async move { store.delete_stream(keys).try_for_each(|_| async { Ok(()) }).await })
    }
}
