//! A cluster that speaks as much of Redshift's protocol (PostgreSQL's, version 3) as one COPY
//! needs, and remembers what it was told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use millstream_auth::Secret;
use millstream_destinations::outbound::{Outbound, OutboundSettings};
use millstream_destinations::redshift::{Dialect, Load, Redshift, RedshiftConfig, StagedObject};
use millstream_destinations::{ConfigError, objects::Buckets};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::directory::Scratch;
use super::fake::{nobody, outbound};

struct Cluster {
    address: SocketAddr,
    statements: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// An error with a SQLSTATE and a text.
fn error(state: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0VERROR\0C{state}\0M{text}\0\0").as_bytes())
}

const READY: &[u8] = b"Z\0\0\0\x05I";

impl Cluster {
    /// A cluster that answers statements with an error, where one is given.
    async fn start(failure: Option<(&'static str, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let statements = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&statements);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A client that hangs up is how each session ends.
                let _ = serve(stream, failure, &seen).await;
            }
        });
        Self { address, statements, task }
    }
}

async fn serve(
    mut stream: TcpStream,
    failure: Option<(&str, &str)>,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    loop {
        let length = stream.read_u32().await?;
        let mut startup = vec![0; length as usize - 4];
        stream.read_exact(&mut startup).await?;
        // A question for TLS has a number of its own; there is none here.
        if startup[..4] != 80_877_103_u32.to_be_bytes() {
            break;
        }
        stream.write_all(b"N").await?;
    }
    // Asks for the password in clear, checks it, and is ready.
    stream.write_all(&message(b'R', &3_u32.to_be_bytes())).await?;
    let (kind, password) = read(&mut stream).await?;
    assert_eq!((kind, password.as_slice()), (b'p', &b"secret\0"[..]));
    stream.write_all(&message(b'R', &0_u32.to_be_bytes())).await?;
    stream.write_all(READY).await?;
    loop {
        let (kind, body) = read(&mut stream).await?;
        if kind == b'X' {
            return Ok(());
        }
        assert_eq!(kind, b'Q', "only simple queries are expected");
        let text = String::from_utf8(body[..body.len() - 1].to_vec()).unwrap();
        seen.lock().unwrap().push(text);
        let answer = match failure {
            Some((state, text)) => error(state, text),
            None => message(b'C', b"COPY\0"),
        };
        stream.write_all(&answer).await?;
        stream.write_all(READY).await?;
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let length = stream.read_u32().await?;
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).await?;
    Ok((kind, body))
}

fn config(address: SocketAddr) -> RedshiftConfig {
    RedshiftConfig {
        jdbc_url: format!("jdbc:redshift://{address}/dev"),
        dialect: Dialect::Redshift,
        user: "loader".to_owned(),
        password: Secret::from("secret"),
        table: "public.events".to_owned(),
        columns: Some("id, name".to_owned()),
        options: Some("json 'auto' gzip".to_owned()),
        role_arn: "arn:aws:iam::123456789012:role/firehose".to_owned(),
    }
}

/// Loads one object into `cluster`: the code, where it failed.
async fn load(redshift: &Redshift, scratch: &Scratch) -> Result<(), String> {
    let bucket = Buckets::directory(scratch.path().to_owned()).bucket("my-bucket").unwrap();
    let objects = [StagedObject { key: "2026/a".to_owned(), bytes: 7 }];
    let load = Load { id: "l1", bucket: &bucket, objects: &objects, manifest_key: "manifests/m1" };
    redshift.load(&load).await.map_err(|failure| {
        assert!(failure.is_retryable);
        failure.code
    })
}

#[tokio::test]
async fn a_load_is_a_manifest_and_one_copy() {
    let scratch = Scratch::new();
    let cluster = Cluster::start(None).await;
    let redshift = Redshift::new(&config(cluster.address), outbound()).unwrap();
    load(&redshift, &scratch).await.unwrap();
    assert_eq!(
        *cluster.statements.lock().unwrap(),
        ["COPY \"public\".\"events\" (\"id\", \"name\") FROM 's3://my-bucket/manifests/m1' \
          CREDENTIALS 'aws_iam_role=arn:aws:iam::123456789012:role/firehose' MANIFEST \
          json 'auto' gzip"]
    );
    let found: serde_json::Value =
        serde_json::from_slice(&scratch.read("my-bucket/manifests/m1")).unwrap();
    let entry = serde_json::json!({"url": "s3://my-bucket/2026/a", "mandatory": true});
    assert_eq!(found, serde_json::json!({"entries": [entry]}));
}

#[tokio::test]
async fn each_error_of_a_copy_has_its_code() {
    let rows = [
        ("42P01", "relation \"events\" does not exist", "Redshift.TableNotFound"),
        ("42703", "column \"id\" does not exist", "Redshift.ColumnNotFound"),
        ("42601", "syntax error at or near \"jsn\"", "Redshift.SyntaxError"),
        ("42501", "permission denied for relation events", "Redshift.InsufficientPrivilege"),
        (
            "XX000",
            "Load into table 'events' failed.  Check 'stl_load_errors' system table for details.",
            "Redshift.DataLoadFailed",
        ),
        (
            "XX000",
            "S3ServiceException:Access Denied,Status 403,Error AccessDenied",
            "Redshift.S3BucketAccessDenied",
        ),
        ("XX000", "The specified S3 prefix 'x' does not exist", "InternalError"),
    ];
    for (state, text, code) in rows {
        let scratch = Scratch::new();
        let cluster = Cluster::start(Some((state, text))).await;
        let redshift = Redshift::new(&config(cluster.address), outbound()).unwrap();
        assert_eq!(load(&redshift, &scratch).await.unwrap_err(), code, "{text}");
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_is_told() {
    let scratch = Scratch::new();
    let redshift = Redshift::new(&config(nobody().await), outbound()).unwrap();
    assert_eq!(load(&redshift, &scratch).await.unwrap_err(), "Redshift.ConnectionFailed");
    // Where clear text is not allowed, a cluster without TLS is not spoken to.
    let cluster = Cluster::start(None).await;
    let allow = millstream_destinations::outbound::Allow { loopback: true, ..Default::default() };
    let strict = Outbound::new(OutboundSettings { allow, ..OutboundSettings::default() }).unwrap();
    let redshift = Redshift::new(&config(cluster.address), strict).unwrap();
    assert_eq!(load(&redshift, &scratch).await.unwrap_err(), "Redshift.ConnectionFailed");
    assert!(cluster.statements.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_configuration_that_could_be_code_is_refused() {
    let address = nobody().await;
    let refused = |change: fn(&mut RedshiftConfig)| {
        let mut config = config(address);
        change(&mut config);
        let refused = Redshift::new(&config, outbound());
        assert!(matches!(refused, Err(ConfigError::Invalid { .. })), "{refused:?}");
    };
    refused(|config| config.table = "events; drop table events".to_owned());
    refused(|config| config.columns = Some("id) from 's3://x'; --".to_owned()));
    refused(|config| config.options = Some("gzip; drop table events".to_owned()));
    refused(|config| config.jdbc_url = "jdbc:mysql://h/d".to_owned());
    refused(|config| {
        config.dialect = Dialect::PostgreSql;
        config.options = Some("json 's3://bucket/paths.json'".to_owned());
    });
}
