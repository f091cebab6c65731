//! Clusters whose processes call each other by TLS.
#![cfg(feature = "cluster")]

#[path = "common/cluster.rs"]
mod common;

use blockwise::Client;
use blockwise::cluster::{LocalCluster, Options, Tls};
use blockwise::prelude::*;
use common::{LIMIT, assert_bits, local, programs};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/data/tls", name].iter().collect()
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).expect("a file of the tests")
}

fn refused(url: &str, options: Options) -> String {
    Client::with(url, Options { patience: Duration::from_millis(300), ..options })
        .err()
        .expect("refused")
        .to_string()
}

#[test]
fn the_same_bits_and_nothing_for_strangers() {
    let builder = programs(LocalCluster::builder(2, 1, LIMIT).expect("described").worker_timeout(10));
    let cluster =
        builder.tls(file("authority.pem"), file("node.pem"), file("node.key")).start().expect("started");
    let (url, options) = (cluster.url(), cluster.options().expect("options"));
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let address = url.trim_start_matches("https://").to_owned();

    // those who call and say nothing keep nobody waiting
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&address).expect("connected")).collect();
    let client = Client::with(&url, options.clone()).expect("connected");
    let x = Array::arange(0, 250_000, 1).cast(F64).sqrt().reshape(&[500, 500]).rechunk([100, 200]);
    let (exchanged, folded) = (&x + &x.t(), (&x - x.mean(..)).std(..));
    for array in [&exchanged, &folded] {
        let far = client.compute(array).expect("computed");
        assert_bits(&far, &local().compute(array).expect("computed here"), "by TLS");
    }
    drop(silent);

    // not a word without TLS
    let mut plain = TcpStream::connect(&address).expect("connected");
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asked");
    let mut answer = vec![];
    // it may be reset
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("ok"), "{answer:?}");

    let e = refused(
        &url,
        Options { tls: Some(Tls::new(&pem("stranger.pem")).expect("a certificate")), ..options.clone() },
    );
    assert!(e.contains("certificate"), "{e}");
    let named = |name| Tls::new(&pem("authority.pem")).and_then(|tls| tls.with_name(name)).expect("a name");
    let e = refused(&url, Options { tls: Some(named("other.test")), ..options.clone() });
    assert!(e.contains("certificate"), "{e}");
    let by_name = Client::with(&url, Options { tls: Some(named("node.test")), ..options.clone() });
    let known = by_name.expect("connected").compute(&x.mean(..)).expect("computed");
    assert_bits(&known, &local().compute(&x.mean(..)).expect("computed here"), "by a name that all share");

    let e = refused(&url, Options { tls: None, ..options.clone() });
    assert!(e.contains("BLOCKWISE_TLS_AUTHORITY"), "{e}");
    let e = refused(&url.replace("https", "http"), options);
    assert!(e.contains("https://host:50050"), "{e}");
}

#[test]
fn files_that_are_wrong_say_so() {
    let tls = || Tls::new(&pem("authority.pem")).expect("a certificate");
    assert!(Tls::new(b"nothing").unwrap_err().to_string().contains("PEM"));
    assert!(Tls::new(&pem("node.key")).unwrap_err().to_string().contains("no certificate"));
    let cut = &pem("authority.pem")[..200];
    assert!(Tls::new(cut).is_err());
    let e = tls().with_certificate(&pem("node.pem"), &pem("node.pem")).unwrap_err().to_string();
    assert!(e.contains("key"), "{e}");
    let e = tls().with_certificate(&pem("stranger.pem"), &pem("node.key")).unwrap_err().to_string();
    assert!(e.contains("certificate and its key"), "{e}");
    assert!(tls().with_name("no name").unwrap_err().to_string().contains("no name"));
    let whole = tls().with_certificate(&pem("node.pem"), &pem("node.key")).expect("they belong together");
    assert_eq!(format!("{whole:?}"), "Tls { name: None, certificate: true }");

    let missing = LocalCluster::builder(1, 1, LIMIT).expect("described");
    let missing = programs(missing).tls(file("none.pem"), file("node.pem"), file("node.key")).start();
    assert!(missing.is_err());
}
