//! What lands, what does not, and that nothing lands twice.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use millstream_auth::Secret;
use millstream_destinations::Failure;
use millstream_destinations::objects::{Bucket, Buckets, PutOptions, in_memory};
use millstream_destinations::outbound::{Allow, Outbound, OutboundSettings, Trust};
use millstream_destinations::redshift::{Dialect, Load, Redshift, RedshiftConfig, StagedObject};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::proxy::{Moment, Proxy};
use super::server::{PASSWORD, Server, USER};

static STAGES: AtomicU32 = AtomicU32::new(0);

/// A database, and a bucket whose objects are loaded into it.
struct Stage {
    server: Arc<Server>,
    database: String,
    client: Client,
    root: PathBuf,
    bucket: Bucket,
    objects: Vec<StagedObject>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

impl Stage {
    async fn new(setup: &str) -> Self {
        let server = Server::shared();
        let (database, client) = server.database().await;
        client.batch_execute(setup).await.unwrap();
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let name = format!("millstream-stage-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let bucket = Buckets::directory(root.clone()).bucket("b").unwrap();
        Self { server, database, client, root, bucket, objects: Vec::new() }
    }

    async fn put(&mut self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let (key, size) = (format!("o{}", self.objects.len()), bytes.len() as u64);
        self.bucket.put(&key, in_memory([bytes]), &PutOptions::default()).await.unwrap();
        self.objects.push(StagedObject { key, bytes: size });
    }

    fn config(&self, options: &str) -> RedshiftConfig {
        let (port, database) = (self.server.port, &self.database);
        RedshiftConfig {
            jdbc_url: format!("jdbc:postgresql://127.0.0.1:{port}/{database}?sslmode=disable"),
            dialect: Dialect::PostgreSql,
            user: USER.to_owned(),
            password: Secret::from(PASSWORD),
            table: "t".to_owned(),
            columns: None,
            options: Some(options.to_owned()),
            role_arn: String::new(),
        }
    }

    fn config_through(&self, options: &str, port: u16) -> RedshiftConfig {
        let own = self.config(options);
        let url = own.jdbc_url.replace(&self.server.port.to_string(), &port.to_string());
        RedshiftConfig { jdbc_url: url, ..own }
    }

    async fn load(&self, config: &RedshiftConfig, id: &str) -> Result<(), Failure> {
        let load = Load { id, bucket: &self.bucket, objects: &self.objects, manifest_key: "m" };
        Redshift::new(config, outbound()).unwrap().load(&load).await
    }

    /// What a query finds: fields between bars, `NULL` for none.
    async fn rows(&self, query: &str) -> Vec<String> {
        let found = self.client.simple_query(query).await.unwrap();
        let rows = found.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| {
            let fields: Vec<&str> =
                (0..row.len()).map(|field| row.get(field).unwrap_or("NULL")).collect();
            fields.join("|")
        })
        .collect()
    }

    async fn count(&self) -> String {
        self.rows("SELECT count(*) FROM t").await.remove(0)
    }
}

fn outbound() -> Outbound {
    let allow = Allow { clear_text: true, loopback: true, ..Allow::default() };
    Outbound::new(OutboundSettings { allow, ..OutboundSettings::default() }).unwrap()
}

const TABLE: &str = "CREATE TABLE t (id bigint, name text, at timestamptz, amount numeric(38,10))";

#[tokio::test]
async fn json_rows_land_with_all_their_digits() {
    let mut stage = Stage::new(TABLE).await;
    stage
        .put(
            r#"{"id":1,"name":"a\tb\\N\n\"","at":"2026-01-02T03:04:05Z","amount":1234567890123456789012345678.0123456789}
{"name":null,"more":[1,{"x":"}"}]}{"id":"3","name":{"x":1},"at":""}"#,
        )
        .await;
    stage.load(&stage.config("json 'auto'"), "l1").await.unwrap();
    assert_eq!(
        stage.rows("SELECT id, name, at AT TIME ZONE 'UTC', amount FROM t ORDER BY ctid").await,
        [
            "1|a\tb\\N\n\"|2026-01-02 03:04:05|1234567890123456789012345678.0123456789",
            "NULL|NULL|NULL|NULL",
            "3|{\"x\":1}|NULL|NULL",
        ]
    );
}

#[tokio::test]
async fn each_form_of_rows_lands_compressed_or_not() {
    let pack = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let rows: [(&str, Vec<u8>); 5] = [
        ("", b"1|a|\\N|\n2|b||1.5\n".to_vec()),
        ("delimiter ';' gzip", pack("1;a;;\n2;b;;1.5\n")),
        ("csv ignoreheader 1", b"id,name,at,amount\n1,a,,\n2,\"b\",,1.5\n".to_vec()),
        ("csv gzip null as 'none'", pack("1,a,none,none\n2,b,none,1.5\n")),
        (
            "json 'auto ignorecase' gzip",
            pack("{\"ID\":1,\"Name\":\"a\"}{\"id\":2,\"NAME\":\"b\",\"Amount\":1.5}"),
        ),
    ];
    for (options, bytes) in rows {
        let mut stage = Stage::new(TABLE).await;
        stage.put(bytes).await;
        stage.load(&stage.config(options), "l1").await.unwrap();
        assert_eq!(
            stage.rows("SELECT id, name, at, amount::float FROM t ORDER BY id").await,
            ["1|a|NULL|NULL", "2|b|NULL|1.5"],
            "{options}"
        );
    }
}

#[tokio::test]
async fn columns_that_are_named_are_filled_and_the_others_have_their_defaults() {
    let mut stage = Stage::new(
        "CREATE SCHEMA \"My Schema\"; CREATE TABLE \"My Schema\".\"We\"\"ird; DROP\" \
         (number bigint GENERATED ALWAYS AS IDENTITY, \"A b\" text, kind text DEFAULT 'd', \
          twice text GENERATED ALWAYS AS (kind || kind) STORED)",
    )
    .await;
    stage.put("x\ny\n").await;
    let table = "\"My Schema\".\"We\"\"ird; DROP\"".to_owned();
    let config = RedshiftConfig {
        table: table.clone(),
        columns: Some("\"A b\"".to_owned()),
        ..stage.config("")
    };
    stage.load(&config, "l1").await.unwrap();
    let all = format!("SELECT number, \"A b\", kind, twice FROM {table} ORDER BY number");
    assert_eq!(stage.rows(&all).await, ["1|x|d|dd", "2|y|d|dd"]);
    // Without a list: all but what the database makes itself.
    stage.objects.clear();
    stage.put("z|e\n").await;
    stage.load(&RedshiftConfig { columns: None, ..config }, "l2").await.unwrap();
    assert_eq!(stage.rows(&all).await, ["1|x|d|dd", "2|y|d|dd", "3|z|e|ee"]);
    let ledger = "SELECT delivery_id FROM \"My Schema\".millstream_deliveries ORDER BY 1";
    assert_eq!(stage.rows(ledger).await, ["l1", "l2"]);
}

#[tokio::test]
async fn many_objects_land_whole_and_in_one_piece() {
    let mut stage = Stage::new("CREATE TABLE t (id bigint, name text)").await;
    for object in 0..3 {
        let mut text = String::new();
        for row in 0..20_000 {
            writeln!(text, "{{\"id\":{},\"name\":\"row {row}\"}}", object * 20_000 + row).unwrap();
        }
        stage.put(text).await;
    }
    stage.load(&stage.config("json 'auto'"), "l1").await.unwrap();
    let check = "SELECT count(*), count(DISTINCT id), min(id), max(id) FROM t";
    assert_eq!(stage.rows(check).await, ["60000|60000|0|59999"]);
    stage.load(&stage.config("json 'auto'"), "l1").await.unwrap();
    assert_eq!(stage.count().await, "60000", "the same load again changes nothing");
    stage.load(&stage.config("json 'auto'"), "l2").await.unwrap();
    assert_eq!(stage.count().await, "120000", "another load is another load");
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_does_not_land_twice() {
    let mut stage = Stage::new(TABLE).await;
    stage.put("1|a||\n2|b||\n").await;
    let proxy = Proxy::start(stage.server.port, Moment::CommitAnswered).await;
    let config = stage.config_through("", proxy.port);
    let failure = stage.load(&config, "l1").await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.is_retryable), ("Redshift.ConnectionFailed", true));
    assert!(proxy.broke.load(Ordering::SeqCst));
    assert_eq!(stage.count().await, "2", "it was committed");
    stage.load(&config, "l1").await.unwrap();
    assert_eq!(stage.count().await, "2");
}

#[tokio::test]
async fn a_load_that_is_cut_off_before_its_commit_lands_with_the_next_attempt() {
    for moment in [Moment::CommitSent, Moment::RowsSent] {
        let mut stage = Stage::new("CREATE TABLE t (id text, name text)").await;
        stage.put("cut|x\n2|b\n").await;
        let proxy = Proxy::start(stage.server.port, moment).await;
        let config = stage.config_through("", proxy.port);
        let failure = stage.load(&config, "l1").await.unwrap_err();
        assert!(failure.is_retryable, "{moment:?}: {failure}");
        assert!(proxy.broke.load(Ordering::SeqCst));
        assert_eq!(stage.count().await, "0", "{moment:?}");
        stage.load(&config, "l1").await.unwrap();
        assert_eq!(stage.count().await, "2", "{moment:?}");
    }
}

#[tokio::test]
async fn the_same_load_from_many_sides_lands_once() {
    let mut stage = Stage::new(TABLE).await;
    stage.put("1|a||\n2|b||\n").await;
    let config = stage.config("");
    let all = (0..8).map(|_| stage.load(&config, "l1"));
    for outcome in futures_util::future::join_all(all).await {
        outcome.unwrap();
    }
    assert_eq!(stage.count().await, "2");
}

#[tokio::test]
async fn bad_data_lands_not_at_all_and_is_not_tried_again() {
    let rows = [
        ("", "1|a||\nx|b||\n", "22P02"),
        ("", "1|a||\n2|b\n", "o0, row 2"),
        ("json 'auto'", "{\"id\":1}{\"id\":", "cut short"),
        ("gzip", "1|a||\n", "not gzip"),
    ];
    for (options, text, reason) in rows {
        let mut stage = Stage::new(TABLE).await;
        stage.put(text).await;
        let failure = stage.load(&stage.config(options), "l1").await.unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.is_retryable),
            ("Redshift.DataLoadFailed", false)
        );
        assert!(failure.message.contains(reason), "{failure}");
        assert_eq!(stage.count().await, "0");
        let ledger = stage.rows("SELECT count(*) FROM millstream_deliveries").await;
        assert_eq!(ledger, ["0"], "so that it can be loaded once it is mended");
    }
}

#[tokio::test]
async fn each_reason_for_a_failure_has_its_code() {
    let setup = format!(
        "{TABLE}; CREATE TABLE strict (id bigint NOT NULL); CREATE USER guest PASSWORD 'guest'"
    );
    let mut stage = Stage::new(&setup).await;
    stage.put("\\N|a||\n").await;
    let own = stage.config("");
    let with = |change: fn(&mut RedshiftConfig)| {
        let mut config = own.clone();
        change(&mut config);
        config
    };
    let rows = [
        (with(|config| config.password = Secret::from("wrong")), "Redshift.AuthenticationFailed"),
        (with(|config| config.user = "nobody".to_owned()), "Redshift.AuthenticationFailed"),
        (
            with(|config| config.jdbc_url = config.jdbc_url.replace("/test_", "/none_")),
            "Redshift.DatabaseNotFound",
        ),
        (with(|config| config.table = "none".to_owned()), "Redshift.TableNotFound"),
        (with(|config| config.table = "nowhere.t".to_owned()), "Redshift.TableNotFound"),
        (with(|config| config.columns = Some("id, none".to_owned())), "Redshift.ColumnNotFound"),
        (
            with(|config| {
                config.user = "guest".to_owned();
                config.password = Secret::from("guest");
            }),
            "Redshift.InsufficientPrivilege",
        ),
        (
            with(|config| {
                config.table = "strict".to_owned();
                config.options = Some("json 'auto'".to_owned());
            }),
            "Redshift.MissingColumn",
        ),
    ];
    stage.objects.clear();
    stage.put("{}").await;
    for (config, code) in rows {
        let failure = stage.load(&config, "l1").await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.is_retryable), (code, true), "{failure}");
    }
    stage.objects[0].bytes += 1;
    let failure = stage.load(&own, "l1").await.unwrap_err();
    assert_eq!(failure.code, "Redshift.MissingS3File");
    stage.objects[0].key.push('x');
    assert!(stage.load(&own, "l1").await.unwrap_err().is_retryable);
}

#[tokio::test]
async fn a_guest_may_load_where_someone_made_the_ledger() {
    let setup = format!(
        "{TABLE}; CREATE TABLE millstream_deliveries \
         (delivery_id text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); \
         CREATE USER loader PASSWORD 'loader'; GRANT INSERT ON t TO loader; \
         GRANT SELECT, INSERT, DELETE ON millstream_deliveries TO loader"
    );
    let mut stage = Stage::new(&setup).await;
    stage.put("1|a||\n").await;
    let user = "loader".to_owned();
    let config = RedshiftConfig { user, password: Secret::from("loader"), ..stage.config("") };
    stage.load(&config, "l1").await.unwrap();
    stage.load(&config, "l1").await.unwrap();
    assert_eq!(stage.count().await, "1");
}

#[tokio::test]
async fn a_connection_is_encrypted_where_clear_text_is_not_allowed() {
    let mut stage = Stage::new(TABLE).await;
    stage.put("1|a||\n").await;
    let allow = Allow { loopback: true, ..Allow::default() };
    let believing = |pem: Option<String>| {
        let settings = OutboundSettings {
            allow: allow.clone(),
            trust: Trust { system: false, pem },
            ..OutboundSettings::default()
        };
        Outbound::new(settings).unwrap()
    };
    let (port, database) = (stage.server.port, &stage.database);
    let jdbc_url = format!("jdbc:postgresql://localhost:{port}/{database}");
    let config = RedshiftConfig { jdbc_url, ..stage.config("") };
    let load = Load { id: "l1", bucket: &stage.bucket, objects: &stage.objects, manifest_key: "m" };
    let stranger = Redshift::new(&config, believing(None)).unwrap();
    let failure = stranger.load(&load).await.unwrap_err();
    assert_eq!(failure.code, "Redshift.ConnectionFailed", "{failure}");
    let known = Redshift::new(&config, believing(Some(stage.server.pem.clone()))).unwrap();
    known.load(&load).await.unwrap();
    assert_eq!(stage.count().await, "1");
    let clear =
        RedshiftConfig { jdbc_url: config.jdbc_url + "?sslmode=disable", ..stage.config("") };
    assert!(Redshift::new(&clear, believing(None)).is_err(), "it asks for what is not allowed");
}
