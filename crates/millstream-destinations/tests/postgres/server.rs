//! A PostgreSQL server of the tests' own: a cluster in a temporary directory, on a port of
//! loopback, shared by the tests that run at the same time, and gone with the last of them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Who owns everything.
pub(crate) const USER: &str = "owner";
/// Its password.
pub(crate) const PASSWORD: &str = "it's a \"secret\"";
/// `nobody`, in whose name the server runs where the tests run as root, which it refuses.
const NOBODY: u32 = 65_534;
/// How long the server may take to be ready.
const READY_SECONDS_MAX: u32 = 60;

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static SERVERS: AtomicU32 = AtomicU32::new(0);
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A running server.
pub(crate) struct Server {
    process: Child,
    directory: PathBuf,
    pub(crate) port: u16,
    /// The certificate that it shows.
    pub(crate) pem: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Where the server's programs are.
fn programs() -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    versions.reverse();
    // Debian's own programs on the PATH are wrappers around the clusters that it manages.
    let path = std::env::var_os("PATH").unwrap_or_default();
    versions.extend(std::env::split_paths(&path));
    let has_all = |bin: &PathBuf| {
        ["initdb", "postgres", "pg_isready"].iter().all(|name| bin.join(name).is_file())
    };
    let found = versions.into_iter().find(has_all);
    found.expect(
        "these tests need a PostgreSQL server: `apt-get install postgresql` (Debian), or put \
         `initdb` and `postgres` on the PATH",
    )
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// A program of the server's, run as someone that it accepts.
fn program(name: &str) -> Command {
    let mut command = Command::new(programs().join(name));
    command.stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/");
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn give_away(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn write(path: &Path, text: &str) {
    #[allow(clippy::disallowed_methods)] // A test's own file.
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    give_away(path);
}

impl Server {
    /// The server that other tests use, or a new one.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::start());
        *shared = Arc::downgrade(&server);
        server
    }

    fn start() -> Self {
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("millstream-postgres-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        give_away(&directory);
        let password_file = directory.join("password");
        write(&password_file, PASSWORD);
        let data = directory.join("data");
        let made = program("initdb")
            .arg("--pgdata")
            .arg(&data)
            .args(["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8"])
            .args(["--no-sync", "--no-locale"])
            .arg(format!("--pwfile={}", password_file.display()))
            .status()
            .unwrap();
        assert!(made.success(), "initdb makes a cluster");
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = identity.cert.pem();
        write(&data.join("server.crt"), &pem);
        write(&data.join("server.key"), &identity.signing_key.serialize_pem());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = program("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "ssl=on"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, directory, port, pem };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&self) {
        for _ in 0..READY_SECONDS_MAX * 20 {
            let ready = program("pg_isready")
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server is not ready after {READY_SECONDS_MAX} seconds");
    }

    /// A client that owns everything, in `database`.
    pub(crate) async fn client(&self, database: &str) -> tokio_postgres::Client {
        let mut config = tokio_postgres::Config::new();
        config.user(USER).password(PASSWORD).dbname(database);
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let (client, connection) = config.connect_raw(stream, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// A new database: its name, and a client in it.
    pub(crate) async fn database(&self) -> (String, tokio_postgres::Client) {
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let client = self.client("postgres").await;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let client = self.client(&name).await;
        (name, client)
    }
}
