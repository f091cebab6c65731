//! An object store in this process: as much of S3's protocol as its clients use, over plain HTTP, without looking at signatures.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};

/// Keys of a page of a listing: few, so that there are several pages.
const PAGE: usize = 7;

/// What was asked of the store.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub key: String,
    /// Bytes that went back.
    pub sent: usize,
}

#[derive(Default)]
struct Inside {
    /// By bucket and key: contents, and a number that is another for every version.
    objects: BTreeMap<String, (Vec<u8>, usize)>,
    uploads: BTreeMap<String, BTreeMap<usize, Vec<u8>>>,
    versions: usize,
    asked: Vec<Asked>,
    /// How many answers are still to be "try again".
    busy: usize,
}

/// The store of this process.
pub struct Store {
    inside: Arc<Mutex<Inside>>,
    /// Where it listens.
    pub port: u16,
}

/// The store; the environment says where it is, as users' environments do.
pub static STORE: LazyLock<Store> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let inside = Arc::new(Mutex::new(Inside::default()));
    let shared = inside.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = shared.clone();
            std::thread::spawn(move || serve(stream, &shared));
        }
    });
    for (name, value) in [
        ("AWS_ENDPOINT", format!("http://127.0.0.1:{port}").as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "nowhere"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ] {
        // SAFETY: every test asks for the store first, and what else reads the environment does so through std's lock
        unsafe { std::env::set_var(name, value) };
    }
    Store { inside, port }
});

impl Store {
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.inside.lock().unwrap().put(key, bytes.to_vec());
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.inside.lock().unwrap().objects.get(key).map(|(bytes, _)| bytes.clone())
    }

    /// The keys that begin like this.
    pub fn keys(&self, start: &str) -> Vec<String> {
        let inside = self.inside.lock().unwrap();
        inside.objects.keys().filter(|k| k.starts_with(start)).cloned().collect()
    }

    /// What was asked of keys that begin like this since the last time.
    pub fn asked(&self, start: &str) -> Vec<Asked> {
        let mut inside = self.inside.lock().unwrap();
        let (these, others) = inside.asked.drain(..).partition(|a| a.key.starts_with(start));
        inside.asked = others;
        these
    }

    /// Answers the next requests with "try again".
    pub fn be_busy(&self, times: usize) {
        self.inside.lock().unwrap().busy = times;
    }

    /// Uploads that were neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.inside.lock().unwrap().uploads.len()
    }
}

impl Inside {
    fn put(&mut self, key: &str, bytes: Vec<u8>) -> usize {
        self.versions += 1;
        self.objects.insert(key.to_owned(), (bytes, self.versions));
        self.versions
    }
}

struct Request {
    method: String,
    key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// What a HEAD says that a GET would send.
    length: Option<usize>,
}

fn answer(status: &'static str, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: vec![], body: body.into(), length: None }
}

fn serve(stream: TcpStream, inside: &Mutex<Inside>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut stream = stream;
    while let Some(request) = read(&mut reader) {
        let reply = {
            let mut inside = inside.lock().unwrap();
            let reply = inside.reply(&request);
            let sent = reply.body.len();
            inside.asked.push(Asked { method: request.method.clone(), key: request.key.clone(), sent });
            reply
        };
        let mut text = format!("HTTP/1.1 {}\r\n", reply.status);
        text += &format!("Content-Length: {}\r\n", reply.length.unwrap_or(reply.body.len()));
        for (name, value) in &reply.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend(&reply.body);
        if stream.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn read(from: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|&n| n > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter(|q| !q.is_empty());
    let query = pairs.map(|q| q.split_once('=').unwrap_or((q, ""))).map(|(k, v)| (decoded(k), decoded(v)));
    let (key, query) = (decoded(path.trim_start_matches('/')), query.collect());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0)];
    from.read_exact(&mut body).ok()?;
    Some(Request { method, key, query, headers, body })
}

fn decoded(text: &str) -> String {
    let (mut out, mut bytes) = (vec![], text.bytes());
    while let Some(byte) = bytes.next() {
        let mut hex = || char::from(bytes.next().unwrap_or(b'0')).to_digit(16).unwrap_or(0) as u8;
        out.push(if byte == b'%' { 16 * hex() + hex() } else { byte });
    }
    String::from_utf8(out).expect("text")
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    text.split(open).skip(1).filter_map(|part| part.split_once(close)).map(|(inner, _)| inner).collect()
}

impl Inside {
    fn reply(&mut self, request: &Request) -> Answer {
        if self.busy > 0 {
            self.busy -= 1;
            return answer("503 Slow Down", "");
        }
        let (key, query) = (&request.key, &request.query);
        match request.method.as_str() {
            "GET" if query.contains_key("list-type") => self.list(key, query),
            "GET" | "HEAD" => self.fetch(request),
            "PUT" => match (query.get("uploadId"), query.get("partNumber").and_then(|n| n.parse().ok())) {
                (Some(id), Some(number)) => match self.uploads.get_mut(id) {
                    Some(parts) => {
                        parts.insert(number, request.body.clone());
                        tagged(number)
                    }
                    None => answer("404 Not Found", ""),
                },
                _ => tagged(self.put(key, request.body.clone())),
            },
            "POST" if query.contains_key("uploads") => {
                self.versions += 1;
                let id = format!("upload-{}", self.versions);
                self.uploads.insert(id.clone(), BTreeMap::new());
                let text = format!(
                    "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                );
                answer("200 OK", text)
            }
            "POST" if query.contains_key("delete") => {
                let text = String::from_utf8_lossy(&request.body).into_owned();
                let mut out = String::from("<DeleteResult>");
                for inner in between(&text, "<Key>", "</Key>") {
                    self.objects.remove(&format!("{}/{inner}", key.trim_end_matches('/')));
                    out += &format!("<Deleted><Key>{inner}</Key></Deleted>");
                }
                answer("200 OK", out + "</DeleteResult>")
            }
            "POST" => match query.get("uploadId").and_then(|id| self.uploads.remove(id)) {
                Some(parts) => {
                    let version = self.put(key, parts.into_values().flatten().collect());
                    let text = format!(
                        "<CompleteMultipartUploadResult><ETag>\"{version}\"</ETag></CompleteMultipartUploadResult>"
                    );
                    answer("200 OK", text)
                }
                None => answer("404 Not Found", ""),
            },
            "DELETE" => {
                match query.get("uploadId") {
                    Some(id) => drop(self.uploads.remove(id)),
                    None => drop(self.objects.remove(key)),
                }
                answer("204 No Content", "")
            }
            _ => answer("405 Method Not Allowed", ""),
        }
    }

    fn fetch(&self, request: &Request) -> Answer {
        if request.key.contains("forbidden") {
            return answer("403 Forbidden", "");
        }
        let Some((bytes, version)) = self.objects.get(&request.key) else {
            return answer("404 Not Found", "");
        };
        let tag = format!("\"{version}\"");
        if request.headers.get("if-match").is_some_and(|wanted| *wanted != tag) {
            return answer("412 Precondition Failed", "");
        }
        let range = request.headers.get("range").and_then(|r| r.strip_prefix("bytes=")?.split_once('-'));
        let mut reply = match range
            .and_then(|(from, to)| Some((from.parse().ok()?, to.parse::<usize>().ok()?)))
        {
            Some((from, _)) if from >= bytes.len() => return answer("416 Range Not Satisfiable", ""),
            Some((from, to)) => {
                let end = bytes.len().min(to + 1);
                let mut reply = answer("206 Partial Content", &bytes[from..end]);
                reply.headers.push(("Content-Range", format!("bytes {from}-{}/{}", end - 1, bytes.len())));
                reply
            }
            None => answer("200 OK", bytes.as_slice()),
        };
        reply.headers.push(("ETag", tag));
        reply.headers.push(("Last-Modified", "Sun, 22 Nov 2026 10:00:00 GMT".into()));
        if request.method == "HEAD" {
            reply.length = Some(reply.body.len());
            reply.body.clear();
        }
        reply
    }

    fn list(&self, bucket: &str, query: &BTreeMap<String, String>) -> Answer {
        let start = format!("{}/", bucket.trim_end_matches('/'));
        let wanted = format!("{start}{}", query.get("prefix").map_or("", String::as_str));
        let after = query.get("continuation-token").cloned().unwrap_or_default();
        let keys: Vec<_> = self
            .objects
            .iter()
            .filter(|(k, _)| k.starts_with(&wanted) && **k > after)
            .take(PAGE + 1)
            .collect();
        let mut text = String::from("<ListBucketResult>");
        for (key, (bytes, version)) in keys.iter().take(PAGE) {
            let (name, size) = (&key[start.len()..], bytes.len());
            let facts = format!("<Size>{size}</Size><ETag>\"{version}\"</ETag>");
            let time = "<LastModified>2026-11-22T10:00:00.000Z</LastModified>";
            text += &format!("<Contents><Key>{name}</Key>{facts}{time}</Contents>");
        }
        if keys.len() > PAGE {
            text += &format!("<NextContinuationToken>{}</NextContinuationToken>", keys[PAGE - 1].0);
        }
        answer("200 OK", text + "</ListBucketResult>")
    }
}

fn tagged(version: usize) -> Answer {
    Answer { headers: vec![("ETag", format!("\"{version}\""))], ..answer("200 OK", "") }
}
